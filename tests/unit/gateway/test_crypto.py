from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.crypto import KeyRing, Undecryptable, context, key_id_of

KEY = bytes(range(32))
OTHER = bytes(range(32, 64))
CONTEXT = context("postgres", "tokens", b"row", "sealed")
OTHER_ROW = context("postgres", "tokens", b"other row", "sealed")


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_what_was_sealed_opens_in_the_same_context(plaintext: bytes, place: bytes) -> None:
    ring = KeyRing([KEY])
    assert ring.open(ring.seal(plaintext, place), place) == plaintext


def test_the_context_of_a_place_stays_what_stored_values_were_sealed_for() -> None:
    assert CONTEXT == b"lark-service\0postgres\0tokens\0row\0sealed"


def test_every_flipped_byte_is_noticed() -> None:
    ring = KeyRing([KEY])
    sealed = ring.seal(b"t-secret-token", CONTEXT)
    for place in range(len(sealed)):
        broken = bytearray(sealed)
        broken[place] ^= 1
        with pytest.raises(Undecryptable):
            ring.open(bytes(broken), CONTEXT)


def test_every_shortened_value_is_noticed() -> None:
    ring = KeyRing([KEY])
    sealed = ring.seal(b"t-secret-token", CONTEXT)
    for length in range(len(sealed)):
        with pytest.raises(Undecryptable):
            ring.open(sealed[:length], CONTEXT)


def test_a_value_moved_to_another_place_does_not_open() -> None:
    ring = KeyRing([KEY])
    with pytest.raises(Undecryptable, match="another place"):
        ring.open(
            ring.seal(b"t-secret-token", CONTEXT),
            context("postgres", "tokens", b"other row", "sealed"),
        )


def test_another_key_does_not_open_it() -> None:
    sealed = KeyRing([KEY]).seal(b"t-secret-token", CONTEXT)
    with pytest.raises(Undecryptable, match="not in the key ring"):
        KeyRing([OTHER]).open(sealed, CONTEXT)


def test_an_older_key_of_the_ring_still_opens_and_the_newest_seals() -> None:
    before = KeyRing([KEY])
    between = KeyRing([OTHER, KEY])
    after = KeyRing([OTHER])
    assert between.open(before.seal(b"old", CONTEXT), CONTEXT) == b"old"
    assert after.open(between.seal(b"new", CONTEXT), CONTEXT) == b"new"


def test_the_same_text_is_sealed_differently_each_time() -> None:
    ring = KeyRing([KEY])
    assert len({ring.seal(b"same", CONTEXT) for _ in range(100)}) == 100


def test_errors_show_neither_text_nor_key() -> None:
    sealed = KeyRing([KEY]).seal(b"t-secret-token", CONTEXT)
    with pytest.raises(Undecryptable) as caught:
        KeyRing([KEY]).open(sealed[:-1], CONTEXT)
    shown = repr(caught.value) + repr(caught.value.__context__)
    assert "secret" not in shown
    assert KEY.hex() not in shown


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
    ],
)
def test_a_key_may_be_written_in_hex_and_both_base64(text: str) -> None:
    assert KeyRing.from_text(text).open(KeyRing([KEY]).seal(b"x", b""), b"") == b"x"


@given(st.binary(min_size=32, max_size=32))
def test_base64url_reads_every_key(key: bytes) -> None:
    text = base64.urlsafe_b64encode(key).decode()
    assert KeyRing.from_text(text).open(KeyRing([key]).seal(b"x", b""), b"") == b"x"


def test_several_keys_are_a_ring_newest_first() -> None:
    ring = KeyRing.from_text(f" {OTHER.hex()} , {KEY.hex()} ")
    assert ring.open(KeyRing([KEY]).seal(b"old", b""), b"") == b"old"
    assert KeyRing([OTHER]).open(ring.seal(b"new", b""), b"") == b"new"


@pytest.mark.parametrize("wrong", ["", "secret", "ab" * 31, "ab" * 33, f"{KEY.hex()},", "é" * 64])
def test_a_key_of_the_wrong_form_is_named_by_place_and_not_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"key \d is not 32 bytes") as caught:
        KeyRing.from_text(wrong)
    assert not wrong or wrong not in str(caught.value)


def test_all_processes_derive_the_same_key_from_the_app_secret() -> None:
    secret = os.urandom(8).hex()
    sealed = KeyRing.derived_from(secret).seal(b"x", CONTEXT)
    assert KeyRing.derived_from(secret).open(sealed, CONTEXT) == b"x"
    with pytest.raises(Undecryptable):
        KeyRing.derived_from(secret + "1").open(sealed, CONTEXT)


def test_a_renewed_ring_seals_with_the_new_key_for_all_who_hold_it() -> None:
    ring = KeyRing([KEY])
    old = ring.seal(b"old", CONTEXT)
    ring.renew(KeyRing([OTHER, KEY]))
    assert KeyRing([OTHER]).open(ring.seal(b"new", CONTEXT), CONTEXT) == b"new"
    assert ring.open(old, CONTEXT) == b"old"


def test_who_listens_to_a_ring_learns_what_is_sealed_and_opened_also_after_a_renewal() -> None:
    ring, learnt = KeyRing([KEY]), list[str]()
    sealed = ring.seal(b"sealed before", CONTEXT)
    ring.on_secret(learnt.append)
    ring.seal(b"sealed", CONTEXT)
    ring.renew(KeyRing([OTHER, KEY]))
    ring.open(sealed, CONTEXT)
    assert learnt == ["sealed", "sealed before"]


def test_a_sealed_value_tells_the_id_of_its_key() -> None:
    ring = KeyRing([KEY, OTHER])
    assert key_id_of(ring.seal(b"x", CONTEXT)) == ring.key_ids[0]
    assert len(set(ring.key_ids)) == 2
    assert key_id_of(b"t-plain-token" * 9) is None
    assert key_id_of(ring.seal(b"x", CONTEXT)[:20]) is None


def test_without_a_key_of_its_own_the_ring_is_derived_and_says_so() -> None:
    derived = KeyRing.of(None, SecretStr("app secret"))
    assert derived.derived
    assert derived.key_ids == KeyRing.derived_from("app secret").key_ids
    own = KeyRing.of(SecretStr(KEY.hex()), SecretStr("app secret"))
    assert not own.derived
    derived.renew(own)
    assert not derived.derived
