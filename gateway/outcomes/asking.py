"""Asks a store for the right to carry out a call, again while others are faster."""

from __future__ import annotations

from dataclasses import replace

from gateway.catalogue import ApiClass
from gateway.errors import Refused
from schemas.reply import ErrorType

from .decision import Found, State, Verdict, decide
from .protocol import Claim, InDoubt, Question, Recorded, Running
from .store import NOBODY, Store, StoreAway

Answer = Claim | Recorded | Running | InDoubt

_MOST_TRIES = 10


async def ask(question: Question, store: Store, arbiter: Store | None = None) -> Answer:
    """What the store says to who does not carry out the call; raises Refused and StoreAway.

    An N call whose first owner is gone is also asked of *arbiter*: that owner may be cut off from
    this store alone, and then it marks its start there.
    """
    unclaimed = Verdict.IN_DOUBT is decide(question, None)
    for _ in range(_MOST_TRIES):
        found, epoch = await store.claim(question, doubtful=unclaimed)
        if found is None:
            return _given(question, store, epoch, doubtful=unclaimed, known=False)
        found = _freed(found, store)
        verdict = decide(question, found)
        if verdict is Verdict.REUSED:
            raise reused(question)
        if verdict is Verdict.RUNNING:
            return Running(question)
        if verdict is Verdict.RECORDED and found.recorded is not None:
            return found.recorded
        doubtful = verdict is not Verdict.TAKE_OVER
        if not doubtful and arbiter is not None and _may_start(question, found):
            answer = await _arbitrated(question, arbiter)
            if isinstance(answer, Running | Recorded):
                return answer
            doubtful = isinstance(answer, InDoubt)
        if doubtful and found.owner == NOBODY:
            return _doubt(question, epoch)
        taken = await store.take_over(question, found, doubtful=doubtful)
        if taken is not None:
            return _given(question, store, taken, doubtful=doubtful, known=True)
    raise StoreAway("the record changes again and again")


def reused(question: Question) -> Refused:
    """The answer to another content under an id that is taken."""
    return Refused(
        ErrorType.ID_REUSED,
        f"the call id {question.call_id!r} was used before for a call with another content",
        hint="publish this content under an id of its own, or the first content unchanged under "
        "this one; an id is free again 24 hours after its last use",
    )


def _freed(found: Found, store: Store) -> Found:
    # Who asks does not carry it out, so a claim of its own is left over from a lost answer.
    return replace(found, owner_lives=False) if found.owner == store.owner else found


def _may_start(question: Question, found: Found) -> bool:
    """Whether the one who has it may still mark a start where this store does not see it."""
    once = question.klass is ApiClass.NEITHER
    return once and found.state is State.CLAIMED


async def _arbitrated(question: Question, arbiter: Store) -> Answer:
    try:
        # That nothing is found there is as it should be, redelivered or not.
        return await ask(replace(question, redelivered=False), arbiter)
    except StoreAway:
        return _doubt(question, "")


def _given(
    question: Question, store: Store, epoch: str, *, doubtful: bool, known: bool
) -> Claim | InDoubt:
    if doubtful:
        return _doubt(question, epoch)
    return Claim(question, store.owner, written=True, epoch=epoch, known=known)


def _doubt(question: Question, epoch: str) -> InDoubt:
    return InDoubt(question, Claim(question, NOBODY, written=True, started=True, epoch=epoch))
