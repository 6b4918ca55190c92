"""Buckets: their keys and how long a permit is held."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.buckets import bucket_of, span
from schemas.apis import Window

MINUTE = Window(1000, 60)
SECOND = Window(50, 1)


def test_a_key_is_readable_and_outlives_a_change_of_limits() -> None:
    before = bucket_of("default", "t_1", "POST /open-apis/im/v1/messages", (MINUTE,))
    after = bucket_of("default", "t_1", "POST /open-apis/im/v1/messages", (SECOND,))
    assert before.key == after.key == "default|t_1|POST /open-apis/im/v1/messages"


def test_what_cannot_stand_in_a_key_is_hashed() -> None:
    bucket = bucket_of("default", "a|b{c}\n", "GET /x", ())
    assert bucket.key.startswith("default|~")
    assert not set("{}\n") & set(bucket.key)


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_different_calls_never_share_a_key(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    same = bucket_of(*one, ()).key == bucket_of(*other, ()).key
    assert same == (one == other)


def test_a_short_window_takes_the_wide_margin_where_a_longer_one_is_tighter() -> None:
    assert bucket_of("a", None, "r", (MINUTE, SECOND)).spans() == (60.35, 1.35)
    assert bucket_of("a", None, "r", (SECOND,)).spans() == (1.1,)
    assert bucket_of("a", None, "r", (Window(6000, 60), SECOND)).spans() == (60.35, 1.1)


def test_a_permit_is_held_longer_than_the_window_and_little_longer_in_a_short_one() -> None:
    assert span(Window(50, 1)) == 1.1
    assert span(Window(5, 5)) == 5.1
    assert span(Window(1000, 60)) == 60.35
    assert bucket_of("a", None, "r", (SECOND, MINUTE)).longest == 60.35
