"""Clears what leaves in words, log lines and error texts, of secrets: the one place that does."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote

MASK = "********"
SHORTEST = 8
"""Characters from which a secret is looked for by its value; a shorter one is part of any text."""
MOST_KNOWN = 5_000
_SHORTEST_FORM = len("://:p@")
_STEP = 8
_LONG = 2 * _STEP - 1
"""From this length, wherever a secret stands, it covers a piece of text that begins at a multiple
of the step and is as long: looking at those pieces alone finds it."""

_ENCODED = re.compile(r"(?<![\w+/-])(?=[a-z0-9+/_-]*[A-Z])[A-Za-z0-9+/_-]{11,}")
"""What may be base64 of a text long enough to hold a secret. Paths and most ids have no capitals,
which base64 of words can hardly do without: they need not be decoded."""
_URL_SAFE = str.maketrans("-_", "+/")

_NAMES = ("authorization", "secret", "token", "password", "passwd", "cookie", "ticket", "key")
_NAME = "(?:authorization|secret|token|password|passwd|cookie|ticket|secret_key|api_key)"
_NAMED = re.compile(rf"{_NAME}$", re.IGNORECASE)
_SKIPPED = frozenset({"timestamp", "level"})
_BY_VALUE_ALONE = frozenset({"event", "call_id", "log_id", "traceparent", "tracestate"})
"""Fields whose values have a form of their own, or the producer's, that may look like a token."""
_FORMS = (
    # What one of must be in the text, in lower case, for the search to be worth it; the search.
    (("bearer",), re.compile(r"(bearer\s+)[\w.~+/=-]+", re.IGNORECASE)),
    (("basic",), re.compile(r"(basic\s+)[\w+/=-]{8,}", re.IGNORECASE)),
    (("://",), re.compile(r"(://[^\s:/@]*:)[^\s/@]+(?=@)")),
    (_NAMES, re.compile(rf"({_NAME}=)[^\s\"'&,;)}}\]]+", re.IGNORECASE)),
    (_NAMES, re.compile(rf"({_NAME}\\?[\"']\s*:\s*b?\\?[\"'])[^\"'\\]+", re.IGNORECASE)),
    (("eyj",), re.compile(r"()\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*")),
    (("-",), re.compile(r"()\b(?:t|u|a|ur)-[A-Za-z0-9_.]{20,}")),
)


class Redactor:
    """Masks secrets by value, by form and by the name of their field.

    It keeps the 5,000 values that it met last, so that it cannot grow with the users of an app.
    """

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._known: OrderedDict[str, None] = OrderedDict()
        self._short: set[str] = set()
        # Near their ends, since tokens of one day begin alike.
        self._by_piece: dict[str, list[str]] = {}

    def learn(self, secret: str) -> None:
        """Mask this value from now on, also as URLs, JSON and base64 write it, and over lines."""
        for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
            if form in self._known:
                self._known.move_to_end(form)
            elif len(form) >= SHORTEST:
                self._remember(form)

    def text(self, text: str) -> str:
        """The text with every secret masked that is known or looks like one."""
        text = self._without_known(text)
        if len(text) < _SHORTEST_FORM:
            return text
        holds = text.lower().__contains__
        for signs, form in _FORMS:
            if any(map(holds, signs)):
                text = form.sub(rf"\g<1>{MASK}", text)
        return text

    def event(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        """Mask the fields of a log line: structlog's last processor before the line is written."""
        return {name: self._field(name, value) for name, value in event.items()}

    def _field(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float) or name in _SKIPPED:
            return value
        if isinstance(value, str | bytes) and _names_a_secret(name):
            return MASK if value else value
        if isinstance(value, str):
            return self._without_known(value) if name in _BY_VALUE_ALONE else self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._field(name, item) for item in value]
        return self.text(repr(value))

    def _without_known(self, text: str) -> str:
        spans = [*self._spans(text), *self._spans_in_base64(text)]
        if "\n" in text:
            spans += self._spans_across_lines(text)
        if not spans:
            return text
        spans.sort()
        parts, done = [], 0
        for start, end in spans:
            if start >= done:
                parts += [text[done:start], MASK]
            done = max(done, end)
        return "".join([*parts, text[done:]])

    def _spans(self, text: str) -> list[tuple[int, int]]:
        spans = [span for value in self._short if value in text for span in _places(value, text)]
        by_piece = self._by_piece
        for start in range(0, len(text) - _STEP + 1, _STEP):
            values = by_piece.get(text[start : start + _STEP])
            if values:
                spans += [span for value in values for span in _places(value, text)]
        return spans

    def _spans_across_lines(self, text: str) -> Iterator[tuple[int, int]]:
        """Where a value goes on in the next line, as what is wrapped to a width does."""
        kept = [place for place, char in enumerate(text) if char not in "\r\n"]
        for start, end in self._spans("".join(text[place] for place in kept)):
            yield kept[start], kept[end - 1] + 1

    def _spans_in_base64(self, text: str) -> Iterator[tuple[int, int]]:
        for found in _ENCODED.finditer(text):
            if any(map(self._spans, _decoded(found[0]))):
                yield found.span()

    def _remember(self, value: str) -> None:
        self._known[value] = None
        if len(value) < _LONG:
            self._short.add(value)
        else:
            for piece in _pieces(value):
                self._by_piece.setdefault(piece, []).append(value)
        if len(self._known) > self._most:
            self._forget(self._known.popitem(last=False)[0])

    def _forget(self, value: str) -> None:
        self._short.discard(value)
        for piece in _pieces(value) if len(value) >= _LONG else ():
            self._by_piece[piece].remove(value)
            if not self._by_piece[piece]:
                del self._by_piece[piece]


def _pieces(value: str) -> set[str]:
    last = len(value) - _STEP
    return {value[start : start + _STEP] for start in range(last, last - _STEP, -1)}


def _decoded(encoded: str) -> Iterator[str]:
    """What it says as base64, wherever in it that begins."""
    encoded = encoded.translate(_URL_SAFE)
    for start in range(4):
        whole = encoded[start:]
        # A rest of two or three letters holds one byte or two.
        rest = len(whole) % 4
        padded = whole[:-1] if rest == 1 else whole + "=" * (-len(whole) % 4)
        with suppress(binascii.Error):
            yield b64decode(padded).decode(errors="replace")


def _places(value: str, text: str) -> list[tuple[int, int]]:
    places, start = [], text.find(value)
    while start >= 0:
        places.append((start, start + len(value)))
        start = text.find(value, start + 1)
    return places


@lru_cache(maxsize=512)
def _names_a_secret(name: str) -> bool:
    return _NAMED.search(name) is not None
