"""What is shown of a token follows from what the stores hold, and never holds the token."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from cli.tokens.listing import of_tokens
from cli.tokens.seen import Clocks, Seen, State
from cli.tokens.show import words_of
from gateway.apps import App
from gateway.errors import Refused
from gateway.tokens.stores import Found
from gateway.tokens.token import APP, Credential, Token
from schemas.reply import ErrorType

MOMENT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NOW = 1000.0
CLOCKS = Clocks(NOW, MOMENT.timestamp())
SHOP = App("shop", "cli_1", SecretStr("app-secret"), "https://open.feishu.cn")
CREDENTIAL = Credential.of(SHOP)


def token(left: float, *, value: str = "t-token", age: float = 100.0) -> Token:
    return Token(value, CREDENTIAL, NOW - age, NOW + left)


def seen(**found: Found) -> Seen:
    return Seen.of(CREDENTIAL, found, {}, CLOCKS)


@pytest.mark.parametrize(
    ("left", "state", "usable"),
    [
        (7100.0, State.VALID, True),
        (1500.0, State.RENEWAL_DUE, True),
        (61.0, State.RENEWAL_DUE, True),
        (59.0, State.ENDING, False),
    ],
)
def test_the_state_follows_from_what_is_left(left: float, state: State, usable: bool) -> None:
    # Of a full life, so that the last minute is the margin.
    one = seen(redis=Found(token(left, age=7200 - left)))

    assert (one.state, one.is_usable) == (state, usable)


def test_the_newest_counts_and_is_found_where_it_is() -> None:
    older, newer = token(100, age=900, value="t-old"), token(7100)

    one = seen(redis=Found(newer), postgres=Found(older))
    both = seen(redis=Found(newer), postgres=Found(newer))

    assert one.token == newer
    assert (one.found_in, both.found_in) == (("redis",), ("redis", "postgres"))


def test_what_failed_is_told_only_where_there_is_no_token() -> None:
    failure = Refused(ErrorType.CREDENTIALS_INVALID, "no", code=10014)

    assert seen(redis=Found(None, failure, 20.0)).state is State.FAILING
    assert seen(redis=Found(token(7100), failure, 20.0)).state is State.VALID
    assert seen(redis=Found()).state is State.MISSING


def test_instants_are_in_utc_and_the_token_is_not_among_them() -> None:
    told = seen(redis=Found(token(7200, age=0.0))).as_json()

    assert told["expires_at"] == "2026-11-24T11:00:00Z"
    assert told["renewal_from"] == "2026-11-24T10:35:00Z"
    assert told["renewal_until"] == "2026-11-24T10:50:00Z"
    assert told["remaining_seconds"] == 7200
    assert len(told["fingerprint"]) == 12
    assert "t-token" not in str(told)
    assert "app-secret" not in str(told)


@pytest.mark.parametrize(
    ("unchanged", "age", "words"),
    [
        (False, None, "renewed, 7200 s left."),
        (True, None, "unchanged, 7200 s left: Feishu gave out the same token again."),
        (True, 2.4, "7200 s left; another asked Feishu 2 s ago."),
    ],
)
def test_a_renewal_is_told_in_words(unchanged: bool, age: float | None, words: str) -> None:
    told = {"remaining_seconds": 7200, "unchanged": unchanged, "asked_seconds_ago": age}

    assert words_of(told) == words


def test_rows_name_whose_token_each_is_as_far_as_known() -> None:
    known = {"app_id": "cli_1", "kind": "tenant", "fingerprint": b"\1" * 32, "expires_at": MOMENT}
    stranger = known | {"app_id": "cli_9", "kind": "app"}

    rows = of_tokens(
        [
            {"credential": CREDENTIAL.key, **known},
            {"credential": Credential.of(SHOP, APP).key, **known, "kind": "app"},
            {"credential": b"other", **known},
            {"credential": b"other", **stranger},
        ],
        [SHOP],
    )

    assert [(row["app"], row["kind"], row["holder"][:8]) for row in rows] == [
        ("shop", "tenant_access_token", "the app"),
        ("shop", "app_access_token", "the app"),
        ("shop", "tenant_access_token", "of a ten"),
        (None, "app_access_token", "of a ten"),
    ]
