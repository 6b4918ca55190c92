"""What a delivery says of itself as a call on its way."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.codec import address_of, open_envelope
from consumers.copies import moved_copy
from consumers.work import Work
from schemas import names
from tests.support.builders import NOW, make_copy, make_delivery, make_job


def work(**changes: Any) -> Work:
    delivery = make_delivery(**changes)
    return Work(delivery, "default", address_of(delivery), open_envelope(delivery), make_job())


def moved(at: float, **changes: Any) -> Work:
    """The call as it comes out of an overflow queue at NOW."""
    first = make_delivery(**changes)
    properties = moved_copy(first, open_envelope(first), "q", attempts=0, tries=0, now=at)
    return work(exchange=names.OVERFLOW_EXCHANGE, queue="q", **properties)


def test_a_fresh_call_has_waited_for_nothing() -> None:
    fresh = work(user_id="p")
    assert not fresh.moved
    assert fresh.waited == 0.0
    assert fresh.producer == "p"


def test_the_time_in_an_overflow_queue_is_time_waited_for_a_permit() -> None:
    came_back = moved(NOW - 7.5, user_id="p")
    assert came_back.moved
    assert came_back.producer == "p"
    assert came_back.waited == pytest.approx(7.5, abs=0.002)
    assert came_back.timing().limit_wait_ms == pytest.approx(7500, abs=2)


def test_a_clock_that_is_ahead_makes_no_negative_wait() -> None:
    assert moved(NOW + 5.0).waited == 0.0


def test_once_moved_is_moved_whatever_rung_it_came_from() -> None:
    came_back = moved(NOW - 7.5)
    copy = make_copy(came_back.delivery)
    again = Work(copy, "default", address_of(copy), open_envelope(copy), make_job())
    assert again.moved
    assert again.waited == 0.0


def test_a_copy_from_a_retry_rung_may_be_moved() -> None:
    copy = make_copy(make_delivery(user_id="p"))
    again = Work(copy, "default", address_of(copy), open_envelope(copy), make_job())
    assert not again.moved
    assert again.producer == "p"


@pytest.mark.parametrize(
    ("key", "lane"),
    [("default.interactive", "interactive"), ("default.bulk", "bulk"), ("default", "bulk")],
)
def test_the_routing_key_names_the_lane(key: str, lane: str) -> None:
    assert work(routing_key=key).lane == lane


def test_what_may_have_been_sent_is_known_on_every_copy_until_it_is_shown_otherwise() -> None:
    first = work(redelivered=True)
    copy = make_copy(first.delivery)
    again = Work(copy, "default", address_of(copy), open_envelope(copy), make_job())
    assert not copy.redelivered
    assert first.redelivered
    assert again.redelivered
    again.is_unsent()
    assert not again.redelivered
    assert not work().redelivered
