"""The records of K and N calls as the pipeline asks for them, whatever store is away."""

from __future__ import annotations

import asyncio

import structlog

from gateway.catalogue import ApiClass
from gateway.errors import NotNow, Refused
from gateway.metrics import Metrics
from schemas.reply import ErrorType

from .asking import Answer, ask, reused
from .decision import State
from .in_hand import Held
from .keeper import Keeper
from .protocol import Claim, InDoubt, Question, Recorded, Running
from .starting import mark_start
from .store import NOBODY, Store, StoreAway
from .unwritten import Entry

COMPLETE_SECONDS = 0.1
"""How long a reply waits for its record at most."""
_FIRST_LOOK, _LAST_LOOK = 0.05, 0.5
_RESULTS: dict[type[Answer], str] = {
    Recorded: "recorded",
    Running: "running",
    InDoubt: "in_doubt",
}

log = structlog.get_logger(__name__)


class OutcomeRecords:
    """Implements `Outcomes` over a store; *arbiter* stands in for one that may be away or forget.

    Without an arbiter a call of class N waits while the store is away.
    """

    def __init__(self, store: Store, arbiter: Store | None, keeper: Keeper, metrics: Metrics):
        self._store = store
        self._arbiter = arbiter
        self._keeper = keeper
        self._writer = keeper.writer
        self._in_hand = keeper.in_hand
        self._metrics = metrics

    async def start(self) -> None:
        """Make this process known, until `close`; stores may be away."""
        self._metrics.outcome_unwritten.set_function(lambda: float(self._writer.unwritten))
        self._metrics.outcome_oldest_start.set_function(self._in_hand.oldest_start)
        await self._keeper.start()

    async def close(self) -> None:
        """Write what is not written, and say that this process is gone."""
        await self._keeper.close()

    async def claim(self, question: Question) -> Answer:
        """Ask for the right to carry out the call; raises Refused, `id_reused`."""
        if other := self._in_hand.find(question):
            return self._counted(self._same(question, other.question, Running(question)))
        kept = self._writer.kept_of(question)
        if kept is not None and kept.recorded is not None:
            return self._counted(self._same(question, kept.question, kept.recorded))
        held = self._in_hand.enter(question)
        try:
            if kept is not None:
                # Handed back while the store was away; written later, it would end this claim.
                self._writer.superseded(kept)
            answer = await self._settle(held)
            held.claim = answer if isinstance(answer, Claim) else None
        except Refused:
            self._metrics.outcome_claims.labels("reused").inc()
            raise
        finally:
            if held.claim is None:
                self._in_hand.leave(held)
        return self._counted(answer)

    async def begin(self, claim: Claim) -> None:
        """Mark a call as started; raises NotNow, after a delay of 0 for who must claim it again."""
        if claim.started:
            return
        held = self._in_hand.of(claim)
        if held is None:
            raise _taken_over(claim)
        if claim.question.klass is ApiClass.NEITHER:
            if not await mark_start(held, claim, self._store, self._arbiter):
                self._in_hand.leave(held)
                raise _taken_over(claim)
            held.start()
        claim.started = True

    async def complete(self, claim: Claim, recorded: Recorded) -> Recorded:
        """Record how the call ended; what stands, or *recorded* where no store says so in time."""
        held, question = self._in_hand.of(claim), claim.question
        try:
            async with asyncio.timeout(COMPLETE_SECONDS):
                stands = await self._store.complete(question, recorded)
        except (StoreAway, TimeoutError):
            self._writer.keep(Entry(question, recorded))
            stands = recorded
        if self._arbiter is not None and (held.in_arbiter if held else claim.owner == NOBODY):
            self._writer.tell_too(self._arbiter, Entry(question, stands))
        if held is not None:
            self._in_hand.leave(held)
        return stands

    async def hand_back(self, claim: Claim, *, remember: bool) -> None:
        """Let the call be claimed again; *remember*: another content stays refused."""
        held = self._in_hand.of(claim)
        if held is None:
            return
        entry = Entry(claim.question, None, remember=remember, keeps_age=claim.started)
        try:
            await self._writer.write(entry)
            if self._arbiter is not None and held.in_arbiter:
                self._writer.tell_too(self._arbiter, Entry(claim.question, None))
        finally:
            self._in_hand.leave(held)

    async def ended(self, running: Running, timeout: float) -> None:
        """Wait until the call may have ended, at most *timeout* seconds."""
        held = self._in_hand.find(running.question)
        try:
            async with asyncio.timeout(max(0.0, timeout)):
                if held is not None:
                    await held.ended.wait()
                else:
                    await self._ended_elsewhere(running.question)
        except TimeoutError:
            return

    async def _settle(self, held: Held) -> Answer:
        question = held.question
        try:
            return await ask(question, self._store, self._arbiter)
        except StoreAway as away:
            once = question.klass is ApiClass.NEITHER
            if once and self._arbiter is not None:
                try:
                    answer = await ask(question, self._arbiter)
                except StoreAway:
                    log.warning("no store answers", call_id=question.call_id)
                else:
                    held.in_arbiter = True
                    return answer
            if once and question.redelivered:
                return InDoubt(question, Claim(question, NOBODY, written=False, started=True))
            return Claim(question, self._store.owner, written=not away.unsent)

    async def _ended_elsewhere(self, question: Question) -> None:
        delay = _FIRST_LOOK
        while True:
            await asyncio.sleep(delay)
            delay = min(_LAST_LOOK, delay * 1.5)
            try:
                found = await self._store.look(question)
            except StoreAway:
                continue
            if found is None or found.state not in (State.CLAIMED, State.STARTED):
                return
            if not found.owner_lives:
                return

    def _same(self, question: Question, other: Question, answer: Answer) -> Answer:
        if question.fingerprint == other.fingerprint:
            return answer
        self._metrics.outcome_claims.labels("reused").inc()
        raise reused(question)

    def _counted(self, answer: Answer) -> Answer:
        result = _RESULTS.get(type(answer))
        if isinstance(answer, Claim):
            result = "claimed" if answer.written else "unwritten"
        self._metrics.outcome_claims.labels(result).inc()
        return answer


def _taken_over(claim: Claim) -> NotNow:
    return NotNow(
        ErrorType.STORE_UNAVAILABLE,
        f"another process has taken over the call {claim.question.call_id!r}",
        retry_after=0.0,
    )
