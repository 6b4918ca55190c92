"""What a producer may ask for, and what of it reaches Feishu."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.feishu import SandboxFeishu
from sandbox.feishu.ledger import Capture
from tests.support.calls import change, invite, read
from tests.support.poison.bodies import GOOD, MIB, nested
from tests.support.producer import Producer

ID_CHARACTERS = "AZaz09._:-"
# An hour: the tests before may take minutes after this line has run.
LATER = int(time.time() * 1000) + 3_600_000


async def sent(producer: Producer, simulated: SandboxFeishu, call: Any, **how: Any) -> Capture:
    """The one request that Feishu gets for a call; the call must succeed."""
    before = simulated.world.ledger.last_number
    reply = await producer.call(call, **how)
    assert reply.json["ok"], reply.json
    (capture,) = [c for c in simulated.world.ledger.captures if c.number > before]
    return capture


def headers_of(capture: Capture) -> Mapping[str, str]:
    return {name.decode().lower(): value.decode() for name, value in capture.headers}


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param({"content_type": None}, id="no content_type"),
        pytest.param({"content_type": "application/json"}, id="content_type"),
        pytest.param({"content_type": "Application/JSON; charset=utf-8"}, id="content_type's case"),
        pytest.param({"content_type": "application/json ;x=y"}, id="content_type's parameters"),
        pytest.param({"content_encoding": "identity"}, id="content_encoding identity"),
        pytest.param({"content_encoding": "utf-8"}, id="content_encoding utf-8"),
        pytest.param({"type": "lark.call.v1"}, id="type"),
        pytest.param({"message_id": "x" * 128}, id="call id of 128 characters"),
        pytest.param({"message_id": "a b", "headers": {"lark-call-id": "ab"}}, id="call id header"),
        pytest.param({"routing_key": "default.interactive.and.more"}, id="more words"),
        pytest.param({"routing_key": "default.bulk"}, id="bulk"),
        pytest.param({"routing_key": "default.bulk.urgent"}, id="bulk and more words"),
        pytest.param({"headers": {"lark-deadline": LATER}}, id="deadline"),
        pytest.param({"headers": {"lark-deadline": str(LATER)}}, id="deadline in digits"),
        pytest.param({"headers": {"lark-deadline": f"000{LATER}"}}, id="deadline with zeros"),
        pytest.param({"headers": {"lark-deadline": 2**63 - 1}}, id="deadline far away"),
        pytest.param({"headers": {"lark-deadline": "9" * 5000}}, id="deadline of 5,000 digits"),
        pytest.param({"expiration": "60000"}, id="expiration"),
        pytest.param({"headers": {"x-anything": [1, {"a": None}], "other": 1.5}}, id="headers"),
        pytest.param({"priority": 9, "app_id": "shop", "timestamp": 1}, id="other properties"),
        pytest.param({"timestamp": 1_700_000_000_000_000}, id="a timestamp in microseconds"),
        pytest.param({"app_id": b"\xc4\xe3"}, id="text that is no UTF-8"),
    ],
)
async def test_a_message_that_keeps_the_rules_is_carried_out(
    properties: dict[str, Any], producer: Producer
) -> None:
    assert (await producer.call(read(), **properties)).json["ok"]


async def test_each_character_of_a_call_id_may_stand_anywhere(producer: Producer) -> None:
    for character in ID_CHARACTERS:
        assert (await producer.call(read(), message_id=character)).json["call_id"] == character


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_the_method_is_passed_on(
    method: str, producer: Producer, simulated: SandboxFeishu
) -> None:
    call = {"method": method, "path": "/open-apis/im/v1/messages/sim_code_0"}
    before = simulated.world.ledger.last_number
    await producer.call(call)
    captures = [c for c in simulated.world.ledger.captures if c.number > before]
    assert [(c.method, c.target) for c in captures] == [(method, call["path"])]


async def test_64_levels_are_passed_on(producer: Producer, simulated: SandboxFeishu) -> None:
    body = nested(63)
    assert json.loads((await sent(producer, simulated, change(body=body))).body) == body


async def test_a_message_of_16_mib_is_passed_on(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    call = json.dumps(change(body="<>")).encode()
    call = call.replace(b"<>", b"x" * (16 * MIB - len(call) + 2))
    assert len(call) == 16 * MIB
    request = await sent(producer, simulated, call, within=30)
    assert int(headers_of(request)["content-length"]) > 16 * MIB - 1000


@pytest.mark.parametrize(
    "written",
    [
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "1234567890123456789",
        "-1234567890123456789",
        "0",
    ],
)
async def test_integers_reach_feishu_digit_by_digit(
    written: str, producer: Producer, simulated: SandboxFeishu
) -> None:
    call = (
        b'{"method": "PUT", "path": "/open-apis/im/v1/chats/oc_1", "query": {"n": NUMBER},'
        b' "body": {"a": [NUMBER, "NUMBER0000000000"], "b": 12345678901234567890.5}}'
    ).replace(b"NUMBER", written.encode())
    request = await sent(producer, simulated, call)
    assert request.target.endswith(f"?n={written}")
    assert request.body.startswith(f'{{"a":[{written},"{written}0000000000"],"b":1.23'.encode())


async def test_of_duplicate_keys_the_last_counts(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    call = GOOD.replace(b'{"method": "GET"', b'{"method": "POST", "query": 1, "method": "GET"')
    request = await sent(producer, simulated, call.replace(b"}", b', "query": {"a": 1, "a": 2}}'))
    assert (request.method, request.target.partition("?")[2]) == ("GET", "a=2")


async def test_query_values_are_sent_as_json_writes_them_and_encoded(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    query = {
        "text": "a b&c=d#é/?",
        "plain": "AZaz09-._~",
        "number": 1.5,
        "yes": True,
        "no": False,
        "many": ["x", 2, True],
        "none": [],
        "the key": "",
    }
    request = await sent(producer, simulated, read(query=query))
    assert request.target.partition("?")[2] == (
        "text=a%20b%26c%3Dd%23%C3%A9%2F%3F&plain=AZaz09-._~&number=1.5&yes=true&no=false"
        "&many=x&many=2&many=true&the%20key="
    )


async def test_a_path_parameter_stays_one_segment(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    request = await sent(producer, simulated, read("ou_/../a%2e b?#&+:@é~-._"))
    assert request.target == (
        "/open-apis/contact/v3/users/ou_%2F..%2Fa%252e%20b%3F%23%26%2B%3A%40%C3%A9~-._"
    )
    request = await sent(producer, simulated, read("ou_" + "x" * 253))
    assert request.target == "/open-apis/contact/v3/users/ou_" + "x" * 253


async def test_a_path_of_512_characters_with_colons_in_it_is_sent_as_it_is(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    path = "/open-apis/contact/v3/users/ou_:a@b=c~d.e-f_G:"
    path += "x" * (512 - len(path))
    assert (await sent(producer, simulated, {"method": "GET", "path": path})).target == path


async def test_a_parameter_may_be_used_twice(producer: Producer, simulated: SandboxFeishu) -> None:
    call = {"method": "POST", "path": "/open-apis/sim/:a/:a", "path_params": {"a": "b"}}
    assert (await sent(producer, simulated, call)).target == "/open-apis/sim/b/b"


async def test_the_allowed_headers_are_sent_and_the_token_is_ours(
    producer: Producer, simulated: SandboxFeishu
) -> None:
    allowed = {
        "accept-language": "zh",
        "RANGE": "bytes=0-1",
        "X-request-id": "~ !",
        "x-lark-helpdesk-authorization": "x" * 1024,
    }
    request = await sent(producer, simulated, read(headers=allowed))
    headers = headers_of(request)
    assert {name.lower(): value for name, value in allowed.items()}.items() <= headers.items()
    assert headers["authorization"].startswith("Bearer t-")
    assert set(headers) - {name.lower() for name in allowed} == {
        *("host", "authorization", "user-agent", "accept", "accept-encoding")
    }


@pytest.mark.parametrize("body", [0, False, "", [], {}, "文", {"a": [1, None]}])
async def test_any_json_is_a_body(body: Any, producer: Producer, simulated: SandboxFeishu) -> None:
    request = await sent(producer, simulated, change(body=body))
    assert json.loads(request.body) == body
    assert headers_of(request)["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("call", [change(body=None), invite(body=None), read(body=None)])
async def test_null_is_no_body(call: Any, producer: Producer, simulated: SandboxFeishu) -> None:
    request = await sent(producer, simulated, call)
    assert request.body == b""
    assert "content-type" not in headers_of(request)


@pytest.mark.parametrize(
    ("identity", "token"), [("tenant", "Bearer t-"), ("app", "Bearer t-"), ("none", "")]
)
async def test_the_token_is_that_of_the_asked_identity(
    identity: str, token: str, producer: Producer, simulated: SandboxFeishu
) -> None:
    before = simulated.world.ledger.last_number
    await producer.call({**read(), "as": identity})
    (request,) = [c for c in simulated.world.ledger.captures if c.number > before]
    assert headers_of(request).get("authorization", "")[:9] == token


@pytest.mark.parametrize("spelling", ["user_info", "USER_INFO"])
async def test_one_path_below_the_credential_endpoints_is_allowed(
    spelling: str, producer: Producer, simulated: SandboxFeishu
) -> None:
    before = simulated.world.ledger.last_number
    path = f"/open-apis/authen/v1/{spelling}"
    await producer.call({"method": "GET", "path": path, "as": "none"})
    assert [c.target for c in simulated.world.ledger.captures if c.number > before] == [path]
