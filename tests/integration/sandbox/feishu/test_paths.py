"""What is there under /open-apis, and what every answer carries."""

import pytest

from sandbox.feishu.request import ApiRequest
from schemas.apis import ApiTable
from tests.support.feishu import Feishu


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/open-apis/no/such/api"),
        ("DELETE", "/open-apis/im/v1/messages"),
        ("GET", "/open-apis/im/v1/messages/:message_id"),
        ("GET", "/"),
        ("OPTIONS", "/open-apis/bot/v3/info"),
    ],
)
async def test_an_unknown_path_or_method_is_plain_text(
    feishu: Feishu, method: str, path: str
) -> None:
    got = await feishu.call(method, path)
    assert (got.status, got.content) == (404, b"404 page not found")
    assert got.headers["Content-Type"].startswith("text/plain")
    assert got.headers["X-Tt-Logid"]


async def test_every_catalogued_api_answers(feishu: Feishu, api_table: ApiTable) -> None:
    feishu.world.tokens.check_kind = False
    feishu.world.limits.enabled = False
    known = 0
    for api in api_table:
        if api.name in feishu.world.behaviours or "/auth/v3/" in api.template:
            continue
        if feishu.world.oauth.knows(api.name):
            continue
        path = "/".join("x1" if part[:1] == ":" else part for part in api.template.split("/"))
        if api_table.match(api.method, path) is not api:
            continue  # its path with these values is another API's
        answer, _ = feishu.world.decide(_request(feishu, api.method, path))
        assert answer.body == {"code": 0, "msg": "success", "data": {}}, api.name
        known += 1
    assert known > 1600


def _request(feishu: Feishu, method: str, path: str) -> ApiRequest:
    api = feishu.world.find(method, path)
    assert api is not None
    return ApiRequest(method, path, "", "", f"Bearer {feishu.token}", b"", api)


async def test_every_api_with_a_behaviour_is_in_the_catalogue(
    feishu: Feishu, api_table: ApiTable
) -> None:
    assert set(feishu.world.behaviours) <= {api.name for api in api_table}


async def test_paths_under_sim_are_apis_that_no_catalogue_knows(feishu: Feishu) -> None:
    got = await feishu.call("POST", "/open-apis/sim/v1/anything", json={"a": 1})
    assert got.json == {"code": 0, "msg": "success", "data": {}}
    assert (await feishu.call("POST", "/open-apis/sim/v1/anything", token="t-no")).status == 400


async def test_the_log_id_of_an_answer_leads_to_its_ledger_entry(feishu: Feishu) -> None:
    await feishu.send()
    got = await feishu.call("GET", "/open-apis/contact/v3/users/ou_a")
    await feishu.send()
    log_id = got.headers["X-Tt-Logid"]
    entries = (await feishu.control("GET", "ledger", log_id=log_id))["entries"]
    assert [entry["path"] for entry in entries] == ["/open-apis/contact/v3/users/ou_a"]
