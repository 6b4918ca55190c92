"""B11: names of apps, tenants and users that mean more to a store, a broker or a pattern."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.corpus.seeds import UNROUTED, Refused, Seed, Sent, call, text

_GOOD = text(call())
_NAMES = [
    *(
        "x",
        "*",
        "?",
        "#",
        ".*",
        "[a-z]*",
        "^.*$",
        "(a+)+$",
        "default|x",
        "def?ult",
        "defaul[t]",
        "%",
    ),
    *(
        "_",
        "a:b",
        "a::b",
        "{a}",
        "a{b}c",
        "lark:{a}:b",
        "a/b",
        "../x",
        "a\\b",
        "a b",
        " a",
        "a ",
        "a\n",
    ),
    *(
        "a\r\nX: y",
        "a\0b",
        "\0",
        "'; DROP TABLE apps--",
        "' OR '1'='1",
        '"; --',
        "a' UNION SELECT 1--",
    ),
    *(
        "$$",
        "$1",
        "{{7*7}}",
        "${x}",
        "%s%n",
        "redis.call('flushall')",
        "return(1)",
        "*1\r\n$4\r\nPING",
    ),
    *("用户", "é", "e\u0301", "😀", "\u202ea", "\u200b", "\ufeff", "\uffff", "DEFAULT", "Default"),
    *(
        "null",
        "None",
        "0",
        "-1",
        "true",
        "__proto__",
        "x" * 255,
        "字" * 256,
        "ou_1",
        "t-" + "x" * 40,
    ),
]
_ODD: dict[str, Any] = {
    "null": None,
    "true": True,
    "a number": 1,
    "a list": ["tenant"],
    "nothing": "",
    "another word": "bot",
    "upper case": "TENANT",
    "a blank": "tenant ",
    "user without a key": "user",
    "no key": {},
    "app with a key": {"app": "default"},
    "two keys": {"tenant": "a", "user": "b"},
    "a key and more": {"user": "a", "app": "b"},
    "upper case key": {"User": "a"},
    "null as a key": {"user": None},
    "a number as a key": {"user": 1},
    "a list as a key": {"user": ["a"]},
    "an object as a key": {"user": {"user": "a"}},
    "an empty key": {"user": ""},
    "an empty tenant": {"tenant": ""},
    "a key of 257": {"user": "x" * 257},
    "a tenant of 257": {"tenant": "x" * 257},
}


def seeds() -> Iterator[Seed]:
    """Each name as an app, a tenant and a user; what `as` may not be; claims beside it."""
    for name in _NAMES:
        shown = name[:16]
        tenant = text(call(as_={"tenant": name}))
        yield Seed(f"tenant {shown!r}", Refused(("as:", "self-built")), tenant)
        unknown = Refused((), "reauth_required", None)
        yield Seed(f"user {shown!r}", unknown, text(call(as_={"user": name})))
        if len(name.encode()) < 240:
            key = f"{name}.interactive"
            yield Seed(f"app {shown!r}", UNROUTED, _GOOD, routing_key=key)
    for how, value in _ODD.items():
        yield Seed(f"as {how}", Refused(("as:",)), text(call(as_=value)))
    for word in ("tenant", "app", "none"):
        yield Seed(f"as {word}", Sent(), text(call(as_=word)))
    for field in ("app_id", "app_secret", "tenant_key", "user_id", "producer", "token"):
        body = text(call(**{field: "x"}))
        yield Seed(f"claimed by field {field}", Refused((field, "not a field")), body)
    for property_ in ("app_id", "cluster_id"):
        yield Seed(f"claimed by {property_}", Sent(), _GOOD, {property_: "another"})
