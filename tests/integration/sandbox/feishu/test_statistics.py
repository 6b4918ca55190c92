"""Figures by which a caller's keeping to the limits can be judged."""

from typing import Any

import pytest

from tests.support.feishu import Feishu

USER = "/open-apis/contact/v3/users/ou_a"
USER_API = "GET /open-apis/contact/v3/users/:user_id"


async def get_users(feishu: Feishu, count: int) -> None:
    for _ in range(count):
        await feishu.call("GET", USER)


async def limit_of(feishu: Feishu, **query: Any) -> Any:
    (row,) = (await feishu.control("GET", "stats", **query))["limits"]
    return row


async def test_a_series_tells_each_second_and_each_minute(feishu: Feishu) -> None:
    start = int(feishu.clock.now)
    await get_users(feishu, 52)
    feishu.clock.turn(1.5)
    await get_users(feishu, 3)
    feishu.clock.turn(60)
    await get_users(feishu, 2)
    row = await limit_of(feishu, series=1)
    assert row["per_second"] == [[start, 50, 2], [start + 1, 3, 0], [start + 61, 2, 0]]
    assert row["per_minute"] == [[start, 53, 2], [start + 60, 2, 0]]
    assert "per_second" not in await limit_of(feishu)


async def test_the_last_rejections_are_told_with_time_api_and_receiver(feishu: Feishu) -> None:
    await get_users(feishu, 51)
    feishu.clock.turn(2)
    for _ in range(6):
        await feishu.send("oc_busy")
    first, second = (await feishu.control("GET", "stats", series=1))["refusals"]
    assert (first["api"], first["kind"], first["subject"]) == (USER_API, "api", "")
    assert (second["kind"], second["subject"], second["code"]) == ("chat", "oc_busy", 230020)
    assert second["time"] - first["time"] == 2
    assert second["app_id"] == "cli_sandbox0000000001"
    (entry,) = (await feishu.control("GET", "ledger", code=230020))["entries"]
    assert entry["number"] == second["number"]


async def test_further_windows_can_be_watched(feishu: Feishu) -> None:
    await get_users(feishu, 10)
    await feishu.control("POST", "limits", {"watch": [0.5, 6]})
    for _ in range(3):
        await get_users(feishu, 4)
        feishu.clock.turn(3)
    assert (await limit_of(feishu))["most_in_window"] == {"0.5": 4, "1": 14, "6": 8, "60": 22}
    await feishu.send("oc_a")
    stats = await feishu.control("GET", "stats")
    (row,) = stats["subjects"]["chat"]["top"]
    assert row["most_in_window"] == {"0.5": 1, "1": 1, "6": 1}
    assert (await feishu.control("GET", "state"))["limits"]["watch"] == [0.5, 6]


@pytest.mark.parametrize("watch", [6, [0], ["1"], [True], [-1]])
async def test_a_wrong_length_is_an_error(feishu: Feishu, watch: object) -> None:
    assert (await feishu.raw("POST", "/_sandbox/limits", json={"watch": watch})).status == 400


async def test_an_unknown_setting_is_an_error(feishu: Feishu) -> None:
    got = await feishu.raw("POST", "/_sandbox/limits", json={"chat_limits": 3})
    assert (got.status, "chat_limits" in got.json["error"]) == (400, True)


async def test_statistics_can_begin_anew_while_limits_stay_full(feishu: Feishu) -> None:
    await get_users(feishu, 51)
    for _ in range(6):
        await feishu.send("oc_busy")
    await feishu.control("POST", "reset", {"statistics_only": True})
    assert await limit_of_user(feishu) == (0, 0, {"1": 0, "60": 0})
    await get_users(feishu, 1)
    assert await limit_of_user(feishu) == (0, 1, {"1": 0, "60": 0})
    assert (await feishu.send("oc_busy")).code == 230020
    feishu.clock.turn(1)
    await get_users(feishu, 2)
    assert await limit_of_user(feishu) == (2, 1, {"1": 2, "60": 2})
    stats = await feishu.control("GET", "stats", series=1)
    assert stats["requests"] == {USER_API: 3, "POST /open-apis/im/v1/messages": 1}
    assert [row["kind"] for row in stats["refusals"]] == ["api", "chat"]
    assert stats["chat_rejections"] == 1
    assert stats["effects"] == 5
    entries = (await feishu.control("GET", "ledger"))["entries"]
    assert sum(entry["method"] == "POST" for entry in entries) == 1 + 6 + 1


async def limit_of_user(feishu: Feishu) -> Any:
    rows = (await feishu.control("GET", "stats"))["limits"]
    row = next(row for row in rows if row["api"] == USER_API)
    return row["accepted"], row["rejected"], row["most_in_window"]


async def test_a_whole_reset_forgets_all_of_it(feishu: Feishu) -> None:
    await get_users(feishu, 51)
    for _ in range(6):
        await feishu.send("oc_busy")
    await feishu.control("POST", "reset", {})
    stats = await feishu.control("GET", "stats", series=1)
    assert (stats["limits"], stats["subjects"], stats["refusals"]) == ([], {}, [])
    assert stats["quota"]["apps"] == {}
    assert (await feishu.send("oc_busy")).code == 0
