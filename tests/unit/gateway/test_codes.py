from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codes import Action, CodeRow, Scope, meaning_of, token_meaning_of
from schemas.reply import ErrorType, Outcome

API_CODES: dict[Action, list[int]] = {
    Action.PAUSE: [
        *(99991400, 190004, 190005, 190010, 1000004, 1000005, 1161604, 1277001, 2890006),
        *(230020, 230047, 230048, 232019, 11232, 11233, 1254290, 90217, 1310217, 1061045),
        *(1069923, 1420003, 1470450),
    ],
    Action.BACK_OFF: [
        *(1254291, 1254036, 131009, 1066002, 60014, 96002, 96201, 1063006, 1236006),
        *(1470451, 43024),
    ],
    Action.IN_PROGRESS: [18121, 230049, 1254608, 1470422],
    Action.REFRESH_TOKEN: [
        *(99991663, 99991664, 99991665, 99991668, 99991671, 99991677),
        *(20005, 20006, 20013, 20014),
    ],
    Action.RETRY: [
        *(1500, 1663, 1668, 2200, 5000, 10101, 55001, 65001),
        *(1254002, 1254607, 1255040, 90235, 1310235, 1061001, 1061006, 42302, 131001),
    ],
    Action.CREDENTIALS: [10013, 10014, 10015, 99991543],
    Action.APP_UNAVAILABLE: [10005, 20009, 99991662, 99991673],
    Action.PERMISSION: [21000, 21001, 99991672, 99991676, 99991679],
    Action.REAUTH: [99991669],
    Action.NEW_APP_TICKET: [10012],
    Action.IP_DENIED: [99991401],
    Action.QUOTA: [99991403],
    Action.DAILY_QUOTA: [11247, 1236007, 1236009, 1236012],
    Action.ANSWER: [
        *(99991201, 99991301, 99991661, 99992402, 9499, 10003, *range(99992351, 99992382)),
        *(1255006, 1254037, 230001, 230002, 230013, 230018, 230029, 230035, 230053),
        *(230017, 234008, 230022, 230025, 230028, 230099, 60012),
        *(200770, 300317, 40021, 1062007),
    ],
}
TOKEN_CODES: dict[Action, list[int]] = {
    Action.CREDENTIALS: [10003, 10013, 10014, 10015, 99991543, 20002],
    Action.APP_UNAVAILABLE: [10005, 20009, 20048, 20069, 99991662, 99991673],
    Action.REAUTH: [20003, 20004, 20065, 20008, 20010, 20066, 20024, 20026, 20037, 20074],
    Action.REREAD_GRANT: [20064, 20073],
    Action.NEW_APP_TICKET: [10012],
    Action.ANSWER: [10016, 20001, 20063, 20036, 20067, 20068],
    Action.RETRY: [20050, 20072, 2200, 1500],
    Action.PAUSE: [99991400],
    Action.IP_DENIED: [99991401],
}

SCOPES: dict[Scope | None, list[int]] = {
    Scope.API: [
        *(99991400, 190004, 190005, 190010, 1000004, 1000005, 1161604, 1277001, 2890006),
        *(1254290, 90217, 1310217, 1069923, 1420003, 1470450, 11247),
    ],
    Scope.CHAT: [230020, 11233, 230047, 230048, 232019],
    Scope.APP_MESSAGES: [11232],
    Scope.TABLE: [1254291, 1254036],
    Scope.DOCUMENT: [96002, 96201, 1066002, 1063006],
    Scope.DRIVE: [1061045],
    Scope.MAILBOX: [1236007, 1236012],
    Scope.TENANT: [99991403],
    # Locks that no bucket protects, and a quota that only some mails need.
    None: [131009, 60014, 43024, 1236006, 1470451, 1236009],
}
LIMITS = {Action.PAUSE, Action.BACK_OFF, Action.QUOTA, Action.DAILY_QUOTA}

ENDS: dict[Action, set[tuple[str, str]]] = {
    Action.PAUSE: {("rate_limited", "not_executed")},
    Action.BACK_OFF: {("rate_limited", "not_executed")},
    Action.IN_PROGRESS: {("feishu_unavailable", "unknown")},
    Action.REFRESH_TOKEN: {("feishu_error", "not_executed"), ("reauth_required", "not_executed")},
    Action.RETRY: {("feishu_unavailable", "unknown"), ("feishu_unavailable", "not_executed")},
    Action.ANSWER: {("feishu_error", "executed"), ("feishu_error", "not_executed")},
    Action.CREDENTIALS: {("credentials_invalid", "not_executed")},
    Action.APP_UNAVAILABLE: {("app_unavailable", "not_executed")},
    Action.PERMISSION: {("permission_denied", "not_executed")},
    Action.REAUTH: {("reauth_required", "not_executed")},
    Action.REREAD_GRANT: {("reauth_required", "not_executed")},
    Action.NEW_APP_TICKET: {("store_unavailable", "not_executed")},
    Action.IP_DENIED: {("ip_denied", "not_executed")},
    Action.QUOTA: {("quota_exhausted", "not_executed")},
    Action.DAILY_QUOTA: {("quota_exhausted", "not_executed")},
}


def cases(codes: dict[Action, list[int]]) -> list[tuple[int, Action]]:
    return [(code, action) for action, listed in codes.items() for code in listed]


def row_of(code: int) -> CodeRow:
    row = meaning_of(code)
    assert row is not None
    return row


