"""The monthly quota of an app."""

import pytest

from tests.support.feishu import OTHER_APP, OTHER_SECRET, Feishu

USER = "/open-apis/contact/v3/users/ou_a"


async def test_calls_over_the_quota_are_refused_until_a_reset(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"quota": 2})
    assert [(await feishu.send(f"oc_{n}")).code for n in range(3)] == [0, 0, 99991403]
    feishu.clock.turn(3600)
    got = await feishu.send("oc_9")
    assert (got.status, got.code) == (429, 99991403)
    assert "x-ogw-ratelimit-reset" not in got.headers
    await feishu.control("POST", "reset", {"statistics_only": True})
    assert (await feishu.send("oc_9")).code == 99991403
    await feishu.control("POST", "reset", {})
    assert (await feishu.send("oc_9")).code == 0


async def test_the_quota_is_counted_per_app_and_told(feishu: Feishu) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    await feishu.control("POST", "limits", {"quota": 1})
    for token in (None, None, other):
        await feishu.send("oc_a", token=token)
    stats = await feishu.control("GET", "stats", series=1)
    assert stats["quota"] == {
        "limit": 1,
        "apps": {
            "cli_sandbox0000000001": {"used": 1, "rejected": 1},
            OTHER_APP: {"used": 1, "rejected": 0},
        },
    }
    assert [(each["kind"], each["code"]) for each in stats["refusals"]] == [("quota", 99991403)]


async def test_contacts_and_tokens_do_not_count(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"quota": 0})
    assert (await feishu.call("GET", USER)).code == 0
    assert (await feishu.get_token())["code"] == 0
    assert (await feishu.call("GET", "/open-apis/bot/v3/info")).code == 99991403


async def test_the_quota_can_be_lifted(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"quota": 0})
    await feishu.control("POST", "limits", {"quota": None})
    assert (await feishu.send("oc_a")).code == 0


@pytest.mark.parametrize("quota", [-1, "many", True])
async def test_a_wrong_quota_is_an_error(feishu: Feishu, quota: object) -> None:
    got = await feishu.raw("POST", "/_sandbox/limits", json={"enabled": False, "quota": quota})
    assert got.status == 400
    assert (await feishu.control("GET", "state"))["limits"]["enabled"] is True
