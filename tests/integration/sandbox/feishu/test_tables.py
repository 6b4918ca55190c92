"""Writes of a bitable's table: one at a time."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.support.feishu import Feishu, Got, OpenFeishu, until

TABLE = "/open-apis/bitable/v1/apps/bas1/tables/tbl1"
RECORDS = f"{TABLE}/records"
CREATE = "POST /open-apis/bitable/v1/apps/:app_token/tables/:table_id/records"


async def create(feishu: Feishu, path: str = RECORDS, **query: str) -> Got:
    return await feishu.call("POST", path, params=query, json={"fields": {"name": "a"}})


async def begin(feishu: Feishu, ms: int = 400, **query: str) -> "asyncio.Task[Got]":
    """A write that is being executed, for so many milliseconds."""
    await feishu.control("POST", "latency", {"ms": ms})
    before = feishu.world.ledger.effects.total()
    task = asyncio.create_task(create(feishu, **query))
    await until(lambda: feishu.world.ledger.effects.total() > before)
    await feishu.control("POST", "latency", {})
    return task


@pytest.mark.parametrize("second", ["create", "update_a_field", "batch_create"])
async def test_a_write_during_another_is_refused_and_does_nothing(
    feishu: Feishu, second: str
) -> None:
    first = await begin(feishu)
    if second == "create":
        got = await create(feishu)
    elif second == "update_a_field":
        got = await feishu.call("PUT", f"{TABLE}/fields/fld1", json={"field_name": "b"})
    else:
        rows = {"records": [{"fields": {}}]}
        got = await feishu.call("POST", f"{RECORDS}/batch_create", json=rows)
    assert (got.status, got.code) == (200, 1254291)
    assert (await first).code == 0
    assert (await feishu.call("GET", RECORDS)).data["total"] == 1
    assert (await create(feishu)).code == 0


async def test_other_tables_and_reads_are_free_meanwhile(feishu: Feishu) -> None:
    first = await begin(feishu)
    assert (await feishu.call("GET", RECORDS)).code == 0
    assert (await create(feishu, RECORDS.replace("tbl1", "tbl2"))).code == 0
    await first


async def test_writes_one_after_the_other_never_meet(feishu: Feishu) -> None:
    await feishu.control("POST", "latency", {"ms": 5})
    assert [(await create(feishu)).code for _ in range(10)] == [0] * 10


async def test_a_caller_who_hangs_up_does_not_end_the_write(feishu: Feishu) -> None:
    first = await begin(feishu, ms=600)
    first.cancel()
    await asyncio.wait([first])
    await until(lambda: not feishu.world.repeats.in_flight)
    assert (await create(feishu)).code == 1254291
    await until(lambda: not feishu.world.subjects._held)
    assert (await create(feishu)).code == 0


async def test_the_way_of_the_answer_is_not_the_write(feishu: Feishu) -> None:
    await feishu.control("POST", "latency", {"after_ms": [400, 400]})
    before = feishu.world.ledger.effects.total()
    first = asyncio.create_task(create(feishu))
    await until(lambda: feishu.world.ledger.effects.total() > before)
    assert (await create(feishu)).code == 0
    await first


async def test_the_same_client_token_meanwhile_is_a_repeat_not_a_conflict(feishu: Feishu) -> None:
    token = str(uuid4())
    first = await begin(feishu, client_token=token)
    assert (await create(feishu, client_token=token)).code == 1254608
    await first
    assert (await create(feishu, client_token=token)).code == 0
    assert (await feishu.call("GET", RECORDS)).data["total"] == 1


async def test_a_refused_write_frees_its_client_token(feishu: Feishu) -> None:
    token = str(uuid4())
    first = await begin(feishu)
    assert (await create(feishu, client_token=token)).code == 1254291
    await first
    assert (await create(feishu, client_token=token)).code == 0


async def test_a_write_that_fails_takes_no_place(feishu: Feishu) -> None:
    await feishu.control("POST", "latency", {"ms": 300})
    wrong = asyncio.create_task(feishu.call("POST", RECORDS, json={"fields": 3}))
    await until(lambda: feishu.world.ledger.last_number > 1)
    await feishu.control("POST", "latency", {})
    assert (await create(feishu)).code == 0
    assert (await wrong).code == 1254001


@pytest.mark.parametrize("change", [{"serial": {"table": False}}, {"enabled": False}])
async def test_conflicts_can_be_switched_off(feishu: Feishu, change: dict[str, Any]) -> None:
    first = await begin(feishu)
    await feishu.control("POST", "limits", change)
    assert (await create(feishu)).code == 0
    await first


async def test_switching_one_kind_leaves_the_other(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"serial": {"table": False}})
    shown = (await feishu.control("GET", "state"))["limits"]["serial"]
    assert shown == {"drive": True, "table": False}
    await feishu.control("POST", "limits", {"serial": {"table": True}})
    shown = (await feishu.control("GET", "state"))["limits"]["serial"]
    assert shown == {"drive": True, "table": True}


async def test_conflicts_are_told(feishu: Feishu) -> None:
    first = await begin(feishu)
    await create(feishu)
    await first
    stats = await feishu.control("GET", "stats", series=1)
    table = stats["subjects"]["table"]
    assert (table["accepted"], table["rejected"], table["busy"]) == (1, 1, 1)
    assert table["top"][0]["id"] == "bas1/tbl1"
    (refusal,) = stats["refusals"]
    assert (refusal["kind"], refusal["subject"]) == ("table", "bas1/tbl1")
    assert (refusal["api"], refusal["code"]) == (CREATE, 1254291)


async def test_the_apis_limit_is_answered_with_http_200(open_feishu: OpenFeishu) -> None:
    feishu = await open_feishu(overrides={CREATE: "2/1"})
    got = [await create(feishu) for _ in range(3)][-1]
    assert (got.status, got.code) == (200, 1254290)
    assert "x-ogw-ratelimit-reset" not in got.headers
    change = {"statuses": {CREATE: 429}, "codes": {CREATE: 99991400}}
    await feishu.control("POST", "limits", change)
    got = await create(feishu)
    assert (got.status, got.code) == (429, 99991400)
    assert got.headers["x-ogw-ratelimit-reset"] == "1"


async def test_a_table_can_be_given_a_rate(feishu: Feishu) -> None:
    await feishu.control(
        "POST", "limits", {"subjects": {"table": "1/1"}, "statuses": {"table": 400}}
    )
    got = [await create(feishu) for _ in range(2)][-1]
    assert (got.status, got.code) == (400, 1254290)
