from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.apps import App
from gateway.tokens.token import Credential, Holder, Token

APP = App("default", "cli_1", SecretStr("app-secret"), "https://open.feishu.cn")
CREDENTIAL = Credential.of(APP)


def living(seconds: float, *, issued_at: float = 1000.0) -> Token:
    return Token("t-value", CREDENTIAL, issued_at, issued_at + seconds)


@pytest.mark.parametrize(("draw", "minutes_left"), [(0.0, 10), (0.5, 17.5), (1.0, 25)])
def test_a_token_of_two_hours_is_renewed_10_to_25_minutes_before_its_end(
    draw: float, minutes_left: float
) -> None:
    token = living(7200)
    assert token.expires_at - token.renew_at(draw) == pytest.approx(minutes_left * 60)
    assert token.expires_at - token.usable_until == 60


def test_what_feishu_has_left_of_an_older_token_is_no_short_life() -> None:
    assert living(4567).expires_at - living(4567).renew_at(1.0) == 1500


def test_a_short_life_is_renewed_at_the_same_share_of_it() -> None:
    token = living(40)
    assert token.expires_at - token.renew_at(0.0) == pytest.approx(40 / 3)
    assert token.expires_at - token.renew_at(1.0) == pytest.approx(40 * 5 / 6)
    assert token.expires_at - token.usable_until == 4


@given(st.floats(0.01, 100_000), st.floats(0, 1, exclude_max=True))
def test_a_token_is_renewed_while_it_is_usable_and_not_before_it_was_issued(
    life: float, draw: float
) -> None:
    token = living(life, issued_at=0.0)
    assert token.issued_at < token.renew_at(draw) < token.usable_until < token.expires_at


def test_a_token_is_equal_to_another_of_the_same_value() -> None:
    assert living(40) == living(7200, issued_at=5.0)
    assert living(40) != replace(living(40), value="t-other")


def test_a_token_never_shows_its_value() -> None:
    assert "t-value" not in f"{living(40)} {living(40)!r}"


def test_every_part_of_a_credential_makes_another_one() -> None:
    apps = [
        APP,
        replace(APP, app_id="cli_2"),
        replace(APP, secret=SecretStr("rotated")),
        replace(APP, domain="https://open.larksuite.com"),
    ]
    keys = {Credential.of(app).key for app in apps}
    keys |= {Credential.of(APP, Holder("app")).key, Credential.of(APP, Holder("tenant", "key")).key}
    assert len(keys) == 6


def test_the_alias_does_not_make_another_credential() -> None:
    assert Credential.of(replace(APP, alias="other")).key == CREDENTIAL.key


def test_parts_of_a_credential_do_not_run_into_each_other() -> None:
    one = replace(APP, domain="https://a", app_id="bc")
    other = replace(APP, domain="https://ab", app_id="c")
    assert Credential.of(one).key != Credential.of(other).key
