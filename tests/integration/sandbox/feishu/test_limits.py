"""Rate limits as a caller meets them."""

import pytest

from sandbox.feishu.limits import WindowModel
from tests.support.feishu import OTHER_APP, OTHER_SECRET, Feishu, OpenFeishu

USER = "/open-apis/contact/v3/users/ou_a"
USER_API = "GET /open-apis/contact/v3/users/:user_id"


async def get_users(feishu: Feishu, count: int) -> list[int]:
    return [(await feishu.call("GET", f"{USER}{n}")).status for n in range(count)]


async def test_the_catalogues_limit_holds_over_all_paths_of_a_template(feishu: Feishu) -> None:
    assert await get_users(feishu, 52) == [200] * 50 + [429] * 2
    feishu.clock.turn(1)
    assert await get_users(feishu, 1) == [200]


async def test_a_rejection_says_when_to_come_back(feishu: Feishu) -> None:
    await get_users(feishu, 50)
    feishu.clock.turn(0.4)
    got = await feishu.call("GET", USER)
    assert (got.status, got.code) == (429, 99991400)
    assert got.json["msg"] == "request trigger frequency limit"
    assert got.headers["x-ogw-ratelimit-reset"] == "1"
    assert got.headers["x-ogw-ratelimit-limit"] == "50"


async def test_the_minute_limit_holds_when_the_second_has_room(feishu: Feishu) -> None:
    for _ in range(20):
        assert await get_users(feishu, 50) == [200] * 50
        feishu.clock.turn(1)
    got = await feishu.call("GET", USER)
    assert got.headers["x-ogw-ratelimit-reset"] == "40"
    assert got.headers["x-ogw-ratelimit-limit"] == "1000"


async def test_limits_are_per_app_and_per_api(feishu: Feishu) -> None:
    await get_users(feishu, 50)
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    assert (await feishu.call("GET", USER, token=other)).status == 200
    assert (await feishu.call("GET", "/open-apis/bot/v3/info")).status == 200
    assert (await feishu.call("GET", USER)).status == 429


async def test_an_api_can_be_told_to_reject_with_http_400(open_feishu: OpenFeishu) -> None:
    feishu = await open_feishu(overrides={USER_API: "1/1"}, statuses={USER_API: 400})
    await feishu.call("GET", USER)
    got = await feishu.call("GET", USER)
    assert (got.status, got.code) == (400, 99991400)
    assert got.headers["x-ogw-ratelimit-reset"] == "1"


async def test_limits_can_be_changed_while_it_runs(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"apis": {USER_API: "2/1"}, "statuses": {USER_API: 400}})
    assert await get_users(feishu, 3) == [200, 200, 400]
    await feishu.control("POST", "limits", {"apis": {USER_API: ""}})
    assert await get_users(feishu, 60) == [200] * 60
    await feishu.control("POST", "limits", {"apis": {USER_API: None}})
    assert (await get_users(feishu, 51))[-1] == 400
    await feishu.control("POST", "limits", {"enabled": False})
    assert await get_users(feishu, 10) == [200] * 10


async def test_the_window_model_can_be_chosen(open_feishu: OpenFeishu) -> None:
    options = {"overrides": {USER_API: "1/10"}}
    feishu = await open_feishu(window_model=WindowModel.ALIGNED, **options)
    feishu.clock.turn(9)
    assert await get_users(feishu, 2) == [200, 429]
    feishu.clock.turn(1)
    assert await get_users(feishu, 2) == [200, 429]
    await feishu.control("POST", "limits", {"model": "sliding"})
    assert await get_users(feishu, 2) == [200, 429]
    feishu.clock.turn(9.9)
    assert await get_users(feishu, 1) == [429]


async def test_a_wrong_limit_changes_nothing(feishu: Feishu) -> None:
    body = {"enabled": False, "apis": {USER_API: "fast"}}
    got = await feishu.raw("POST", "/_sandbox/limits", json=body)
    assert got.status == 400
    assert "fast" in got.json["error"]
    assert (await feishu.control("GET", "state"))["limits"]["enabled"] is True


async def test_statistics_tell_accepted_rejected_and_the_most_in_any_window(
    feishu: Feishu,
) -> None:
    await get_users(feishu, 53)
    feishu.clock.turn(30)
    await get_users(feishu, 10)
    (row,) = (await feishu.control("GET", "stats"))["limits"]
    assert row == {
        "app_id": "cli_sandbox0000000001",
        "api": USER_API,
        "accepted": 60,
        "rejected": 3,
        "most_in_window": {"1": 50, "60": 60},
    }


async def test_refused_tokens_and_token_requests_are_not_counted(feishu: Feishu) -> None:
    await feishu.call("GET", USER, token="t-no")
    await feishu.get_token()
    assert (await feishu.control("GET", "stats"))["limits"] == []


@pytest.mark.parametrize("chat_limit", [5, 2])
async def test_one_chat_takes_only_so_many_messages_a_second(
    open_feishu: OpenFeishu, chat_limit: int
) -> None:
    feishu = await open_feishu(chat_limit=chat_limit)
    codes = [(await feishu.send("oc_busy")).code for _ in range(chat_limit + 1)]
    assert codes == [0] * chat_limit + [230020]
    got = await feishu.send("oc_busy")
    assert got.status == 400
    assert "x-ogw-ratelimit-reset" not in got.headers
    assert (await feishu.send("oc_quiet")).code == 0
    feishu.clock.turn(1)
    assert (await feishu.send("oc_busy")).code == 0


async def test_a_chats_limit_is_shared_by_all_apps_and_by_replies(feishu: Feishu) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    ids = [(await feishu.send("oc_busy")).data["message_id"] for _ in range(3)]
    assert [(await feishu.send("oc_busy", token=other)).code for _ in range(2)] == [0, 0]
    reply = {"msg_type": "text", "content": '{"text":"re"}'}
    path = f"/open-apis/im/v1/messages/{ids[0]}/reply"
    assert (await feishu.call("POST", path, json=reply)).code == 230020


async def test_the_chat_limit_can_be_lifted(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"chat_limit": None})
    assert [(await feishu.send("oc_busy")).code for _ in range(10)] == [0] * 10
