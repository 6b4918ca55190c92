"""What the ledger holds and the control endpoint shows of it."""

import asyncio

import pytest

from tests.support.feishu import OTHER_APP, OTHER_SECRET, SEND, Feishu, OpenFeishu, until


async def test_a_request_is_written_with_all_that_identifies_it(feishu: Feishu) -> None:
    await feishu.send(uuid="key-1")
    entry = (await feishu.control("GET", "ledger"))["entries"][-1]
    (captured,) = await feishu.control("GET", "requests", last=1)
    assert entry.pop("body_hash")
    assert len(entry.pop("token")) == 12
    assert entry == {
        "number": 2,
        "time": 1_800_000_000.0,
        "method": "POST",
        "path": SEND,
        "template": SEND,
        "app_id": "cli_sandbox0000000001",
        "tenant": "",
        "key": "key-1",
        "status": 200,
        "code": 0,
    }
    assert captured["target"] == f"{SEND}?receive_id_type=chat_id"


async def test_a_request_is_in_the_ledger_before_it_is_answered(open_feishu: OpenFeishu) -> None:
    feishu = await open_feishu()
    await feishu.control("POST", "latency", {"ms": 500})
    sending = asyncio.create_task(feishu.send())
    await until(lambda: feishu.world.ledger.last_number == 2)
    assert next(feishu.world.ledger.entries(since=1))["status"] == 0
    await sending
    assert (await feishu.control("GET", "ledger", since=1))["entries"][0]["status"] == 200


async def test_a_token_is_shown_only_as_its_fingerprint(feishu: Feishu) -> None:
    await feishu.send()
    for name in ("ledger", "requests", "stats", "state"):
        got = await feishu.raw("GET", f"/_sandbox/{name}")
        assert feishu.token.encode() not in got.content
    (captured,) = await feishu.control("GET", "requests", last=1)
    entry = (await feishu.control("GET", "ledger"))["entries"][-1]
    assert ["Authorization", f"Bearer <{entry['token']}>"] in captured["headers"]


async def test_entries_can_be_narrowed(feishu: Feishu) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    await feishu.send(uuid="key-1")
    await feishu.send(uuid="key-2", token=other)
    await feishu.send("sim_500")
    for query, count in (
        ({"template": SEND}, 3),
        ({"key": "key-1"}, 1),
        ({"app_id": OTHER_APP}, 2),
        ({"status": 500}, 1),
        ({"code": 2200}, 1),
        ({"since": 4}, 1),
        ({"limit": 2}, 2),
        ({"method": "GET"}, 0),
    ):
        got = await feishu.raw("GET", "/_sandbox/ledger", params=query)
        assert len(got.json["entries"]) == count, query


async def test_the_ledger_keeps_the_newest(open_feishu: OpenFeishu) -> None:
    feishu = await open_feishu(ledger_size=3)
    for _ in range(4):
        await feishu.send()
    entries = (await feishu.control("GET", "ledger"))["entries"]
    assert [entry["number"] for entry in entries] == [3, 4, 5]
    assert (await feishu.control("GET", "stats"))["total"] == 5


async def test_counters_tell_requests_tokens_and_effects(feishu: Feishu) -> None:
    await feishu.send(uuid="key-1")
    await feishu.send(uuid="key-1")
    await feishu.send(token="t-no")
    await feishu.call("GET", "/open-apis/bot/v3/info")
    stats = await feishu.control("GET", "stats")
    assert stats["requests"][f"POST {SEND}"] == 3
    assert (stats["total"], stats["token_requests"], stats["tokens_issued"]) == (5, 1, 1)
    assert stats["statuses"] == {"200": 4, "400": 1}
    assert stats["codes"] == {"0": 4, "99991663": 1}
    assert stats["effects"] == 1
    assert await feishu.control("GET", "effects", key="key-1") == {"key-1": 1}


async def test_requests_are_kept_in_full(feishu: Feishu) -> None:
    await feishu.call("POST", "/open-apis/sim/x%2Fy?a=%26", data=b"\xff\x00", headers={"X-A": "1"})
    (captured,) = await feishu.control("GET", "requests", number=2)
    assert captured["target"] == "/open-apis/sim/x%2Fy?a=%26"
    assert ["X-A", "1"] in captured["headers"]
    assert captured["body_base64"] == "/wA="


async def test_a_reset_forgets_what_happened_and_keeps_tokens(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"chat_limit": 1})
    await feishu.send(uuid="key-1")
    await feishu.control("POST", "faults", {"status": 500})
    await feishu.control("POST", "reset")
    assert (await feishu.control("GET", "ledger"))["entries"] == []
    assert (await feishu.control("GET", "stats"))["total"] == 0
    assert await feishu.control("GET", "messages") == []
    assert (await feishu.send(uuid="key-1")).code == 0
    assert await feishu.control("GET", "effects") == {"key-1": 1}
    assert (await feishu.send()).code == 230020
    (entry, _) = (await feishu.control("GET", "ledger"))["entries"]
    assert entry["number"] == 3


async def test_a_reset_can_drop_the_tokens(feishu: Feishu) -> None:
    await feishu.control("POST", "reset", {"tokens": True})
    assert (await feishu.send()).code == 99991663


@pytest.mark.parametrize(
    ("method", "name", "body", "status"),
    [
        ("GET", "nothing", None, 404),
        ("PUT", "faults", None, 404),
        ("POST", "ledger", None, 404),
        ("POST", "apps", {"app_id": 7}, 400),
        ("POST", "latency", {"ms": "much"}, 400),
        ("POST", "reset", [], 400),
        ("POST", "limits", {"model": "round"}, 400),
        ("GET", "ledger?since=yesterday", None, 400),
    ],
)
async def test_a_wrong_control_request_is_refused(
    feishu: Feishu, method: str, name: str, body: object, status: int
) -> None:
    got = await feishu.raw(method, f"/_sandbox/{name}", json=body)
    assert got.status == status
    assert got.json["error"]
