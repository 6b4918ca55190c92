"""Each magic id causes its fault, and nothing else."""

import asyncio
from typing import Any

import aiohttp
import pytest

from sandbox.feishu.magic import MAGIC_IDS
from tests.support.feishu import SEND, Feishu, OpenFeishu, until

USERS = "/open-apis/contact/v3/users"

# The answer and whether the API acted, by the row that it proves.
ANSWERS: dict[str, tuple[str, int, int | None, bool]] = {
    "sim_rate_limited_400": ("sim_rate_limited_400", 400, 99991400, False),
    "sim_rate_limited_bare": ("sim_rate_limited_bare", 429, None, False),
    "sim_rate_limited": ("sim_rate_limited", 429, 99991400, False),
    "sim_chat_limited": ("sim_chat_limited", 400, 230020, False),
    "sim_token_rejected_once": ("sim_token_rejected_once", 400, 99991663, False),
    "sim_token_rejected": ("sim_token_rejected", 400, 99991663, False),
    "sim_permission": ("sim_permission", 400, 99991672, False),
    "sim_ip_denied": ("sim_ip_denied", 400, 99991401, False),
    "sim_quota": ("sim_quota", 429, 99991403, False),
    "sim_app_disabled": ("sim_app_disabled", 400, 99991662, False),
    "sim_500": ("sim_500", 500, 2200, False),
    "sim_502_html": ("sim_502_html", 502, None, False),
    "sim_504": ("sim_504", 504, None, True),
    "sim_slow_<n>s": ("sim_slow_0s", 200, 0, True),
    "sim_malformed_json": ("sim_malformed_json", 200, None, True),
    "sim_not_json": ("sim_not_json", 200, None, False),
    "sim_redirect": ("sim_redirect", 302, None, False),
    "sim_huge": ("sim_huge", 200, 0, True),
    "sim_code_<n>": ("sim_code_1254291", 200, 1254291, False),
    "sim_status_<n>_<n>": ("sim_status_403_1254608", 403, 1254608, False),
}
BROKEN: dict[str, bool] = {"sim_cut_before": False, "sim_cut": True, "sim_truncated": True}
SILENT = {"sim_hang"}


def test_every_magic_id_is_proven() -> None:
    assert {row.name for row in MAGIC_IDS} == {*ANSWERS, *BROKEN, *SILENT}


@pytest.mark.parametrize("name", list(ANSWERS))
async def test_a_magic_id_is_answered_as_its_row_says(feishu: Feishu, name: str) -> None:
    magic_id, status, code, acts = ANSWERS[name]
    got = await feishu.send(magic_id)
    assert got.status == status
    assert got.headers["X-Tt-Logid"]
    if code is not None:
        assert got.code == code
    assert sum(feishu.world.ledger.effects.values()) == acts


@pytest.mark.parametrize("name", list(BROKEN))
async def test_a_magic_id_breaks_the_connection(feishu: Feishu, name: str) -> None:
    with pytest.raises(aiohttp.ClientError):
        await feishu.send(name)
    assert sum(feishu.world.ledger.effects.values()) == BROKEN[name]
    (entry,) = (await feishu.control("GET", "ledger", template=SEND))["entries"]
    assert entry["status"] == 0


async def test_a_hanging_call_acts_and_is_never_answered(feishu: Feishu) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(feishu.send("sim_hang", uuid="key-1"), 0.2)
    assert feishu.world.ledger.effects["key-1"] == 1
    # The key is in flight until the caller has gone; then the first one's message is found.
    await until(lambda: not feishu.world.repeats.in_flight)
    got = await feishu.send(uuid="key-1")
    assert got.data["chat_id"] == "sim_hang"


async def test_headers_tell_how_long_to_wait(feishu: Feishu) -> None:
    for magic_id in ("sim_rate_limited", "sim_rate_limited_400"):
        assert (await feishu.send(magic_id)).headers["x-ogw-ratelimit-reset"] == "1"
    bare = await feishu.send("sim_rate_limited_bare")
    assert bare.headers["Retry-After"] == "1"
    assert "x-ogw-ratelimit-reset" not in (await feishu.send("sim_quota")).headers


async def test_a_missing_scope_is_named(feishu: Feishu) -> None:
    error = (await feishu.send("sim_permission")).json["error"]
    assert error["permission_violations"][0]["subject"] == "im:message"