def token_row_of(code: int) -> CodeRow:
    row = token_meaning_of(code)
    assert row is not None
    return row


ROWS = [row_of(code) for code, _ in cases(API_CODES)]


@pytest.mark.parametrize(("code", "action"), cases(API_CODES))
def test_every_code_that_matters_says_what_must_be_done(code: int, action: Action) -> None:
    row = row_of(code)
    assert (row.code, row.action) == (code, action)


@pytest.mark.parametrize(("code", "action"), cases(TOKEN_CODES))
def test_every_code_of_a_token_endpoint_says_what_must_be_done(code: int, action: Action) -> None:
    row = token_row_of(code)
    assert (row.code, row.action) == (code, action)


def test_no_code_is_in_the_table_that_is_not_listed_here() -> None:
    every = [*range(3_000_000), *range(99_990_000, 100_000_000)]
    assert {code for code in every if meaning_of(code)} == {code for code, _ in cases(API_CODES)}


@pytest.mark.parametrize("action", Action)
def test_every_action_ends_as_the_contract_says(action: Action) -> None:
    rows = [row for row in ROWS if row.action is action]
    rows += [token_row_of(code) for code, act in cases(TOKEN_CODES) if act is action]
    assert rows
    assert {(row.error, row.outcome) for row in rows} <= ENDS[action]


@pytest.mark.parametrize(
    ("code", "scope"), [(code, scope) for scope, codes in SCOPES.items() for code in codes]
)
def test_every_code_of_a_limit_says_of_what(code: int, scope: Scope | None) -> None:
    assert row_of(code).scope is scope


def test_no_other_code_speaks_of_a_limit() -> None:
    of_limits = {code for codes in SCOPES.values() for code in codes}
    assert {row.code for row in ROWS if row.action in LIMITS} == of_limits
    assert {row.code for row in ROWS if row.scope} <= of_limits
    assert set(SCOPES) == {None, *Scope}


def test_a_limit_that_pauses_the_fleet_names_what_is_paused() -> None:
    assert all(row.scope for row in ROWS if row.action is Action.PAUSE)


def test_what_may_be_repeated_freely_was_never_executed() -> None:
    free = {Action.PAUSE, Action.BACK_OFF, Action.REFRESH_TOKEN}
    assert {row.outcome for row in ROWS if row.action in free} == {Outcome.NOT_EXECUTED}


def test_a_timeout_inside_feishu_may_have_been_executed() -> None:
    for code in (2200, 1254002, 1254607, 1255040, 90235, 1310235, 1061001, 1061006, 131001):
        assert row_of(code).outcome is Outcome.UNKNOWN


def test_a_refused_lock_was_not_executed() -> None:
    assert row_of(42302).outcome is Outcome.NOT_EXECUTED


def test_an_ordinary_answer_was_executed_unless_no_token_was_sent() -> None:
    answers = {row.code: row.outcome for row in ROWS if row.action is Action.ANSWER}
    assert answers.pop(99991661) is Outcome.NOT_EXECUTED
    assert set(answers.values()) == {Outcome.EXECUTED}


def test_nothing_that_a_token_endpoint_answers_executed_the_api() -> None:
    codes = {code for table in (API_CODES, TOKEN_CODES) for code, _ in cases(table)}
    assert {token_row_of(code).outcome for code in codes} == {Outcome.NOT_EXECUTED}


def test_a_rejected_user_token_ends_with_a_new_authorization_only_where_it_expired() -> None:
    rejected = [row for row in ROWS if row.action is Action.REFRESH_TOKEN]
    expired = {row.code for row in rejected if row.error is ErrorType.REAUTH_REQUIRED}
    assert expired == {99991677, 20005, 20006}


def test_the_rate_limit_is_not_taken_for_wrong_credentials() -> None:
    assert row_of(99991400).error is ErrorType.RATE_LIMITED
    assert row_of(99991401).error is ErrorType.IP_DENIED
    assert row_of(99991403).error is ErrorType.QUOTA_EXHAUSTED
    assert meaning_of(99991405) is None


def test_a_code_may_mean_something_else_at_a_token_endpoint() -> None:
    assert row_of(10003).error is ErrorType.FEISHU_ERROR
    assert token_row_of(10003).error is ErrorType.CREDENTIALS_INVALID
    assert meaning_of(20001) is None
    assert meaning_of(20073) is None


def test_wrong_credentials_are_called_by_the_words_that_operators_look_for() -> None:
    codes = (10003, 10014, 10015, 99991543, 20002)
    assert all("Invalid App ID or App Secret" in token_row_of(code).hint for code in codes)


def test_a_code_with_two_meanings_names_the_status_of_the_one_that_is_told() -> None:
    assert {row.code: row.status for row in ROWS if row.status} == {1470422: 500}


def test_every_row_speaks_to_people_and_names_its_source() -> None:
    for row in [*ROWS, *(token_row_of(code) for code, _ in cases(TOKEN_CODES))]:
        assert row.meaning
        assert not row.meaning.endswith(".")
        assert row.hint.endswith(".")
        assert row.source.startswith("/") or row.source.startswith("lark-cli ")


@given(st.integers())
def test_any_other_number_has_no_row(code: int) -> None:
    row = meaning_of(code)
    assert row is None or row.code == code


@pytest.mark.parametrize("code", [0, -1, 1, 200, 429, 99991402, 99991404, 99991405])
def test_what_feishu_never_documented_has_no_row(code: int) -> None:
    assert meaning_of(code) is None
    assert token_meaning_of(code) is None
