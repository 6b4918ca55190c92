"""B5 and B6: headers and methods that would change the request they are written into."""

from __future__ import annotations

from collections.abc import Iterator

from tests.corpus.seeds import PATH, Refused, Seed, Sent, call, malformed, text

_FOREIGN = (
    "Authorization Proxy-Authorization Cookie Set-Cookie Host :authority :path Content-Length "
    "Content-Type Content-Encoding Transfer-Encoding Connection Proxy-Connection Keep-Alive TE "
    "Trailer Upgrade Expect Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Real-IP "
    "X-Original-URL X-Rewrite-URL X-HTTP-Method-Override User-Agent Referer Origin Accept "
    "Accept-Encoding Date Via Server X-Tt-Logid X-Lark-Request-Nonce Access-Token"
)
_ODD_NAMES = [
    *(
        "",
        " ",
        "Range ",
        " Range",
        "Range\t",
        "Range:",
        "Range: x\r\nX",
        "Ra nge",
        "Range\r\n",
        "Range\n",
    ),
    *(
        "Range\0",
        "\r\nRange",
        "Rang\u0435",
        "\uff32ange",
        "range\u200b",
        "X-Request\u2010Id",
        "X_Request_Id",
    ),
    *("X-Request-Id:", "X-Request-Id;", "x" * 10_000, "*", "é", "字"),
]
_ODD_VALUES = {
    "CR and LF": "a\r\nX: y",
    "two line breaks": "a\r\n\r\nGET / HTTP/1.1",
    "CR": "a\rb",
    "LF": "a\nb",
    "LF at its end": "a\n",
    "CR and LF at its end": "a\r\n",
    "CR and LF first": "\r\na",
    "folded by a blank": "a\r\n b",
    "folded by a tab": "a\r\n\tb",
    "NUL": "a\0b",
    "tab": "a\tb",
    "vertical tab": "a\x0bb",
    "form feed": "a\x0cb",
    "escape": "a\x1b[31mb",
    "DEL": "a\x7fb",
    "NEL": "a\x85b",
    "Latin-1": "é",
    "Chinese": "字",
    "line separator": "a\u2028b",
    "what ends in CR": "a\u560db",
    "what ends in LF": "a\u560ab",
    "emoji": "😀",
    "1,025 characters": "x" * 1025,
    "64 KiB": "x" * 65_536,
}
_GOOD_VALUES = {
    "nothing": "",
    "1,024 characters": "x" * 1024,
    "all that is printable": "".join(map(chr, range(0x20, 0x7F))),
    "an encoded line break": "a%0d%0aX: y",
    "an escaped line break": "a\\r\\nX: y",
    "a colon": ": :",
    "a token of another": "Bearer t-" + "0" * 30,
    "blanks within": "a  b",
    "JNDI": "${jndi:ldap://evil.example}",
}
_NAMES = ("Accept-Language", "Range", "X-Request-Id", "X-Lark-Helpdesk-Authorization")


def header_seeds() -> Iterator[Seed]:
    """Names that are not allowed, and values of those that are."""
    for name in [*_FOREIGN.split(" "), *_ODD_NAMES]:
        verdict = Refused(("headers", "not allowed"))
        yield Seed(f"name {name[:16]!r}", verdict, text(call(headers={name: "x"})))
    yield Seed("name of half a pair", malformed("JSON"), text(call(headers={"\ud800": "x"})))
    for name in _NAMES:
        for how, value in _ODD_VALUES.items():
            given = text(call(headers={name: value}))
            yield Seed(f"{name} with {how}", Refused(("headers", name)), given)
        for spelling in (name, name.lower(), name.upper()):
            sent = Sent(headers={name: "x"})
            yield Seed(f"{spelling!r} is allowed", sent, text(call(headers={spelling: "x"})))
    for how, value in _GOOD_VALUES.items():
        given = text(call(headers={"X-Request-Id": value}))
        yield Seed(f"value of {how}", Sent(headers={"X-Request-Id": value}), given)
    both = text(call(headers=dict.fromkeys(_NAMES, "x")))
    yield Seed("all four", Sent(headers=dict.fromkeys(_NAMES, "x")), both)
    twice = text(call(headers={"Range": "x", "RANGE": "y"}))
    yield Seed("one in two spellings", Refused(("headers", "twice")), twice)
    many = text(call(headers={f"X-{place}": "x" for place in range(1_000)}))
    yield Seed("1,000 headers", Refused(("headers", "not allowed")), many)


_METHODS = [
    *("get", "Get", "gET", "post", "HEAD", "OPTIONS", "CONNECT", "TRACE", "LINK", "PURGE", "QUERY"),
    *("MERGE", "PROPFIND", "", " ", "GET ", " GET", "GET\t", "GET\r\n", "GET\n", "GET\0", "G\0ET"),
    *("GET\r\nX: y", "GET / HTTP/1.1\r\nX: y", "GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    *(
        "\uff27\uff25\uff34",
        "GE\u0422",
        "GET\u200b",
        "GET,POST",
        "GET POST",
        "*",
        "G" * 10_000,
        "PRI * HTTP/2.0",
    ),
]


def method_seeds() -> Iterator[Seed]:
    """Methods beside the five, and the five."""
    for method in _METHODS:
        verdict = Refused(("method",))
        yield Seed(f"method {method[:16]!r}", verdict, text(call(method=method)))
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        yield Seed(f"method {method}", Sent(method, PATH), text(call(method=method)))
