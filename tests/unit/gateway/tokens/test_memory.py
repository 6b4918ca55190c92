from __future__ import annotations

from dataclasses import replace

from pydantic import SecretStr

from gateway.apps import App, AppKind, AppStatus
from gateway.errors import Refused
from gateway.tokens.memory import CONFIRMED_SECONDS, Memory
from gateway.tokens.token import TENANT, Credential, Token
from schemas.reply import ErrorType

APP = App("default", "cli_1", SecretStr("app-secret"), "https://open.feishu.cn")
CREDENTIAL = Credential.of(APP)
SLOT = ("default", TENANT)


def token(value: str, *, issued_at: float = 0.0, life: float = 7200) -> Token:
    return Token(value, CREDENTIAL, issued_at, issued_at + life)


def test_a_rejected_token_is_dropped_and_not_taken_from_a_store_again() -> None:
    memory = Memory()
    memory.hold(token("t-1"), 0.5)
    assert memory.reject(token("t-1"), 10)
    assert SLOT not in memory.held
    assert not memory.accepts(token("t-1"), 11, None)


def test_a_late_rejection_of_an_older_token_keeps_the_newer_one() -> None:
    memory = Memory()
    memory.hold(token("t-2", issued_at=10), 0.5)
    memory.reject(token("t-1"), 11)
    assert memory.held[SLOT].token.value == "t-2"


def test_the_second_rejection_of_the_same_token_has_nothing_left_to_do() -> None:
    memory = Memory()
    assert memory.reject(token("t-1"), 10)
    assert not memory.reject(token("t-1"), 10)


def test_a_token_given_out_again_after_its_rejection_is_kept_for_some_seconds() -> None:
    memory = Memory()
    memory.reject(token("t-1"), 10)
    again = token("t-1", issued_at=11)
    memory.confirm(again, 12)
    memory.hold(again, 0.5)
    assert not memory.reject(again, 13)
    assert SLOT in memory.held
    assert memory.reject(again, 12 + CONFIRMED_SECONDS)
    assert SLOT not in memory.held


def test_an_answer_older_than_the_rejection_does_not_confirm_the_token() -> None:
    memory = Memory()
    memory.reject(token("t-1"), 10)
    memory.confirm(token("t-1", issued_at=9), 11)
    assert memory.has_rejected(token("t-1"))


def test_a_store_must_offer_a_usable_token() -> None:
    memory = Memory()
    assert memory.accepts(token("t-1"), 7139, None)
    assert not memory.accepts(token("t-1"), 7140, None)


def test_a_store_that_lags_cannot_offer_a_token_older_than_a_rejected_one() -> None:
    memory = Memory()
    memory.reject(token("t-1", issued_at=100), 110)
    memory.reject(token("t-0", issued_at=50), 111)
    assert not memory.accepts(token("t-unseen", issued_at=90), 120, None)
    assert memory.accepts(token("t-2", issued_at=112), 120, None)


def test_a_renewal_takes_only_a_newer_token_from_a_store() -> None:
    memory = Memory()
    held = token("t-1", issued_at=100)
    assert not memory.accepts(token("t-1", issued_at=200), 300, held)
    assert not memory.accepts(token("t-0", issued_at=50), 300, held)
    assert memory.accepts(token("t-2", issued_at=200), 300, held)


def test_a_failure_stands_until_its_time_is_over() -> None:
    memory = Memory()
    failure = Refused(ErrorType.CREDENTIALS_INVALID, "wrong secret")
    memory.fail(CREDENTIAL, failure, 30)
    assert memory.failure(CREDENTIAL, 29.9) is failure
    assert memory.failure(CREDENTIAL, 30) is None


def test_a_token_ends_the_failure() -> None:
    memory = Memory()
    memory.fail(CREDENTIAL, Refused(ErrorType.CREDENTIALS_INVALID, "wrong secret"), 30)
    memory.hold(token("t-1"), 0.5)
    assert memory.failure(CREDENTIAL, 1) is None


def test_a_token_serves_its_app_read_anew_and_none_of_other_credentials() -> None:
    memory = Memory()
    memory.hold(token("t-1"), 0.5)
    held = memory.held[SLOT]
    again = replace(APP, secret=SecretStr("app-secret"), status=AppStatus.DISABLED)
    assert held.serves(again)
    assert held.app is again
    for other in (
        replace(APP, secret=SecretStr("rotated")),
        replace(APP, app_id="cli_2"),
        replace(APP, domain="https://open.larksuite.com"),
        replace(APP, kind=AppKind.STORE),
    ):
        assert not held.serves(other)


def test_exactly_the_named_tokens_are_forgotten_and_may_come_back() -> None:
    memory = Memory()
    memory.hold(token("t-1"), 0.5)
    assert memory.forget({token("t-2").fingerprint}, 1.0) == 0
    assert SLOT in memory.held
    assert memory.forget({token("t-1").fingerprint}, 1.0) == 1
    assert SLOT not in memory.held
    assert memory.accepts(token("t-1"), 10, None)


def test_a_credential_is_forgotten_with_all_of_its_tokens_so_far() -> None:
    memory = Memory()
    memory.hold(token("t-1"), 0.5)
    assert memory.forget({CREDENTIAL.key}, 10.0) == 1
    assert SLOT not in memory.held
    # Neither what Redis still has nor what was under way comes back.
    assert not memory.accepts(token("t-0", issued_at=9), 11, None)
    memory.hold(token("t-0", issued_at=9), 0.5)
    assert SLOT not in memory.held
    assert memory.accepts(token("t-2", issued_at=11), 12, None)
    memory.hold(token("t-2", issued_at=11), 0.5)
    assert memory.held[SLOT].token.value == "t-2"


def test_a_sweep_lets_go_of_what_ended_and_of_nothing_else() -> None:
    memory = Memory()
    memory.hold(token("t-ended", life=100), 0.5)
    other = Credential.of(replace(APP, alias="other", app_id="cli_2"))
    memory.hold(Token("t-living", other, 0.0, 7200.0), 0.5)
    memory.reject(token("t-rejected", issued_at=-10), 10)
    memory.fail(CREDENTIAL, Refused(ErrorType.CREDENTIALS_INVALID, "wrong"), 30)
    memory.sweep(200)
    assert [held.token.value for held in memory.held.values()] == ["t-living"]
    assert memory.failure(CREDENTIAL, 20) is None
    # It lasts as long as any store might still have the token.
    assert not memory.accepts(token("t-rejected", issued_at=-10), 300, None)
