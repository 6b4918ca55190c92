"""B4: paths that try to leave Feishu's host or their place, in every place of a path."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.corpus.seeds import PATH, Refused, Seed, Sent, Verdict, call, escaped, forbidden, text

_WAYS = [
    *("//evil.example/x", "///evil.example", "/\\evil.example", "\\\\evil.example\\x", "\\/evil"),
    *(
        "http://evil.example/x",
        "https:evil.example",
        "HTTP://evil.example",
        " https://evil.example",
    ),
    *(
        "@evil.example/x",
        ":443@evil.example/",
        ":@evil.example",
        "a:b@evil.example",
        ".evil.example",
    ),
    *(
        "#@evil.example/",
        "?@evil.example/",
        ";@evil.example",
        "%40evil.example",
        "%2f%2fevil.example",
    ),
    *("..", ".", "../x", "../../admin", "x/..", "x/../y", "./x", "x/./y", "...", "....//", "..;/x"),
    *("%2e%2e/x", "%2E%2E%2Fx", "..%2fx", "%252e%252e%252fx", "%c0%ae%c0%ae/x", "%u002e%u002e/x"),
    *(
        "x%00",
        "x\0",
        "x\r\ny: z",
        "x\ry",
        "x\ny",
        "x\ty",
        "x y",
        "x HTTP/1.1",
        "x%0d%0ay:z",
        "x\x7f",
    ),
    *(
        "x?a=b",
        "x#a",
        "x;a=b",
        "x&a=b",
        "x=y",
        "x+y",
        "x,y",
        "x*",
        "x|y",
        "x<y>",
        'x"y',
        "x'y",
        "x`y",
    ),
    *(
        "x{y}",
        "x[y]",
        "x^y",
        "x$y",
        "x!y",
        "x(y)",
        "x\\..\\y",
        "x//y",
        "/x",
        "x/",
        "~",
        "~root",
        "-",
    ),
    *(
        "\uff58",
        "x\u2215y",
        "x\uff0fy",
        "x\u2024\u2024",
        "\u202ex",
        "x\u200b",
        "用户",
        "é",
        "😀",
        "\ufeffx",
    ),
    *(
        ":",
        ":a",
        "a:b",
        ":a:b",
        "a:",
        "::",
        ":..",
        "x/:",
        ":/x",
        "@",
        "=",
        "x@y",
        "x~y",
        "a.b",
        "_",
    ),
]
_SEGMENT = re.compile(r"[A-Za-z0-9_.:@=~-]+")
_ROOTS = [
    *("", "/", "/open-apis", "open-apis/x", "/open-api/x", "/open-apisx/y", "/OPEN-APIS/x", "/x/y"),
    *("/%6fpen-apis/x", "/open-apis%2fx", "/./open-apis/x", "//open-apis/x", "/open-apis/"),
    *("\t/open-apis/x", "/open-apis\\x", "/open-apis?x", "/open-apis#/x", "/open-apis;/x", "*"),
    *(
        "https://open.feishu.cn/open-apis/x",
        "//open.feishu.cn/open-apis/x",
        "/callback/ws/endpoint",
    ),
]
_GUARDED = [
    *(
        "auth/v3/tenant_access_token/internal",
        "auth/v3/app_access_token/internal",
        "auth",
        "authen",
    ),
    *("authen/v1/oidc/access_token", "authen/v1/refresh_access_token", "authen/v2/oauth/token"),
    *("AUTH/v3/app_ticket/resend", "Authen/V1/index", "auth/anything", "authen/v1/user_info/x"),
]


def seeds() -> Iterator[Seed]:
    """Every way as a segment, amid segments, as a parameter and instead of the path."""
    for way in _WAYS:
        for name, path in (("last", f"{PATH}/{way}"), ("amid", f"{PATH}/{way}/z")):
            yield Seed(f"{name} {way!r}", _literal(path), text(call(path=path)))
        yield _parameter(way)
        if not way.startswith("/open-apis/"):
            yield Seed(f"instead {way!r}", Refused(("path",)), text(call(path=way)))
    for root in _ROOTS:
        yield Seed(f"root {root!r}", Refused(("path",)), text(call(path=root)))
    yield from _credentials()
    yield from _lengths()


def _literal(path: str) -> Verdict:
    segments = path.split("/")[2:]
    if not all(_SEGMENT.fullmatch(part) and part not in (".", "..", ":") for part in segments):
        return Refused(("path",))
    if any(part.startswith(":") for part in segments):
        return Refused(("path_params", "missing"))
    return Sent(target=path)


def _parameter(way: str) -> Seed:
    given = call(path=f"{PATH}/:id/z", path_params={"id": way})
    verdict: Verdict = Sent(target=f"{PATH}/{escaped(way)}/z")
    if way in (".", ".."):
        verdict = Refused(("path_params", "'id'"))
    return Seed(f"parameter {way!r}", verdict, text(given))


def _credentials() -> Iterator[Seed]:
    refused = forbidden("path", "credential")
    for path in _GUARDED:
        first, _, rest = path.partition("/")
        whole = call(method="POST", path=f"/open-apis/{path}")
        yield Seed(f"credentials {path}", refused, text(whole))
        filled = call(method="POST", path="/open-apis/:a", path_params={"a": path})
        yield Seed(f"credentials, filled in {path}", refused, text(filled))
        around = call(method="POST", path="/open-apis/x/:a", path_params={"a": f"../{path}"})
        yield Seed(f"credentials, from beside {path}", refused, text(around))
        if rest:
            split = {"path": "/open-apis/:a/:b", "path_params": {"a": first, "b": rest}}
            yield Seed(f"credentials, in two {path}", refused, text(call(method="POST", **split)))


def _lengths() -> Iterator[Seed]:
    for length in (1, 255, 256):
        given = call(path=f"{PATH}/:id", path_params={"id": "字" * length})
        sent = Sent(target=f"{PATH}/{escaped('字' * length)}")
        yield Seed(f"parameter of {length} characters", sent, text(given))
    for value in ("", "x" * 257, "\ud800"):
        given = call(path=f"{PATH}/:id", path_params={"id": value})
        verdict = Refused(("body" if value == "\ud800" else "path_params",))
        if value == "\ud800":
            verdict = Refused(("body", "JSON"), reason="malformed")
        yield Seed(f"parameter {value[:8]!r}", verdict, text(given))
    many = {f"p{place}": "v" for place in range(40)}
    path = PATH + "".join(f"/:{name}" for name in many)
    given = call(path=path, path_params=many)
    yield Seed("40 parameters", Sent(target=PATH + "/v" * 40), text(given))
    yield Seed("a parameter too many", Refused(("path_params", "'q'")), _too_many(path, many))


def _too_many(path: str, params: dict[str, str]) -> bytes:
    return text(call(path=path, path_params=params | {"q": "v"}))
