"""Messages that break several rules, of which the first counts."""

from __future__ import annotations

from schemas import names
from tests.support.poison.kinds import Poison, call_with

_PAST = {"headers": {names.HEADER_DEADLINE: 1}}
_OVERDUE_AND = {"headers": {names.HEADER_DEADLINE: 1, "CC": []}}

KINDS = [
    Poison(
        "unrouted before a broken body",
        b"",
        ("routing key",),
        "unrouted",
        "unrouted",
        routing_key="nobody.bulk",
    ),
    Poison(
        "unrouted before a wrong content_type",
        says=("routing key",),
        type="unrouted",
        reason="unrouted",
        routing_key="default.urgent",
        properties={"content_type": "text/plain", "message_id": "a b"},
    ),
    Poison(
        "unrouted before a CC",
        says=("routing key",),
        type="unrouted",
        reason="unrouted",
        routing_key="nobody.bulk",
        properties={"headers": {"CC": ["nobody.interactive.too"]}, "expiration": "60000"},
    ),
    Poison(
        "properties before an empty body",
        b"",
        ("content_encoding",),
        properties={"content_encoding": "gzip"},
    ),
    Poison("call id before a broken body", b"{", ("call id",), properties={"message_id": "a b"}),
    Poison(
        "CC before a broken body", b"{", ("CC",), "forbidden", "forbidden", {"headers": {"CC": []}}
    ),
    Poison(
        "lark-deadline's form before a broken body",
        b"{",
        ("lark-deadline",),
        properties={"headers": {"lark-deadline": "soon"}},
    ),
    Poison(
        "a broken body before the deadline", b"{", ("JSON",), reason="malformed", properties=_PAST
    ),
    Poison(
        "a wrong field before the deadline", call_with(method="get"), ("method",), properties=_PAST
    ),
    Poison(
        "a credential endpoint before the deadline",
        call_with(path="/open-apis/auth/x"),
        ("credential",),
        "forbidden",
        "forbidden",
        _PAST,
    ),
    Poison(
        "CC before the deadline",
        says=("CC",),
        type="forbidden",
        reason="forbidden",
        properties=_OVERDUE_AND,
    ),
    Poison(
        "size before JSON",
        b"{" * (16 * 1024 * 1024 + 1),
        ("16777216",),
        reason="malformed",
        within=10,
    ),
    Poison(
        "depth before fields",
        b'{"method": ' + b"[" * 65 + b"]" * 65 + b"}",
        ("64",),
        reason="malformed",
    ),
]
