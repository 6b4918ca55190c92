"""Magic ids: an id that begins with `sim_` makes its request fail in a documented way.

The id may be a path parameter, a query value, a string anywhere in a JSON body or a form field.
Every id may go on with `_once` or `_then_ok` (only the first request with that very id fails) and
then with `-` or `_` and anything that makes it unique: `sim_500_then_ok_order-17`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .answers import TEXT, Answer, failure, rate_limited, token_rejected
from .faults import Fault, Wire
from .request import ApiRequest

_HTML = "text/html; charset=utf-8"
_VARIABLE = re.compile(r"<\w+>")
_IN_URL = re.compile(r"(?:^|[/=&,])(sim_[\w.-]+)")
_IN_JSON = re.compile(rb'"(sim_[\w.-]+)"(?!\s*:)')
_IN_FORM = re.compile(rb"\r\n\r\n(sim_[\w.-]+)\r\n")


@dataclass(frozen=True, slots=True)
class MagicId:
    """A row of the table; `<n>` in the name stands for a number, handed to `fault` in order."""

    name: str
    effect: str
    fault: Callable[..., Fault]

    def pattern(self) -> re.Pattern[str]:
        base = _VARIABLE.sub(r"(\\d+)", self.name)
        return re.compile(rf"{base}(?P<once>_once|_then_ok)?(?:[-_.][\w.-]*)?", re.ASCII)


def _refused(answer: Answer) -> Callable[[], Fault]:
    return lambda: Fault(answer)


def _on_the_wire(wire: Wire, *, acts: bool = True) -> Callable[[], Fault]:
    return lambda: Fault(acts=acts, wire=wire)


def _permission() -> Fault:
    violation = {"type": "action_scope_required", "subject": "im:message"}
    help_page = {"url": "https://open.feishu.cn/app", "description": "Grant the scope to the app"}
    error = {"permission_violations": [violation], "helps": [help_page]}
    msg = "Access denied. One of the following scopes is required: [im:message]."
    return Fault(failure(400, 99991672, msg, error=error))


def _status_and_code(status: str, code: str) -> Fault:
    return Fault(failure(int(status), int(code), "simulated failure"))


def _redirect() -> Fault:
    answer = Answer(b"", 302, TEXT, {"Location": "/open-apis/sim/redirected"})
    return Fault(answer)


# A name that begins with another name stands before it.
MAGIC_IDS = (
    MagicId(
        "sim_rate_limited_400",
        "HTTP 400, code 99991400, reset 1 s: the rate limit of older APIs",
        _refused(rate_limited(400, 50, 1)),
    ),
    MagicId(
        "sim_rate_limited_bare",
        "HTTP 429 without a usable body, Retry-After 1 s",
        _refused(Answer(b"too many requests", 429, TEXT, {"Retry-After": "1"})),
    ),
    MagicId(
        "sim_rate_limited",
        "HTTP 429, code 99991400, reset 1 s",
        _refused(rate_limited(429, 50, 1)),
    ),
    MagicId(
        "sim_chat_limited",
        "HTTP 400, code 230020: too many messages to one chat",
        _refused(failure(400, 230020, "The chat rate limit has been reached.")),
    ),
    MagicId(
        "sim_token_rejected_once",
        "HTTP 400, code 99991663, and the presented token is revoked; then the id is harmless",
        lambda: Fault(token_rejected(), revokes=True),
    ),
    MagicId(
        "sim_token_rejected",
        "HTTP 400, code 99991663, though the token is valid",
        _refused(token_rejected()),
    ),
    MagicId("sim_permission", "HTTP 400, code 99991672 with permission_violations", _permission),
    MagicId(
        "sim_ip_denied",
        "HTTP 400, code 99991401: the caller's address is not on the allow-list",
        _refused(failure(400, 99991401, "ip 127.0.0.1 is denied by app setting")),
    ),
    MagicId(
        "sim_quota",
        "HTTP 429, code 99991403: the monthly quota is used up",
        _refused(failure(429, 99991403, "This month's API call quota has been exceeded.")),
    ),
    MagicId(
        "sim_app_disabled",
        "HTTP 400, code 99991662: the app is disabled",
        _refused(failure(400, 99991662, "the app is disabled")),
    ),
    MagicId("sim_500", "HTTP 500, code 2200", _refused(failure(500, 2200, "Internal Error"))),
    MagicId(
        "sim_502_html",
        "HTTP 502 with an HTML page, nothing done",
        _refused(Answer(b"<html><h1>502 Bad Gateway</h1></html>", 502, _HTML)),
    ),
    MagicId(
        "sim_504",
        "the API acts, then HTTP 504 in plain text",
        lambda: Fault(Answer(b"gateway timeout", 504, TEXT), acts=True),
    ),
    MagicId(
        "sim_slow_<n>s",
        "the API acts and answers after n seconds",
        lambda seconds: Fault(acts=True, delay=float(seconds)),
    ),
    MagicId("sim_hang", "the API acts, no answer ever comes", _on_the_wire(Wire.HANG)),
    MagicId(
        "sim_cut_before",
        "the connection is closed, nothing done",
        _on_the_wire(Wire.CUT, acts=False),
    ),
    MagicId("sim_cut", "the API acts, then the connection is closed", _on_the_wire(Wire.CUT)),
    MagicId(
        "sim_truncated",
        "the API acts, the connection is closed in the middle of the answer's body",
        _on_the_wire(Wire.TRUNCATED),
    ),
    MagicId(
        "sim_malformed_json",
        "the API acts, HTTP 200, JSON by its content type, broken off",
        lambda: Fault(Answer(b'{"code":0,"msg":"success","data":{'), acts=True),
    ),
    MagicId(
        "sim_not_json",
        "HTTP 200 with an HTML page",
        _refused(Answer(b"<html><h1>Sign in</h1></html>", 200, _HTML)),
    ),
    MagicId("sim_redirect", "HTTP 302 to /open-apis/sim/redirected", _redirect),
    MagicId("sim_huge", "the API acts, HTTP 200, 11 MiB of JSON", _on_the_wire(Wire.HUGE)),
    MagicId(
        "sim_code_<n>",
        "HTTP 200 with code n",
        lambda code: Fault(failure(200, int(code), "simulated failure")),
    ),
    MagicId("sim_status_<n>_<n>", "an HTTP status with a code", _status_and_code),
)


class Magic:
    """Finds magic ids in requests and remembers which `once` variants are spent."""

    def __init__(self) -> None:
        self._rows = [(row, row.pattern()) for row in MAGIC_IDS]
        self._spent: set[str] = set()

    def fault(self, request: ApiRequest) -> Fault | None:
        """The fault that the request asks for, if any."""
        found = _find(request)
        if found is None:
            return None
        for row, pattern in self._rows:
            match = pattern.fullmatch(found)
            if match is None:
                continue
            if match["once"] or row.name.endswith("_once"):
                if found in self._spent:
                    return None
                self._spent.add(found)
            return row.fault(*(group for group in match.groups()[: row.name.count("<")]))
        return Fault(failure(400, 9499, f"{found} is no magic id, see GET /_sandbox/magic"))

    def clear(self) -> None:
        """Make the `once` variants fail once more."""
        self._spent.clear()


def _find(request: ApiRequest) -> str | None:
    if "sim_" in request.path or "sim_" in request.query_string:
        match = _IN_URL.search(f"{request.path}?{request.query_string}")
        if match is not None:
            return match[1]
    if b"sim_" in request.body:
        pattern = _IN_FORM if request.is_multipart else _IN_JSON
        found = pattern.search(request.body)
        return found[1].decode() if found is not None else None
    return None
