"""Inputs out of inputs: bytes and words put in, taken out and moved, without end."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

_WORDS = [
    *(b"null", b"true", b"NaN", b"1e400", b"-0", b"18446744073709551616", b"\\ud800", b"\\u0000"),
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"{}",
        b"[]",
        b'"":',
        b'"method"',
        b'"path"',
    ),
    *(b'"query"', b'"headers"', b'"body"', b'"form"', b'"files"', b'"as"', b'"retry"', b'"code"'),
    *(b"/open-apis/", b"..", b"%2e", b"\r\n", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b"lark-", b"lark-call-id", b"lark-deadline", b"CC", b"x-death", b"\x1f\x8b", b"\xe2\x80\xa8"),
]
_EDGES = [*(struct.pack(">q", 2**bits - 1) for bits in (7, 15, 31, 63)), b"\0" * 8, b"\xff" * 8]
_LARGEST = 1 << 16
_MOST_REPEATS = 2_000


class Mutator:
    """Draws inputs from a pool that grows with what was new; the same seed draws the same."""

    def __init__(self, first: Sequence[bytes], seed: int) -> None:
        self._random = random.Random(seed)
        self._pool = list(first)
        self._ways: Sequence[Callable[[bytes], bytes]] = (
            *(self._flip, self._insert, self._remove, self._repeat, self._splice, self._edge),
            *(self._word, self._word),
        )

    def next(self) -> bytes:
        """Another input."""
        data = self._random.choice(self._pool)
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 8))):
            data = self._random.choice(self._ways)(data)
        return data[:_LARGEST]

    def keep(self, data: bytes) -> None:
        """Go on from this one too: it did what none had done before."""
        self._pool.append(data)

    def _place(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        changed, place = bytearray(data), self._random.randrange(len(data))
        changed[place] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _insert(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._random.randbytes(self._random.randint(1, 4)) + data[place:]

    def _remove(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + data[place + self._random.choice((1, 1, 2, 4, 16, 64)) :]

    def _repeat(self, data: bytes) -> bytes:
        start = self._place(data)
        end = start + self._random.choice((1, 2, 5, 20))
        times = self._random.choice((1, 2, 10, 70, _MOST_REPEATS))
        return data[:end] + data[start:end] * times + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._pool)
        return data[: self._place(data)] + other[self._place(other) :]

    def _edge(self, data: bytes) -> bytes:
        place, edge = self._place(data), self._random.choice(_EDGES)
        return data[:place] + edge + data[place + len(edge) :]

    def _word(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._random.choice(_WORDS) + data[place:]
