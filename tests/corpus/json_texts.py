"""B1: texts that are JSON, that are not, and of which it is left open, whole and as a body."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.json_broken import broken
from tests.corpus.seeds import (
    LONG_INTEGER,
    Either,
    Refused,
    Seed,
    Sent,
    malformed,
    sent_body,
    with_body,
)

_BLANKS = (b"", b" ", b"\n", b"\r\n", b"\t")
_NUMBERS = (
    b"0 1 -1 10 -123 1234567890 9007199254740991 9007199254740993 9223372036854775807 "
    b"-9223372036854775808 18446744073709551615 0.0 -0.5 1.5 0.1 3.141592653589793 1e0 1E0 1e+1 "
    b"1e-1 0e1 0E+1 0e-1 1.5e3 1.5E-3 -1e2 1e22 1e23 1e308 -1e308 5e-324 2.2250738585072014e-308 "
    b"1.7976931348623157e308 123.456e-7 0.30000000000000004 100000000000000000000.0 1e00002 0.00001"
).split()
_ESCAPES = [
    *(rb'"\%s"' % bytes([char]) for char in rb"\/bfnrt" + b'"'),
    *(rb'"\u%04x"' % code for code in (0, 1, 0x1F, 0x20, 0x22, 0x5C, 0x7F, 0x80, 0xFF, 0x2028)),
    *(rb'"\u%04X"' % code for code in (0xABCD, 0xD7FF, 0xE000, 0xFEFF, 0xFFFE, 0xFFFF)),
    *(rb'"\ud83d\ude00"', rb'"\uD800\uDC00"', rb'"\udbff\udfff"', rb'"a\u0000b"', rb'"\\u0041"'),
]
_RAW = [
    f'"{char}"'.encode() for char in ("", " ", "\x7f", "\x80", "é", "字", "\u2028", "\ufeff")
] + [f'"{char}"'.encode() for char in ("\uffff", "\U0001f600", "\U0010ffff", "/*a*/", "//", "'")]
_SHAPES = [
    *(b"[]", b"{}", b"[[]]", b"[{}]", b'{"a":[]}', b'{"":0}', b'{"":{"":""}}', b"[0,[1,[2]]]"),
    *(b'{"a":1,"b":2}', b'{"a":null}', b"[true,false,null]", b"[1,1,1]", rb'{"\u0061":1}'),
    *(b'{"a b":" "}', b'{"\\"":"\\\\"}', rb'{"\u0000":0}', '{"é":"字"}'.encode(), b'[""]'),
    *(b'{"body":{"body":null}}', b'{"method":"DELETE"}', b'{"__proto__":{}}', b"[-0.0]"),
    *(b"[" * 60 + b"]" * 60, b'{"a":' * 60 + b"0" + b"}" * 60, b'[{"a":' * 30 + b"[]" + b"}]" * 30),
    *(b"true", b"false"),
]
_SPACED = [
    blank.join((b"", b"[", b"1", b",", b'{"a"', b":", b"2", b"}", b"]", b""))
    for blank in _BLANKS[1:]
]
VALID = [*_NUMBERS, *_ESCAPES, *_RAW, *_SHAPES, *_SPACED]

OPEN = [
    *(b"1e309 -1e309 1e400 -1e400 1e999 1E+5000 -1E+5000 1e99999999999999999999 0.1e400").split(),
    *(
        b"1.8e308 -1.8e308 17976931348623159e292 1e-324 1e-400 -1e-400 1e-99999 0e400 0e99999"
    ).split(),
    *(b"1e-99999999999999999999 0.0e-400 -0e400 -0 -0e0").split(),
    *(b"9" * digits + b".0" for digits in (20, 310, 400, 5_000)),
    *(b"0." + b"0" * zeros + b"1" for zeros in (300, 330, 5_000)),
    *(b"0." + b"9" * digits for digits in (20, 400, 5_000)),
    *(b"1" + b"0" * zeros + b"e-" + str(zeros).encode() for zeros in (30, 400, 5_000)),
]
"""Numbers that no double holds as they are written: RFC 8259 leaves them to whoever reads."""
_LONG = [
    *(b"18446744073709551616", b"-9223372036854775809", b"9" * 40, b"-" + b"9" * 5_000),
    *(b"[99999999999999999999]", b'{"a":[1,{"b":100000000000000000000}]}'),
]
_CHANGED = {
    "of duplicate names the last": (b'{"a":1,"a":2}', b'{"a":2}'),
    "of duplicate names in other words": (rb'{"a":1,"\u0061":2}', b'{"a":2}'),
    "of three the last": (b'{"a":1,"b":0,"a":{},"a":[3]}', b'{"a":[3],"b":0}'),
    "composed and not": ('{"é":1,"e\u0301":2}'.encode(),) * 2,
    "not composed": ('"e\u0301"'.encode(),) * 2,
    "names by case": (b'{"a":1,"A":2}',) * 2,
    "order of names": (b'{"b":1,"a":2,"10":3,"9":4}',) * 2,
    "escaped letters": (rb'"\u0041\u0042"', b'"AB"'),
    "escaped slash": (rb'"\/"', b'"/"'),
    "escaped pair": (rb'"\ud83d\ude00"', '"😀"'.encode()),
    "number in a string": (b'"12345678901234567890123"',) * 2,
    "largest of a script": (b"9007199254740991",) * 2,
    "beyond a script": (b"9007199254740993",) * 2,
    "largest of 64 bits": (b"[18446744073709551615,-9223372036854775808]",) * 2,
    "a fraction of nothing": (b"1.0",) * 2,
    "an exponent": (b"1e2", b"100.0"),
    "a small exponent": (b"25e-1", b"2.5"),
    "minus nothing": (b"-0.0",) * 2,
    "blanks around": (b' [ 1 , { "a" : 2 } ] ', b'[1,{"a":2}]'),
    "line breaks around": (b"\r\n[\n1\t]\r\n", b"[1]"),
    "NUL": (rb'"a\u0000b"',) * 2,
    "an empty name": (b'{"":{"":[]}}',) * 2,
}


def seeds() -> Iterator[Seed]:
    """Each text as the whole message, and as the value of a body."""
    # A call has no field that these objects have, and anything else is no call at all.
    for place, value in enumerate(VALID):
        name = f"{place} {value[:16]!r}"
        yield Seed(f"JSON, whole {name}", Refused(), value)
        yield Seed(f"JSON, body {name}", sent_body(value), with_body(value))
    for place, value in enumerate(broken()):
        name = f"{place} {value[:16]!r}"
        yield Seed(f"no JSON, whole {name}", malformed(), value)
        yield Seed(f"no JSON, body {name}", malformed("JSON"), with_body(value))
    for place, value in enumerate(OPEN):
        name = f"{place} {value[:16]!r}"
        yield Seed(f"open, whole {name}", Either(), value)
        yield Seed(f"open, body {name}", Either(), with_body(value))
    for value in _LONG:
        yield Seed(f"long integer {value[:16]!r}", LONG_INTEGER, with_body(value))
    for name, (value, arrives) in _CHANGED.items():
        yield Seed(f"changed: {name}", sent_body(arrives), with_body(value))
    yield from _envelopes()


def _envelopes() -> Iterator[Seed]:
    """Calls in other words: blanks, escapes and double names are JSON as well."""
    fields = (b'"method"', b":", b'"GET"', b",", b'"path"', b":", b'"/open-apis/sim/MARK"')
    for blank in _BLANKS:
        whole = blank.join((b"", b"{", *fields, b"}", b""))
        yield Seed(f"call, blanks {blank!r}", Sent(), whole)
    plain = b"{" + b"".join(fields) + b"}"
    for name, body in {
        "escaped field": plain.replace(b"method", rb"\u006dethod"),
        "escaped value": plain.replace(b"GET", rb"\u0047ET"),
        "escaped slashes": plain.replace(b"/", rb"\/"),
        "field twice": plain.replace(b"{", b'{"method":1,'),
        "field twice, escaped": plain.replace(b"{", rb'{"\u006dethod":"POST",'),
    }.items():
        yield Seed(f"call, {name}", Sent(), body)
