"""Nothing is sent where no reply may go, and no call is returned. Other poison: tests/corpus."""

from __future__ import annotations

import secrets

import pytest

from sandbox.feishu import SandboxFeishu
from schemas import names
from tests.support.gateway import Gateway, api_requests
from tests.support.poison.kinds import CALL
from tests.support.poison.properties import REPLY_ADDRESSES
from tests.support.producer import GOOD_CALL, Producer


@pytest.mark.parametrize("address", REPLY_ADDRESSES)
async def test_a_call_with_a_forbidden_reply_address_becomes_a_dead_letter_and_is_never_answered(
    address: str, gateway: Gateway, producer: Producer, simulated: SandboxFeishu
) -> None:
    pid, before = gateway.pid, simulated.world.ledger.last_number
    correlation_id = secrets.token_hex(8)
    async with producer.watched(address) as arrived:
        await producer.send(CALL, reply_to=address, correlation_id=correlation_id)
        letter = await producer.letter_of(correlation_id, within=1)
        assert (await producer.call(GOOD_CALL)).json["ok"]
        assert not arrived
    assert letter.headers[names.HEADER_DEAD_REASON] == "forbidden"
    assert letter.dead_error["type"] == "forbidden"
    assert "reply_to" in letter.dead_error["message"]
    assert letter.properties.reply_to == address
    assert [entry["path"] for entry in api_requests(simulated, before)] == [
        "/open-apis/contact/v3/users/ou_good"
    ]
    assert gateway.pid == pid


@pytest.mark.parametrize(
    ("body", "properties"),
    [
        pytest.param(b"", {}, id="a broken body"),
        pytest.param(CALL, {"content_type": "text/plain"}, id="a wrong content_type"),
        pytest.param(CALL, {"message_id": "a b"}, id="an unusable call id"),
        pytest.param(CALL, {"headers": {"CC": []}}, id="a CC"),
        pytest.param(CALL, {"headers": {"lark-deadline": 1}}, id="a passed deadline"),
        pytest.param(CALL, {"expiration": "0"}, id="no time at all"),
    ],
)
async def test_a_forbidden_reply_address_counts_before(
    body: bytes, properties: dict[str, object], producer: Producer
) -> None:
    correlation_id = secrets.token_hex(8)
    await producer.send(body, reply_to="lark.dead", correlation_id=correlation_id, **properties)
    letter = await producer.letter_of(correlation_id, within=1)
    assert letter.headers[names.HEADER_DEAD_REASON] == "forbidden"
    assert "reply_to" in letter.dead_error["message"]


@pytest.mark.parametrize("key", ["default.interactive", "default.bulk.x", "nobody.bulk", "x", ""])
async def test_nothing_that_is_published_as_a_call_is_returned(
    key: str, producer: Producer
) -> None:
    await producer.call(CALL, routing_key=key, mandatory=True)
