"""A dead letter: as it is published, and as the row that it becomes."""

from __future__ import annotations

import datetime
import secrets
import time
from typing import Any

import pytest

from schemas import names
from tests.support.amqp import Message
from tests.support.calls import invite, read
from tests.support.judging import unique
from tests.support.poison.odd import ODD
from tests.support.producer import Producer
from tests.support.rows import Rows

BODY = b'{"method": "GET",  "path": "/open-apis/x/y" , "unknown": "\\u00e9"}'
FORGED = {
    names.HEADER_ATTEMPTS: 3,
    names.HEADER_TRIES: 99,
    names.HEADER_FIRST_SEEN: 1,
    names.HEADER_NOT_BEFORE: 2**62,
    names.HEADER_MADE_UP: True,
    names.HEADER_MEMBER: "nobody",
    names.HEADER_STATUS: "ok",
    names.HEADER_DEAD_REASON: "failed",
    names.HEADER_DEAD_ERROR: "{}",
    names.HEADER_ORIGIN_USER: "somebody",
    names.HEADER_ORIGIN_EXCHANGE: "elsewhere",
    names.HEADER_ORIGIN_ROUTING_KEY: "nobody.bulk",
    "lark-anything": "x",
    "x-death": [{"reason": "expired", "queue": "lark.calls.default.retry", "count": 7}],
    "x-delivery-count": 99,
    "x-anything": "x",
}


async def buried(producer: Producer, body: Any, **properties: Any) -> Message:
    """The dead letter that a message becomes."""
    correlation_id = secrets.token_hex(8)
    await producer.send(body, correlation_id=correlation_id, **properties)
    return await producer.letter_of(correlation_id)


async def test_a_dead_letter_has_the_body_and_the_properties_of_the_call(
    producer: Producer,
) -> None:
    began = int(time.time() * 1000)
    headers = {"traceparent": "00-1-2-01", "tenant": "acme", "nested": {"a": [1, None, 0.1]}}
    letter = await buried(
        producer,
        BODY,
        content_type="application/json; charset=utf-8",
        content_encoding="utf-8",
        message_id="order-1",
        reply_to="lark.reply.nobody",
        priority=3,
        timestamp=1_700_000_000,
        type="lark.call.v1",
        app_id="shop",
        expiration="60000",
        headers=headers,
    )
    assert letter.body == BODY
    assert letter.exchange == "lark.dlx"
    properties = letter.properties
    assert properties.content_type == "application/json; charset=utf-8"
    assert properties.content_encoding == "utf-8"
    assert properties.message_id == "order-1"
    assert properties.reply_to == "lark.reply.nobody"
    assert properties.priority == 3
    assert str(properties.timestamp) in ("1700000000", "2023-11-14 22:13:20+00:00")
    assert properties.message_type == "lark.call.v1"
    assert properties.app_id == "shop"
    assert properties.delivery_mode == 2
    assert properties.expiration is None
    assert properties.user_id is None
    assert {name: letter.headers.pop(name) for name in headers} == headers
    first_seen = letter.headers[names.HEADER_FIRST_SEEN]
    assert began <= first_seen <= time.time() * 1000
    assert {name: value for name, value in letter.headers.items() if name not in headers} == {
        "lark-call-id": "order-1",
        "lark-dead-reason": "invalid_call",
        "lark-dead-error": letter.headers[names.HEADER_DEAD_ERROR],
        "lark-attempts": 0,
        "lark-first-seen": first_seen,
        "lark-origin-exchange": "lark.calls",
        "lark-origin-routing-key": "default.interactive",
    }
    assert letter.dead_error == {
        "type": "invalid_call",
        "message": "unknown: is not a field of a call",
        "retryable": False,
        "outcome": "not_executed",
    }


async def test_the_producers_user_is_told_where_it_is_known(
    producer: Producer, rabbitmq_user: str
) -> None:
    letter = await buried(producer, b"", user_id=rabbitmq_user)
    assert letter.headers["lark-origin-user"] == rabbitmq_user
    assert letter.properties.user_id is None


@pytest.mark.parametrize("message_id", [None, "a b", "x" * 200])
async def test_without_a_usable_call_id_a_dead_letter_names_none(
    message_id: str | None, producer: Producer
) -> None:
    letter = await buried(producer, b"", message_id=message_id, headers={"lark-call-id": 7})
    assert "lark-call-id" not in letter.headers


async def test_a_bcc_is_taken_off_and_a_cc_is_not_passed_on(producer: Producer) -> None:
    letter = await buried(producer, read(), headers={"CC": ["a.b"], "BCC": ["c.d"], "kept": 1})
    assert letter.headers["kept"] == 1
    assert not letter.headers.keys() & {"CC", "BCC"}
    assert letter.headers[names.HEADER_DEAD_REASON] == "forbidden"


