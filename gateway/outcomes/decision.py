"""What is known of a call id → who may carry out the call. Pure; the only place that decides it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from gateway.catalogue import ApiClass

from .protocol import Question, Recorded


class State(Enum):
    """What a record says of its call."""

    CLAIMED = "C"
    STARTED = "S"
    CONTENT = "K"
    """Nobody carries it out; only its content is remembered."""
    RECORDED = "R"


@dataclass(frozen=True, slots=True)
class Found:
    """A record as a store has it.

    `is_current`: it was written in this life of the store, in which nothing can have been lost.
    `age` is the seconds since the call was first claimed, or may have been started. `stamp` is
    another one after every change of the record.
    """

    state: State
    fingerprint: bytes
    owner: str
    owner_lives: bool
    is_current: bool
    age: float
    stamp: Any
    recorded: Recorded | None = None


class Verdict(Enum):
    """What becomes of a question."""

    CLAIM = auto()
    """Nothing is known: the call is the asker's."""
    TAKE_OVER = auto()
    """Whoever had it is gone, or gave it back: it is the asker's, if nobody is faster."""
    RUNNING = auto()
    RECORDED = auto()
    IN_DOUBT = auto()
    REUSED = auto()


def decide(question: Question, found: Found | None) -> Verdict:
    """Decide for an asker that is not carrying out the call itself."""
    once = question.klass is ApiClass.NEITHER
    if found is None:
        # A redelivered call may have been started; that no mark is found proves nothing.
        return Verdict.IN_DOUBT if question.redelivered and once else Verdict.CLAIM
    if found.fingerprint != question.fingerprint:
        return Verdict.REUSED
    if found.state is State.RECORDED:
        return Verdict.RECORDED
    if found.state is not State.CONTENT and found.owner_lives:
        return Verdict.RUNNING
    # Outside its window Feishu does not know the key any more.
    doubtful = _may_be_started(question, found) if once else found.age > question.key_seconds
    return Verdict.IN_DOUBT if doubtful else Verdict.TAKE_OVER


def _may_be_started(question: Question, found: Found) -> bool:
    match found.state:
        case State.STARTED:
            return True
        case State.CONTENT:
            # After it was given back it may have been started again, which a store may forget.
            return question.redelivered and not found.is_current
        case _:
            return not found.is_current
