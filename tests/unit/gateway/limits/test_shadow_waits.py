import pytest

from gateway.limits.buckets import Bucket
from gateway.limits.shadow_waits import LONGEST, Waits
from schemas.apis import Window

API = Bucket("api", (Window(5, 1),))
CHAT = Bucket("chat", (Window(1, 1),))


def test_what_exceeds_a_window_would_wait_until_the_window_and_its_margin_have_passed() -> None:
    waits = Waits()
    got = [waits.take([API], 100.0) for _ in range(11)]
    assert [wait.verdict for wait in got] == ["at_once"] * 5 + ["would_wait"] * 6
    assert got[5].seconds == pytest.approx(1.1)
    assert got[10].seconds == pytest.approx(2.2)


def test_the_bucket_that_makes_it_wait_longest_counts() -> None:
    waits = Waits()
    assert waits.take([API, CHAT], 100.0).verdict == "at_once"
    assert waits.take([API, CHAT], 100.0).seconds == pytest.approx(1.1)
    assert waits.take([API], 100.0).verdict == "at_once"


def test_a_call_in_a_pause_would_pause() -> None:
    waits = Waits()
    waits.pause(API, 103.0)
    assert waits.take([API], 100.0) == ("would_pause", 3.0)
    assert waits.take([API], 104.0).verdict == "at_once"


def test_calls_that_would_wait_too_long_take_no_turn() -> None:
    waits = Waits()
    seconds = [waits.take([CHAT], 100.0).seconds for _ in range(100)]
    assert max(seconds) < LONGEST + 1.1
    assert seconds[-1] == seconds[-2]


def test_a_bucket_without_windows_holds_up_nobody() -> None:
    document = Bucket("document", (), at_once=1)
    waits = Waits()
    assert [waits.take([document], 100.0).verdict for _ in range(9)] == ["at_once"] * 9