async def test_the_gateways_own_headers_count_for_nothing_from_a_producer(
    producer: Producer,
) -> None:
    letter = await buried(producer, b"", headers=FORGED, message_id="forged")
    assert letter.headers[names.HEADER_ATTEMPTS] == 0
    assert letter.headers[names.HEADER_FIRST_SEEN] > 1_700_000_000_000
    assert letter.headers[names.HEADER_DEAD_REASON] == "malformed"
    assert letter.headers[names.HEADER_ORIGIN_EXCHANGE] == "lark.calls"
    assert letter.headers[names.HEADER_ORIGIN_ROUTING_KEY] == "default.interactive"
    assert not letter.headers.keys() & {
        *(names.HEADER_ORIGIN_USER, names.HEADER_TRIES, names.HEADER_STATUS),
        *("lark-anything", "x-death", "x-delivery-count", "x-anything"),
    }


async def test_a_call_with_forged_headers_is_carried_out_like_any_other(
    producer: Producer,
) -> None:
    reply = await producer.call(read(unique("sim_500_then_ok")), headers=FORGED)
    assert reply.json["ok"]
    assert reply.json["meta"]["attempts"] == 2
    assert reply.json["meta"]["total_ms"] < 60_000
    assert reply.headers["lark-status"] == "ok"
    assert (await producer.call(read("sim_permission"), headers=FORGED)).headers["lark-status"] == (
        "error"
    )


@pytest.mark.parametrize(
    ("call", "reason", "type_", "attempts"),
    [
        (read("sim_permission"), "failed", "permission_denied", 1),
        (read("sim_code_12345"), "failed", "feishu_error", 1),
        (read("sim_redirect"), "failed", "bad_response", 1),
        (read("sim_500", retry="never"), "failed", "feishu_unavailable", 1),
        (invite("sim_500"), "outcome_unknown", "outcome_unknown", 1),
        ({**read(), "as": {"user": "u"}}, "failed", "reauth_required", 0),
        ({**read(), "as": {"tenant": "t"}}, "invalid_call", "invalid_call", 0),
    ],
)
async def test_a_failure_that_nobody_waits_for_is_a_dead_letter_and_a_row(
    call: Any, reason: str, type_: str, attempts: int, producer: Producer, rows: Rows
) -> None:
    letter = await buried(producer, call, message_id="m-1", routing_key="default.bulk")
    assert letter.headers[names.HEADER_DEAD_REASON] == reason
    assert letter.dead_error["type"] == type_
    assert letter.headers[names.HEADER_ATTEMPTS] == attempts
    (row,) = await rows.of(letter.properties.correlation_id or "")
    assert row["reason"] == reason
    assert row["error"] == letter.dead_error
    assert row["attempts"] == attempts


async def test_a_dead_letter_becomes_a_row_of_the_same_content(
    producer: Producer, rows: Rows
) -> None:
    letter = await buried(
        producer,
        BODY,
        message_id="order-2",
        app_id="shop",
        type="lark.call.v1",
        headers={"tenant": "acme\0", "raw": bytearray(b"\xff")},
        routing_key="default.bulk.eu",
    )
    (row,) = await rows.of(letter.properties.correlation_id or "")
    assert row["call_id"] == "order-2"
    assert row["app"] == "default"
    assert row["reason"] == "invalid_call"
    assert row["error"] == letter.dead_error
    assert row["body"] == BODY
    assert row["headers"]["tenant"] == "acme\ufffd"
    assert row["headers"]["lark-call-id"] == "order-2"
    assert row["properties"]["message_id"] == "order-2"
    assert row["properties"]["app_id"] == "shop"
    assert row["properties"]["type"] == "lark.call.v1"
    assert row["routing_key"] == "default.bulk.eu"
    assert row["attempts"] == 0
    assert row["first_seen"].timestamp() * 1000 == letter.headers[names.HEADER_FIRST_SEEN]
    age = datetime.datetime.now(datetime.UTC) - row["dead_at"]
    assert abs(age.total_seconds()) < 60
    assert row["state"] == "open"


async def test_letters_that_are_alike_are_rows_of_their_own(producer: Producer, rows: Rows) -> None:
    for _ in range(50):
        await producer.send(b"", correlation_id="alike")
    assert len(await rows.of("alike", 50)) == 50


@pytest.mark.parametrize("properties", [pytest.param(how, id=name) for name, how in ODD.items()])
async def test_no_message_is_too_odd_to_be_buried_and_kept(
    properties: dict[str, Any], producer: Producer, rows: Rows
) -> None:
    letter = await buried(producer, b"odd", message_id="odd", **properties)
    assert letter.headers[names.HEADER_DEAD_REASON] == "malformed"
    assert letter.headers["lark-call-id"] == "odd"
    (row,) = await rows.of(letter.properties.correlation_id or "")
    assert row["body"] == b"odd"
    assert (await producer.call(read())).json["ok"]


async def test_a_correlation_id_that_is_no_utf_8_comes_back_as_it_was(producer: Producer) -> None:
    reply = await producer.call(
        read(), correlation_id=b"\xb6\xa9\xb5\xa5".decode("utf-8", "surrogateescape")
    )
    assert reply.json["ok"]
