"""HTTP headers that a producer may not send, and credential endpoints in every spelling."""

from __future__ import annotations

from tests.support.poison.kinds import Poison, call_with

_NOT_ALLOWED = [
    "Authorization",
    "authorization",
    "Proxy-Authorization",
    "Cookie",
    "Host",
    "Content-Type",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Upgrade",
    "Expect",
    "X-Forwarded-For",
    "User-Agent",
    "Range ",
    "X-Request-Id:",
    "Range\r\nX",
    "",
]

HEADERS = [
    *(
        Poison(f"header {name!r}", call_with(headers={name: "x"}), ("headers", "allowed"))
        for name in _NOT_ALLOWED
    ),
    *(
        Poison(f"header value {how}", call_with(headers={"range": value}), ("headers", "Range"))
        for how, value in {
            "with CR and LF": "bytes=0-1\r\nAuthorization: Bearer t-1",
            "with LF": "a\nb",
            "with CR": "a\rb",
            "folded": "a\r\n b",
            "with a NUL": "a\0b",
            "with a tab": "a\tb",
            "with DEL": "a\x7fb",
            "in Latin-1": "é",
            "in Chinese": "字",
            "with a Unicode line break": "a\u2028b",
            "of 1,025 characters": "x" * 1025,
        }.items()
    ),
    *(
        Poison(f"header value {how}", call_with(headers={"Range": value}), ("headers", "Range"))
        for how, value in {"number": 1, "null": None, "list": ["a"], "object": {}}.items()
    ),
    Poison(
        "header twice",
        call_with(headers={"Range": "bytes=0-1", "range": "x"}),
        ("headers", "twice"),
    ),
    *(
        Poison(f"headers {how}", call_with(headers=value), ("headers",))
        for how, value in {"null": None, "list": [], "string": "Range: x"}.items()
    ),
]


def _credentials(name: str, path: str, method: str = "POST", **params: str) -> Poison:
    return Poison(
        f"credentials {name}",
        call_with(method=method, path=path, path_params=params),
        ("path", "credential"),
        type="forbidden",
        reason="forbidden",
    )


CREDENTIALS = [
    _credentials("tenant token", "/open-apis/auth/v3/tenant_access_token/internal"),
    _credentials("app token", "/open-apis/auth/v3/app_access_token"),
    _credentials("app ticket", "/open-apis/auth/v3/app_ticket/resend"),
    _credentials("user token", "/open-apis/authen/v1/oidc/access_token"),
    _credentials("user token refreshed", "/open-apis/authen/v2/oauth/token"),
    _credentials("root", "/open-apis/auth", "GET"),
    _credentials("root of authen", "/open-apis/authen", "DELETE"),
    _credentials("unknown", "/open-apis/auth/anything", "GET"),
    _credentials("upper case", "/open-apis/AUTH/v3/tenant_access_token/internal"),
    _credentials("mixed case", "/open-apis/aUtHeN/v1/index", "GET"),
    _credentials("filled in", "/open-apis/:a/v3/tenant_access_token/internal", a="auth"),
    _credentials("filled in, upper case", "/open-apis/:a/v3/app_ticket/resend", a="Auth"),
    _credentials("filled in with slashes", "/open-apis/:a", a="auth/v3/app_ticket/resend"),
    _credentials("filled in, authen", "/open-apis/:a/:b", a="authen", b="v1/oidc/access_token"),
    _credentials("filled in, roundabout", "/open-apis/:a", a="im/../auth/v3/app_ticket/resend"),
    _credentials("filled in after a dot", "/open-apis/:a", a="./authen/v1/index"),
    _credentials("filled in after a slash", "/open-apis/:a", a="/auth"),
    _credentials("filled in from above", "/open-apis/im/:a", a="../AUTH"),
    _credentials("user info posted", "/open-apis/authen/v1/user_info"),
    _credentials("below user info", "/open-apis/authen/v1/user_info/x", "GET"),
    _credentials("beside user info", "/open-apis/authen/v1/user_inf", "GET"),
]

KINDS = [*HEADERS, *CREDENTIALS]
