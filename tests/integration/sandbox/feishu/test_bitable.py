"""Records of a bitable."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.support.feishu import Feishu, until

RECORDS = "/open-apis/bitable/v1/apps/bas1/tables/tbl1/records"


async def create(feishu: Feishu, fields: dict[str, Any], **query: str) -> Any:
    return await feishu.call("POST", RECORDS, params=query, json={"fields": fields})


async def test_a_record_lives_from_create_to_delete(feishu: Feishu) -> None:
    record = (await create(feishu, {"name": "a", "n": 1})).data["record"]
    path = f"{RECORDS}/{record['record_id']}"
    assert (await feishu.call("GET", path)).data["record"] == record
    updated = (await feishu.call("PUT", path, json={"fields": {"n": 2}})).data["record"]
    assert updated["fields"] == {"name": "a", "n": 2}
    assert (await feishu.call("DELETE", path)).data["deleted"] is True
    for method, body in (("GET", None), ("PUT", {"fields": {}}), ("DELETE", None)):
        got = await feishu.call(method, path, json=body)
        assert (got.status, got.code) == (400, 1254043)


async def test_tables_are_apart(feishu: Feishu) -> None:
    await create(feishu, {"name": "a"})
    other = RECORDS.replace("tbl1", "tbl2")
    assert (await feishu.call("GET", other)).data["total"] == 0


async def test_records_are_paged(feishu: Feishu) -> None:
    rows = [{"fields": {"n": n}} for n in range(5)]
    await feishu.call("POST", f"{RECORDS}/batch_create", json={"records": rows})
    seen, query = [], {"page_size": "2"}
    for _ in range(3):
        data = (await feishu.call("GET", RECORDS, params=query)).data
        seen += [item["fields"]["n"] for item in data["items"]]
        query["page_token"] = data.get("page_token", "")
    assert (seen, data["has_more"], data["total"]) == ([0, 1, 2, 3, 4], False, 5)
    exact = (await feishu.call("GET", RECORDS, params={"page_size": "5"})).data
    assert exact["has_more"] is False
    assert (await feishu.call("GET", RECORDS, params={"page_size": "501"})).code == 99992402


async def test_a_search_filters(feishu: Feishu) -> None:
    for name in ("anna", "hannah", "bob"):
        await create(feishu, {"name": name})
    for operator, found in (("is", ["anna"]), ("contains", ["anna", "hannah"])):
        condition = {"field_name": "name", "operator": operator, "value": ["anna"]}
        body = {"filter": {"conjunction": "and", "conditions": [condition]}}
        items = (await feishu.call("POST", f"{RECORDS}/search", json=body)).data["items"]
        assert [item["fields"]["name"] for item in items] == found


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (RECORDS, {}, 1254001),
        (RECORDS, {"fields": []}, 1254001),
        (f"{RECORDS}/batch_create", {"records": []}, 1254001),
        (f"{RECORDS}/batch_create", {"records": [{"fields": {}}, {}]}, 1254001),
        (f"{RECORDS}/batch_create", {"records": [{"fields": {}}] * 1001}, 1254104),
        (f"{RECORDS}?client_token=7", {"fields": {}}, 1254037),
        (f"{RECORDS}/batch_create?client_token=7", {"records": [{"fields": {}}]}, 1254037),
    ],
)
async def test_a_wrong_body_creates_nothing(
    feishu: Feishu, path: str, body: dict[str, Any], code: int
) -> None:
    got = await feishu.call("POST", path, json=body)
    assert (got.status, got.code) == (400, code)
    assert (await feishu.call("GET", RECORDS)).data["total"] == 0


async def test_the_same_client_token_creates_one_record(feishu: Feishu) -> None:
    token = str(uuid4())
    first = (await create(feishu, {"name": "a"}, client_token=token)).json
    record_id = first["data"]["record"]["record_id"]
    await feishu.call("PUT", f"{RECORDS}/{record_id}", json={"fields": {"name": "b"}})
    assert (await create(feishu, {"name": "a"}, client_token=token)).json == first
    assert (await feishu.call("GET", RECORDS)).data["total"] == 1
    assert (await create(feishu, {"name": "c"}, client_token=token)).code == 1255006


async def test_a_client_token_in_flight_is_refused(feishu: Feishu) -> None:
    token = str(uuid4())
    first = asyncio.create_task(create(feishu, {"name": "sim_hang"}, client_token=token))
    await until(lambda: feishu.world.ledger.effects[token] == 1)
    got = await create(feishu, {"name": "a"}, client_token=token)
    assert (got.status, got.code) == (403, 1254608)
    first.cancel()