async def test_a_redirect_that_is_followed_would_be_seen(feishu: Feishu) -> None:
    got = await feishu.send("sim_redirect")
    assert (await feishu.call("GET", got.headers["Location"])).code == 0
    entries = (await feishu.control("GET", "ledger"))["entries"]
    assert entries[-1]["path"] == "/open-apis/sim/redirected"


async def test_a_huge_answer_is_above_ten_mebibytes(feishu: Feishu) -> None:
    got = await feishu.send("sim_huge")
    assert len(got.content) > 10 * 1024 * 1024
    assert "Content-Length" not in got.headers


async def test_a_slow_answer_takes_its_seconds(feishu: Feishu) -> None:
    started = asyncio.get_running_loop().time()
    assert (await feishu.send("sim_slow_1s")).code == 0
    assert asyncio.get_running_loop().time() - started >= 1


@pytest.mark.parametrize("once", ["sim_500_then_ok", "sim_500_once-7", "sim_status_503_20072_once"])
async def test_a_once_variant_fails_for_the_first_request_of_its_id(
    feishu: Feishu, once: str
) -> None:
    assert [(await feishu.send(once)).status >= 500 for _ in range(3)] == [True, False, False]
    assert (await feishu.send(f"{once}_other")).status >= 500


async def test_a_cut_answer_is_found_again_by_its_key(feishu: Feishu) -> None:
    with pytest.raises(aiohttp.ClientError):
        await feishu.send("sim_cut_once_a", uuid="key-1")
    assert (await feishu.send("sim_cut_once_a", uuid="key-1")).code == 0
    assert await feishu.control("GET", "effects") == {"key-1": 1}


async def test_a_token_rejected_once_is_dead_for_all_calls(feishu: Feishu) -> None:
    await feishu.send("sim_token_rejected_once")
    assert (await feishu.send()).code == 99991663
    fresh = (await feishu.get_token())["tenant_access_token"]
    assert fresh != feishu.token
    assert (await feishu.send("sim_token_rejected_once", token=fresh)).code == 0


async def test_a_token_that_is_always_rejected_stays_valid_elsewhere(feishu: Feishu) -> None:
    await feishu.send("sim_token_rejected")
    assert (await feishu.send()).code == 0
    assert (await feishu.get_token())["tenant_access_token"] == feishu.token


@pytest.mark.parametrize(
    ("method", "path", "how"),
    [
        ("GET", f"{USERS}/sim_code_7", {}),
        ("GET", f"{USERS}/sim_code_7/", {}),
        ("GET", f"{USERS}/batch?user_ids=ou_a&user_ids=sim_code_7", {}),
        ("POST", f"{USERS}/batch_get_id", {"json": {"emails": ["sim_code_7"]}}),
        ("POST", "/open-apis/sim/v1/x", {"json": {"a": {"b": [{"c": "sim_code_7"}]}}}),
        ("POST", "/open-apis/im/v1/images", {"data": {"image_type": "sim_code_7", "image": b"x"}}),
    ],
)
async def test_the_id_may_stand_anywhere(
    feishu: Feishu, method: str, path: str, how: dict[str, Any]
) -> None:
    if "image" in how.get("data", {}):
        form = aiohttp.FormData()
        form.add_field("image_type", how["data"]["image_type"])
        form.add_field("image", b"x", filename="a.png")
        how = {"data": form}
    got = await feishu.call(method, path, **how)
    if path.endswith("/"):
        assert got.status == 404
    else:
        assert (got.status, got.code) == (200, 7)


async def test_text_and_names_of_fields_are_no_ids(feishu: Feishu) -> None:
    assert (await feishu.send(text="sim_500")).code == 0
    assert (await feishu.send(text="is sim_500 magic?", sim_500=1)).code == 0


async def test_an_unknown_magic_id_is_a_mistake(feishu: Feishu) -> None:
    got = await feishu.send("sim_ratelimited")
    assert (got.status, got.code) == (400, 9499)
    assert "sim_ratelimited" in got.json["msg"]


async def test_the_table_can_be_read(feishu: Feishu) -> None:
    rows = await feishu.control("GET", "magic")
    assert [row["id"] for row in rows] == [row.name for row in MAGIC_IDS]
    assert all(row["effect"] for row in rows)


async def test_a_magic_id_needs_a_valid_token(open_feishu: OpenFeishu) -> None:
    feishu = await open_feishu()
    assert (await feishu.send("sim_500", token="t-no")).code == 99991663
