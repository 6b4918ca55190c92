"""Edits of documents, and an app's writes to drive."""

import asyncio

import pytest

from tests.support.feishu import OTHER_APP, OTHER_SECRET, Feishu, Got, OpenFeishu, until

DOCUMENTS = "/open-apis/docx/v1/documents"
DRIVE = "/open-apis/drive/v1/files"


async def edit(feishu: Feishu, how: str, document: str = "doc1", token: str | None = None) -> Got:
    blocks = f"{DOCUMENTS}/{document}/blocks"
    method, path = {
        "create": ("POST", f"{blocks}/b1/children"),
        "descendant": ("POST", f"{blocks}/b1/descendant"),
        "patch": ("PATCH", f"{blocks}/b1"),
        "batch_update": ("PATCH", f"{blocks}/batch_update"),
        "delete": ("DELETE", f"{blocks}/b1/children/batch_delete"),
    }[how]
    return await feishu.call(method, path, token=token, json={})


async def test_a_document_takes_three_edits_a_second_over_all_apis(feishu: Feishu) -> None:
    got = [await edit(feishu, how) for how in ("create", "patch", "batch_update", "delete")]
    assert [each.status for each in got] == [200, 200, 200, 429]
    assert got[-1].code == 99991400
    assert got[-1].headers["x-ogw-ratelimit-reset"] == "1"
    assert (await edit(feishu, "delete", "doc2")).code == 0
    feishu.clock.turn(1)
    assert (await edit(feishu, "descendant")).code == 0


async def test_a_documents_limit_is_shared_by_apps(feishu: Feishu) -> None:
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    assert [(await edit(feishu, "patch")).status for _ in range(3)] == [200] * 3
    assert (await edit(feishu, "patch", token=other)).status == 429


async def test_an_app_makes_three_edits_a_second_by_one_api(feishu: Feishu) -> None:
    got = [await edit(feishu, "patch", f"doc{n}") for n in range(4)]
    assert [each.status for each in got] == [200, 200, 200, 400]
    assert got[-1].code == 99991400
    assert got[-1].headers["x-ogw-ratelimit-reset"] == "1"
    assert (await edit(feishu, "create", "doc9")).status == 200


async def test_an_app_reads_five_documents_a_second(feishu: Feishu) -> None:
    got = [await feishu.call("GET", f"{DOCUMENTS}/doc1") for _ in range(6)]
    assert [each.status for each in got] == [200] * 5 + [400]


async def test_a_documents_limit_can_be_set(feishu: Feishu) -> None:
    await feishu.control("POST", "limits", {"subjects": {"document": "1/1"}})
    assert [(await edit(feishu, how)).status for how in ("create", "patch")] == [200, 429]
    await feishu.control("POST", "limits", {"enabled": False})
    assert (await edit(feishu, "patch")).status == 200


async def copy(feishu: Feishu, n: int = 0, token: str | None = None) -> Got:
    return await feishu.call("POST", f"{DRIVE}/f{n}/copy", token=token, json={})


async def test_an_app_makes_five_writes_a_second_to_drive(feishu: Feishu) -> None:
    for n in range(3):
        assert (await copy(feishu, n)).code == 0
    assert (await feishu.call("DELETE", f"{DRIVE}/f1")).code == 0
    assert (await feishu.call("POST", f"{DRIVE}/create_folder", json={})).code == 0
    got = await feishu.call("POST", f"{DRIVE}/upload_prepare", json={})
    assert (got.status, got.code) == (400, 1061045)
    other = (await feishu.get_token(OTHER_APP, OTHER_SECRET))["tenant_access_token"]
    assert (await copy(feishu, token=other)).code == 0
    feishu.clock.turn(1)
    assert (await copy(feishu)).code == 0


async def test_drives_limit_speaks_before_that_of_a_single_api(feishu: Feishu) -> None:
    calls = [await feishu.call("POST", f"{DRIVE}/create_folder", json={}) for _ in range(6)]
    assert [got.code for got in calls] == [0] * 5 + [1061045]


async def test_comments_are_no_writes_to_drive(feishu: Feishu) -> None:
    got = [await feishu.call("POST", f"{DRIVE}/f1/comments", json={}) for _ in range(6)]
    assert [each.code for each in got] == [0] * 6


async def test_an_app_makes_ten_thousand_writes_a_day_to_drive(open_feishu: OpenFeishu) -> None:
    feishu = await open_feishu(token_life=200_000)
    await feishu.control("POST", "limits", {"subjects": {"drive": "5/1;8/86400"}})
    for _ in range(2):
        for _ in range(4):
            assert (await copy(feishu)).code == 0
        feishu.clock.turn(10)
    assert (await copy(feishu)).code == 1061045
    feishu.clock.turn(86_400)
    assert (await copy(feishu)).code == 0
    await feishu.control("POST", "limits", {"subjects": {"drive": None}})
    state = await feishu.control("GET", "state")
    assert state["limits"]["subjects"]["drive"] == "5/1;10000/86400"


@pytest.mark.parametrize(("serial", "code"), [(True, 1061045), (False, 0)])
async def test_an_app_makes_no_two_writes_to_drive_at_once(
    feishu: Feishu, serial: bool, code: int
) -> None:
    await feishu.control("POST", "limits", {"serial": {"drive": serial}})
    await feishu.control("POST", "latency", {"ms": 300})
    first = asyncio.create_task(copy(feishu))
    await until(lambda: feishu.world.ledger.effects.total() == 1)
    await feishu.control("POST", "latency", {})
    assert (await copy(feishu, 2)).code == code
    assert (await first).code == 0
    assert (await copy(feishu, 3)).code == 0


async def test_drives_status_can_be_200(feishu: Feishu) -> None:
    body = {"subjects": {"drive": "1/1"}, "statuses": {"drive": 200}}
    await feishu.control("POST", "limits", body)
    got = [await copy(feishu) for _ in range(2)][-1]
    assert (got.status, got.code) == (200, 1061045)
