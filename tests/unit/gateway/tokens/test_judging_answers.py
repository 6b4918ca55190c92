from __future__ import annotations

import orjson
import pytest
from pydantic import SecretStr

from gateway.apps import App
from gateway.errors import AttemptFailed, GatewayError, NotNow, Refused
from gateway.tokens.endpoint import judge, token_of
from schemas.reply import ErrorType, Outcome

APP = App("default", "cli_1", SecretStr("app-secret"), "https://open.feishu.cn")
TOKEN = "t-0123456789"
TENANT_TOKEN = token_of("tenant_access_token")


def answer(**fields: object) -> bytes:
    return orjson.dumps({"code": 0, "msg": "ok", "tenant_access_token": TOKEN, **fields})


def failure(code: int, status: int = 200, **headers: str) -> GatewayError:
    body = orjson.dumps({"code": code, "msg": f"app-secret {TOKEN}"})
    with pytest.raises(GatewayError) as caught:
        judge(
            APP,
            status,
            {name.replace("_", "-"): value for name, value in headers.items()},
            body,
            TENANT_TOKEN,
        )
    return caught.value


def test_expire_is_what_is_left_of_the_token() -> None:
    issued = judge(APP, 200, {}, answer(expire=4567), TENANT_TOKEN)
    assert (issued.token, issued.expires_in) == (TOKEN, 4567)
    assert TOKEN not in repr(issued)


def test_the_token_is_read_from_the_field_of_its_kind() -> None:
    both = answer(expire=7140, app_access_token="a-1")
    assert judge(APP, 200, {}, both, token_of("app_access_token")).token == "a-1"
    assert judge(APP, 200, {}, both, TENANT_TOKEN).token == TOKEN


@pytest.mark.parametrize("status", [200, 400, 500])
def test_the_code_decides_and_not_the_http_status(status: int) -> None:
    assert judge(APP, status, {}, answer(expire=7200), TENANT_TOKEN).token == TOKEN
    assert failure(10014, status).type is ErrorType.CREDENTIALS_INVALID


@pytest.mark.parametrize("expire", [0, -1, "7200", None, 1.5, True, [], float("nan")])
def test_a_life_that_is_no_positive_integer_is_a_bad_answer(expire: object) -> None:
    with pytest.raises(AttemptFailed) as caught:
        judge(APP, 200, {}, answer(expire=expire), TENANT_TOKEN)
    assert caught.value.type is ErrorType.FEISHU_UNAVAILABLE


def test_a_missing_life_is_a_bad_answer() -> None:
    with pytest.raises(AttemptFailed):
        judge(APP, 200, {}, answer(), TENANT_TOKEN)


def test_a_life_without_end_is_cut_to_a_day() -> None:
    assert judge(APP, 200, {}, answer(expire=10**15), TENANT_TOKEN).expires_in == 86_400


@pytest.mark.parametrize("token", ["", None, 5, "t-a\r\nX-Evil: 1", "t-ä", "t a", "t" * 9000])
def test_a_token_that_could_not_be_a_header_is_a_bad_answer(token: object) -> None:
    with pytest.raises(AttemptFailed):
        judge(APP, 200, {}, answer(expire=7200, tenant_access_token=token), TENANT_TOKEN)


@pytest.mark.parametrize(
    ("code", "type_"),
    [
        (10003, ErrorType.CREDENTIALS_INVALID),
        (10014, ErrorType.CREDENTIALS_INVALID),
        (10015, ErrorType.CREDENTIALS_INVALID),
        (20002, ErrorType.CREDENTIALS_INVALID),
        (99991543, ErrorType.CREDENTIALS_INVALID),
        (99991662, ErrorType.APP_UNAVAILABLE),
        (99991673, ErrorType.APP_UNAVAILABLE),
        (99991401, ErrorType.IP_DENIED),
        (424242, ErrorType.FEISHU_ERROR),
    ],
)
def test_a_refusal_is_final_and_nothing_was_executed(code: int, type_: ErrorType) -> None:
    error = failure(code)
    assert isinstance(error, Refused)
    assert (error.type, error.code, error.outcome) == (type_, code, Outcome.NOT_EXECUTED)


@pytest.mark.parametrize(("code", "status"), [(2200, 200), (20050, 500), (1500, 200), (7, 503)])
def test_feishus_own_faults_may_pass(code: int, status: int) -> None:
    error = failure(code, status)
    assert isinstance(error, AttemptFailed)
    assert (error.type, error.outcome) == (ErrorType.FEISHU_UNAVAILABLE, Outcome.NOT_EXECUTED)


@pytest.mark.parametrize(
    ("reset", "seconds"), [("7", 7.0), ("-5", 1.0), ("junk", 1.0), ("nan", 1.0), ("1e9", 60.0)]
)
def test_a_rate_limit_says_when_to_ask_again(reset: str, seconds: float) -> None:
    error = failure(99991400, 429, x_ogw_ratelimit_reset=reset)
    assert isinstance(error, NotNow)
    assert (error.type, error.retry_after) == (ErrorType.RATE_LIMITED, seconds)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>hello</html>"),
        (200, b'{"tenant_access_token": "t-x", "expire": 7200}'),
        (200, b'{"code": "0", "tenant_access_token": "t-x", "expire": 7200}'),
        (200, b'{"code": false, "tenant_access_token": "t-x", "expire": 7200}'),
        (200, b"[]"),
        (200, b"\xff\xfe"),
        (302, b""),
        (404, b"404 page not found"),
        (504, b"upstream timeout"),
    ],
)
def test_an_answer_that_is_no_envelope_may_pass(status: int, body: bytes) -> None:
    with pytest.raises(AttemptFailed) as caught:
        judge(APP, status, {}, body, TENANT_TOKEN)
    assert caught.value.type is ErrorType.FEISHU_UNAVAILABLE


def test_no_message_repeats_what_feishu_said_or_was_sent() -> None:
    for code in (10014, 2200, 99991400, 424242):
        error = failure(code, X_Tt_Logid="log\r\n1")
        shown = f"{error} {error.hint} {error.log_id}"
        assert "app-secret" not in shown
        assert TOKEN not in shown
        assert "\n" not in shown


def test_the_log_id_is_kept_for_support() -> None:
    assert failure(10014, X_Tt_Logid="20260101abc").log_id == "20260101abc"
