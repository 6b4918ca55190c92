"""No secret is left in what goes through the redactor, and nothing else is missing."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redaction import MASK, MOST_KNOWN, SHORTEST, Redactor

SECRETS = st.text(min_size=SHORTEST, max_size=60)
TEXTS = st.text(max_size=80)


def knowing(*secrets: str) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.learn(secret)
    return redactor


@given(st.lists(SECRETS, min_size=1, max_size=6), st.lists(TEXTS, min_size=2, max_size=6))
def test_no_known_secret_is_left_wherever_it_stands(secrets: list[str], around: list[str]) -> None:
    text = "".join(part + secret for part, secret in zip(around, secrets * 6, strict=False))
    shown = knowing(*secrets).text(text + around[-1])
    assert not [secret for secret in secrets if secret in shown and secret not in MASK * 20]


@given(SECRETS, TEXTS, TEXTS)
def test_a_secret_is_found_as_urls_and_json_write_it(secret: str, before: str, after: str) -> None:
    redactor = knowing(secret)
    for form in (quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert form not in redactor.text(before + form + after).replace(MASK, "")


@given(st.text(alphabet=st.characters(exclude_characters="-=:.", codec="utf-8"), max_size=200))
def test_a_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert knowing("a secret that is nowhere").text(text) == text or "bearer" in text.lower()


JWT = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiI3NTYzIn0.Zm9v-YmFy_"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer t-abc.def", f"Authorization: Bearer {MASK}"),
        ("basic dXNlcjpwYXNz", f"basic {MASK}"),
        ("amqps://user:p%40ss@broker:5671/v", f"amqps://user:{MASK}@broker:5671/v"),
        ("redis://:hunter2@h", f"redis://:{MASK}@h"),
        ('{"app_id": "cli_1", "app_secret":"x7"}', f'{{"app_id": "cli_1", "app_secret":"{MASK}"}}'),
        ("{'refresh_token': 'x7', 'n': 1}", f"{{'refresh_token': '{MASK}', 'n': 1}}"),
        (r"{\"client_secret\": \"x7\"}", rf"{{\"client_secret\": \"{MASK}\"}}"),
        ("/x?code=5&access_token=x7&n=1", f"/x?code=5&access_token={MASK}&n=1"),
        ("no token t-g1044qeGEDXTB6NDJOGV4JQC here", f"no token {MASK} here"),
        ("u-5Dak9ZAxJ9tFUn8MaTD_BFM51FNdg5", MASK),
        ("ur-oQ0mMq6MCcueAv0pwx2fQQhxqv__CbLu6G8y.LBQgF", MASK),
        (f"got {JWT}", f"got {MASK}"),
    ],
)
def test_what_looks_like_a_secret_is_masked_though_nobody_knows_it(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "LARK_APP_SECRET: set either LARK_APP_SECRET or LARK_APP_SECRET_FILE, not both",
        "no token from https://open.feishu.cn: it answered HTTP 502",
        "http://127.0.0.1:8080/open-apis/im/v1/messages",
        "the secret of the app 'default' cannot be read: a sealed value was changed",
        "POST /open-apis/im/v1/messages",
        "c-2026-11-24-0001",
        "t-shirt-order-1234567890-1234567890",
    ],
)
def test_what_our_own_sentences_say_is_not_masked(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({"authorization": "x"}, {"authorization": MASK}),
        ({"tenant_access_token": b"x", "appSecret": "y"}, None),
        ({"headers": {"Cookie": "x", "n": 1}}, {"headers": {"Cookie": MASK, "n": 1}}),
        (
            {"app_ticket": "", "token": 3, "secret": None},
            {"app_ticket": "", "token": 3, "secret": None},
        ),
        ({"steps": ("Bearer x", True)}, {"steps": [f"Bearer {MASK}", True]}),
        ({"error": ValueError("Bearer x7")}, {"error": f"ValueError('Bearer {MASK}')"}),
        ({"call_id": "t-0123456789abcdef0123456789"}, {"call_id": "t-0123456789abcdef0123456789"}),
        ({"call_id": "of hunter22"}, {"call_id": f"of {MASK}"}),
        (
            {"token": "hunter22", "url": "amqp://u:p@h"},
            {"token": MASK, "url": f"amqp://u:{MASK}@h"},
        ),
    ],
)
def test_fields_are_masked_by_name_by_value_and_by_form(
    event: dict[str, Any], shown: dict[str, Any] | None
) -> None:
    expected = dict.fromkeys(event, MASK) if shown is None else shown
    assert knowing("hunter22").event(None, "info", event) == expected


def test_of_two_secrets_that_overlap_neither_is_left() -> None:
    assert knowing("first-secret", "secret-second").text("a first-secret-second b") == f"a {MASK} b"


def test_a_secret_too_short_to_tell_from_a_word_is_not_looked_for() -> None:
    assert knowing("guest").text("no guest here") == "no guest here"


def test_what_it_knows_is_bounded_and_the_values_met_last_stay() -> None:
    redactor = Redactor(most=3)
    for secret in ("secret-1", "secret-2", "secret-3", "secret-1", "secret-4"):
        redactor.learn(secret)
    assert redactor.text("secret-1 secret-2 secret-4") == f"{MASK} secret-2 {MASK}"
    assert MOST_KNOWN >= 1000
