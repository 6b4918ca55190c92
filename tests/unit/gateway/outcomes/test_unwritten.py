from gateway.catalogue import ApiClass
from gateway.outcomes.protocol import Question, Recorded
from gateway.outcomes.unwritten import Entry, Unwritten


def entry(name: str, size: int = 10) -> Entry:
    question = Question("default", name, ApiClass.KEYED, b"f" * 32, redelivered=False)
    return Entry(question, Recorded(b"x" * size, None, 1, "default"))


def test_the_last_word_on_a_call_is_kept() -> None:
    unwritten, first, last = Unwritten(), entry("a", 1), entry("a", 2)
    unwritten.add(first)
    unwritten.add(last)
    assert unwritten.first(10) == [last]
    unwritten.remove(first)
    assert unwritten.of(first.question) is last
    unwritten.remove(last)
    assert not unwritten
    assert unwritten.of(first.question) is None


def test_the_oldest_are_dropped_when_there_are_too_many() -> None:
    unwritten = Unwritten(most=2)
    dropped = [unwritten.add(entry(name)) for name in "abc"]
    assert dropped == [0, 0, 1]
    assert [kept.question.call_id for kept in unwritten.first(10)] == ["b", "c"]


def test_the_oldest_are_dropped_when_they_hold_too_much() -> None:
    unwritten = Unwritten(most_bytes=10_000)
    for name in "abcd":
        unwritten.add(entry(name, 4_000))
    assert [kept.question.call_id for kept in unwritten.first(10)] == ["c", "d"]
