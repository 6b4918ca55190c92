"""A secret does not get through in any writing that programs give it."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.redaction import MASK, SHORTEST, Redactor
from tests.support.examples import tried

SECRETS = st.text(st.characters(codec="utf-8"), min_size=SHORTEST, max_size=60)
TOKENS = st.from_regex(r"(?:t|u)-[A-Za-z0-9_.-]{20,60}", fullmatch=True)
AROUND = st.text(st.characters(codec="utf-8"), max_size=20)


def knowing(*secrets: str) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.learn(secret)
    return redactor


@tried
@given(SECRETS | TOKENS, SECRETS, AROUND, AROUND, st.booleans())
def test_no_writing_of_a_secret_gets_through(
    secret: str, other: str, before: str, after: str, twice: bool
) -> None:
    assume(secret not in MASK * 20)
    redactor = knowing(other, secret)
    for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
        shown = redactor.text(before + form * (1 + twice) + after)
        assert form not in shown.replace(MASK, "\0")


@tried
@given(TOKENS, st.binary(max_size=9), st.binary(max_size=9), st.sampled_from(["", " ", '"', "="]))
def test_no_base64_of_a_secret_gets_through(
    secret: str, before: bytes, after: bytes, gap: str
) -> None:
    redactor = knowing(secret)
    for encode in (b64encode, urlsafe_b64encode):
        form = encode(before + secret.encode() + after).decode()
        assume(re.search("[A-Z]", form))
        shown = redactor.text(f"it says {gap}{form}{gap} here")
        assert form.rstrip("=") not in shown
        assert MASK in shown


@tried
@given(SECRETS | TOKENS, st.data(), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_no_secret_gets_through_in_two_lines(secret: str, data: st.DataObject, line: str) -> None:
    assume(not set(secret) & set("\r\n"))
    assume(set(secret) - set(f"a {MASK} b"))
    place = data.draw(st.integers(1, len(secret) - 1))

    shown = knowing(secret).text(f"a {secret[:place]}{line}{secret[place:]} b")

    assert secret not in _on_one_line(shown)


@tried
@given(SECRETS, st.lists(AROUND, min_size=2, max_size=4))
def test_what_is_no_secret_is_left_whole(secret: str, parts: list[str]) -> None:
    text = "".join(parts)
    assume(_on_one_line(secret) not in _on_one_line(text))

    assert knowing(secret).text(text) == Redactor().text(text)


def _on_one_line(text: str) -> str:
    return text.replace("\r", "").replace("\n", "")
