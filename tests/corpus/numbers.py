"""B12: times and numbers at their edges."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from tests.corpus.seeds import (
    LONG_INTEGER,
    PATH,
    Either,
    Refused,
    Seed,
    Sent,
    call,
    sent_body,
    text,
    with_body,
    written,
)

_GOOD = text(call())
_PAST = [*(0, 1, 127, 128, 255, 256, 32_767, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 10**12)]
_AHEAD = [10**13, 10**15, 2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1]
_PAST_TEXTS = ["0", "00", "1", "0" * 400, "2147483647", "01000000000000"]
_AHEAD_TEXTS = ["10000000000000", "9007199254740993", "9223372036854775808", "9" * 30, "9" * 5_000]
_NO_TIME: list[Any] = [
    *(-1, -(2**31), -(2**63), 1.5, 1e300, True, None, [], [1], {"ms": 1}, bytearray(b"1")),
    *(
        "-1",
        "+1",
        "",
        " ",
        "1 ",
        " 1",
        "1.5",
        "1e13",
        "1E13",
        "0x1",
        "1_000",
        "1,000",
        "\u0661",
        "\uff11",
    ),
    *("soon", "NaN", "Infinity", "null", "2030-01-01T00:00:00Z", "1\0", "1\n", "9" * 30 + "x"),
]
_INTEGERS = [
    *(
        f"{sign}{2**bits + more}"
        for bits in (31, 32, 53)
        for sign in ("", "-")
        for more in (-1, 0, 1)
    ),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "-9223372036854775808"),
]
_TOO_LONG = ["18446744073709551616", "-9223372036854775809", "1" + "0" * 30, "-1" + "0" * 400]


def seeds() -> Iterator[Seed]:
    """Deadlines, life times, and integers in bodies and queries, digit by digit."""
    expired = Refused(("deadline",), "deadline_exceeded", None)
    for past in [*_PAST, *_PAST_TEXTS]:
        given = {"headers": {"lark-deadline": past}}
        yield Seed(f"deadline {str(past)[:20]} {len(str(past))}", expired, _GOOD, given)
    for ahead in [*_AHEAD, *_AHEAD_TEXTS]:
        given = {"headers": {"lark-deadline": ahead}}
        yield Seed(f"deadline {str(ahead)[:20]} {len(str(ahead))}", Sent(), _GOOD, given)
    for wrong in _NO_TIME:
        given = {"headers": {"lark-deadline": wrong}}
        yield Seed(f"deadline {str(wrong)[:20]!r}", Refused(("lark-deadline",)), _GOOD, given)
    timestamp = b"\x0dlark-deadlineT" + struct.pack(">Q", 2**40)
    yield Seed(
        "deadline of a timestamp", Refused(("lark-deadline",)), _GOOD, {"headers": timestamp}
    )
    for life in ("60000", "86400000", "4294967295", "000060000"):
        yield Seed(f"expiration {life}", Sent(), _GOOD, {"expiration": life})
    for life in ("0", "1", "5"):
        # The broker may be faster than the gateway, or not.
        maybe = Either(frozenset({"deadline_exceeded"}))
        yield Seed(f"expiration {life}", maybe, _GOOD, {"expiration": life})
    for number in _INTEGERS:
        digits = number.encode()
        yield Seed(f"in a body {number}", sent_body(b"[%s]" % digits), with_body(b"[%s]" % digits))
        sent = Sent(target=f"{PATH}?n={number}")
        yield Seed(f"in a query {number}", sent, written("query", b'{"n":%s}' % digits))
    for number in _TOO_LONG:
        digits = number.encode()
        yield Seed(f"too long {number[:24]}", LONG_INTEGER, with_body(digits))
        query = written("query", b'{"n":[%s]}' % digits)
        yield Seed(f"too long in a query {number[:24]}", LONG_INTEGER, query)
