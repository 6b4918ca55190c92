"""Whatever call is written, it is read as it was meant; whatever else comes is poison, no crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from consumers.body import parse_call
from consumers.codec import (
    DAY_SECONDS,
    DEFAULT_DEADLINE_SECONDS,
    Poison,
    address_of,
    check_reply_to,
    open_envelope,
)
from consumers.wire import Opaque, table
from schemas import names
from schemas.call import ALLOWED_HEADERS
from tests.support.builders import NOW, make_copy, make_delivery
from tests.support.examples import tried

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SEGMENT = st.from_regex(r"[A-Za-z0-9_.@=~-][A-Za-z0-9_.:@=~-]{0,9}", fullmatch=True).filter(
    lambda segment: segment not in (".", "..")
)
NAME = st.from_regex(r"[A-Za-z0-9_]{1,9}", fullmatch=True)
PARAM = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda value: value not in (".", "..")
)
INTEGER = st.integers(-(2**63), 2**64 - 1)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGER | FLOAT | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SCALAR = TEXT | INTEGER | FLOAT | st.booleans()
KEY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def refusal(read: Callable[[], object]) -> Poison | None:
    """The poison that it is, None for none; any other exception is a defect."""
    try:
        read()
    except Poison as poison:
        return poison
    return None


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """The fields of a call that keeps all rules."""
    params = draw(st.dictionaries(NAME, PARAM, max_size=3))
    segments = draw(st.permutations([*(f":{name}" for name in params), draw(SEGMENT)]))
    fields: dict[str, Any] = {
        "method": draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])),
        "path": "/open-apis/x-" + "/".join(["y", *segments]),
        "path_params": params,
        "query": draw(st.dictionaries(TEXT, SCALAR | st.lists(SCALAR, max_size=3), max_size=3)),
        "headers": draw(
            st.dictionaries(
                st.sampled_from(ALLOWED_HEADERS),
                st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
            )
        ),
        "body": draw(JSON),
        "as": draw(
            st.sampled_from(["tenant", "app", "none"])
            | st.fixed_dictionaries({"tenant": KEY})
            | st.fixed_dictionaries({"user": KEY})
        ),
        "retry": draw(st.sampled_from(["safe", "never", "always"])),
    }
    optional = draw(st.sets(st.sampled_from(sorted(fields.keys() - {"method", "path"}))))
    needed = {"method", "path", *(["path_params"] if params else [])}
    return {name: value for name, value in fields.items() if name in optional | needed}


@tried
@given(calls(), st.booleans(), st.sampled_from([None, 0, 2, "\t"]))
def test_a_call_is_read_as_it_was_written(
    fields: dict[str, Any], ascii_only: bool, indent: int | str | None
) -> None:
    written = json.dumps(fields, ensure_ascii=ascii_only, indent=indent).encode()

    call = parse_call(written)

    for name in fields.keys() - {"as"}:
        assert getattr(call, name) == fields[name], name
    as_ = fields.get("as", "tenant")
    assert call.as_ == as_ if isinstance(as_, str) else call.as_.model_dump() == as_
    assert orjson.loads(orjson.dumps(call.body)) == fields.get("body")


@tried
@given(st.binary(max_size=200) | JSON.map(orjson.dumps) | calls().map(orjson.dumps), st.data())
def test_any_bytes_are_a_call_or_poison_that_says_of_what(body: bytes, data: st.DataObject) -> None:
    if body:
        place = data.draw(st.integers(0, len(body) - 1))
        other = data.draw(st.binary(max_size=3))
        body = body[:place] + other + body[place + data.draw(st.integers(0, 3)) :]
    poison = refusal(lambda: parse_call(body))
    if poison is not None:
        assert poison.type in ("invalid_call", "forbidden")
        assert poison.reason in ("malformed", "invalid_call", "forbidden")
        assert 0 < len(poison.message) < 600
        assert poison.message.encode()


SHORT = st.text(st.characters(codec="utf-8"), max_size=40) | st.just("\udcff")
WIRE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | FLOAT
    | SHORT
    | st.binary(max_size=8)
    | st.binary(min_size=8, max_size=8).map(lambda data: Opaque(b"T", data)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHORT, inner, max_size=3),
    max_leaves=6,
)
OWN_NAMES = st.sampled_from(
    [value for name, value in vars(names).items() if name.startswith("HEADER_")]
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "content_type": st.just("application/json") | SHORT,
        "content_encoding": st.just("utf-8") | SHORT,
        "message_id": NAME | SHORT,
        "correlation_id": SHORT,
        "reply_to": st.just(names.DIRECT_REPLY_TO) | st.just("lark.reply.x") | SHORT,
        "expiration": st.integers(0, 2**33).map(str) | SHORT,
        "type": st.just(names.CALL_TYPE) | SHORT,
        "user_id": SHORT,
        "headers": st.dictionaries(OWN_NAMES | st.just("CC") | SHORT, WIRE, max_size=4),
    },
)
EXCHANGES = st.sampled_from([names.CALLS_EXCHANGE, *sorted(names.OWN_EXCHANGES)])


@tried
@given(PROPERTIES, EXCHANGES)
def test_any_properties_are_an_envelope_or_poison(given_: dict[str, Any], exchange: str) -> None:
    delivery = make_delivery(exchange=exchange, **given_)
    address = address_of(delivery)
    assert address.call_id is None or names.CALL_ID.fullmatch(address.call_id)
    assert address.reply_to is None or names.may_reply_to(address.reply_to)
    poison = refusal(lambda: check_reply_to(delivery)) or refusal(lambda: open_envelope(delivery))
    if poison is not None:
        assert poison.type in ("invalid_call", "forbidden")
        return
    envelope = open_envelope(delivery)
    assert names.CALL_ID.fullmatch(envelope.call_id)
    if exchange == names.CALLS_EXCHANGE:
        most = DEFAULT_DEADLINE_SECONDS if given_.get("reply_to") else DAY_SECONDS
        bounded = {"expiration"} & given_.keys() or names.HEADER_DEADLINE in delivery.headers
        assert envelope.deadline <= NOW + (DAY_SECONDS if bounded else most)
        assert (envelope.history.attempts, envelope.history.tries) == (0, 0)


@tried
@given(PROPERTIES, st.integers(0, 9), st.integers(0, 9))
def test_a_delayed_copy_is_the_same_call_and_can_be_written(
    given_: dict[str, Any], attempts: int, tries: int
) -> None:
    delivery = make_delivery(**given_)
    if refusal(lambda: check_reply_to(delivery)) or refusal(lambda: open_envelope(delivery)):
        return
    before = open_envelope(delivery)

    copy = make_copy(delivery, attempts=attempts, tries=tries)
    after = open_envelope(copy)

    assert table(copy.properties.headers)
    assert (after.history.attempts, after.history.tries) == (attempts, tries)
    assert after.id_given == before.id_given
    if before.id_given:
        assert after.call_id == before.call_id
    assert abs(after.deadline - before.deadline) < 0.002
    assert after.history.producer == before.history.producer
    assert address_of(copy).reply_to == address_of(delivery).reply_to
