"""Outcome records in Redis: one script an operation, and calls of one moment in one round trip.

Redis may forget: it is emptied, restarted without its last second, or a stale replica takes over.
Each begins a new epoch, named by a key of its own. A server's scripts end with it, so that the
first command to a new one fails, and then the epoch is looked at before anything else is done.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis

from gateway.limits.batches import Batches
from gateway.redis_scripts import Command, RoundTrips, Script

from .decision import Found, State
from .in_time import in_time
from .protocol import Question, Recorded
from .store import KEEP_SECONDS, LEASE_SECONDS, NOBODY, Begun, StoreAway, Written
from .values import packed, unpack

_HEAD = 78
_LONGEST_NAME = 80
_BEGUN = (Begun.TAKEN, Begun.MARKED, Begun.FORGOTTEN)


class RedisRecords:
    """Records in Redis; every method raises StoreAway within *timeout* seconds.

    Once Redis did not answer nobody waits for it until a beat has reached it. One that is full
    still tells what it has.
    """

    def __init__(
        self, redis: Redis, owner: str, *, prefix: str = "lark", timeout: float = 0.1
    ) -> None:
        self.owner = owner
        self._trips = RoundTrips(redis, lambda: in_time(timeout), _away)
        # One hash tag: a record, its owner and the epoch are looked at in one step.
        self._tag = f"{{{prefix}:outcomes}}"
        self._epoch = f"{self._tag}:epoch"
        self._owners = f"{self._tag}:owners"
        self._scripts = {name: _script(name) for name in _NAMES}
        self._renew = _script("renew")
        self._batches = Batches(self._send)
        self._away = False
        self._seen = b""
        self._missing = False
        self._renewed_at: float | None = None
        self._lapsed_at = time.monotonic()

    @property
    def is_away(self) -> bool:
        """Whether nobody asks Redis until a beat has reached it."""
        return self._away

    async def claim(self, question: Question, *, doubtful: bool) -> Written:
        """Write a claim where there is no record."""
        state, owner = self._new(doubtful=doubtful)
        return await self._claim(question, state.value, owner)

    async def look(self, question: Question) -> Found | None:
        """Read a record."""
        return (await self._claim(question, "", self.owner)).found

    async def take_over(self, question: Question, found: Found, *, doubtful: bool) -> str | None:
        """Write a claim in the place of exactly what was found."""
        state, owner = self._new(doubtful=doubtful)
        epoch, done = await self._run("take_over", question, found.stamp, owner, state.value)
        return _text(epoch) if done else None

    async def begin(self, question: Question, epoch: str, *, careful: bool) -> Begun:
        """Mark a claim as started; the claim of an epoch that is past too, if nobody has it."""
        flag = "1" if careful else "0"
        arguments = (question.fingerprint, self.owner, epoch, flag)
        _, begun = await self._run("begin", question, *arguments)
        return _BEGUN[begun]

    async def complete(self, question: Question, recorded: Recorded) -> Recorded:
        """Record how the call ended, unless an end is recorded."""
        arguments = (question.fingerprint, self.owner, await packed(recorded))
        stands = await self._run("complete", question, *arguments)
        return (unpack(stands[_HEAD:]) or recorded) if stands else recorded

    async def hand_back(self, question: Question, *, remember: bool, keeps_age: bool) -> None:
        """Delete a claim, or leave the content alone."""
        flags = (str(int(remember)), str(int(keeps_age)))
        await self._run("hand_back", question, question.fingerprint, self.owner, *flags)

    async def beat(self) -> bool:
        """Renew this process's lease, and the epoch; ends the time in which Redis is away."""
        was_away, sent = self._away, time.monotonic()
        try:
            [reply] = await self._pipeline([self._renewal(LEASE_SECONDS)])
        except StoreAway:
            self._away = True
            raise
        self._away = False
        if isinstance(reply, Exception):
            raise _away(reply)
        received = time.monotonic()
        # The lease began at some moment between sending and receiving.
        if self._renewed_at is None or received - self._renewed_at > LEASE_SECONDS:
            self._lapsed_at = received
        self._renewed_at = sent
        missing = was_away or self._missing or reply != self._seen
        self._seen, self._missing = reply, False
        return missing

    async def leave(self) -> None:
        """End this process's lease."""
        [reply] = await self._pipeline([self._renewal(0)])
        if isinstance(reply, Exception):
            raise _away(reply)

    def may_have_lapsed(self, since: float) -> bool:
        """Whether others may have thought this process dead since then (monotonic)."""
        renewed = self._renewed_at
        lapses = renewed is None or time.monotonic() - renewed > LEASE_SECONDS
        return lapses or since < self._lapsed_at

    async def _claim(self, question: Question, state: str, owner: str) -> Written:
        reply = await self._run("claim", question, question.fingerprint, owner, state)
        epoch, value, lives, age = reply
        return Written(_found(value, _text(epoch), lives, age), _text(epoch))

    def _new(self, *, doubtful: bool) -> tuple[State, str]:
        return (State.STARTED, NOBODY) if doubtful else (State.CLAIMED, self.owner)

    async def _run(self, name: str, question: Question, *arguments: Any) -> Any:
        """One script's reply; where it cannot tell the epoch, its reply after that was renewed."""
        script = self._scripts[name]
        keys = (self._key(question), self._epoch, self._owners)
        command: Command = (script.sha, 3, *keys, *arguments, KEEP_SECONDS)
        for _ in range(2):
            if self._away:
                raise StoreAway("Redis did not answer a moment ago", unsent=True)
            reply = await self._batches.ask(command)
            if isinstance(reply, bytes) or reply != [b""]:
                return reply
            self._missing = await self.beat()
        raise StoreAway("Redis forgets its epoch again and again")

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order; one that is an error, as StoreAway in its place."""
        with self._noticed():
            return await self._trips.run(commands, self._introduced)

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        with self._noticed():
            return await self._trips.send(commands)

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except StoreAway:
            self._away = True
            raise

    def _introduced(self, commands: Sequence[Command]) -> tuple[Command, Sequence[Command]]:
        # Scripts are sent as text and not loaded: Redis 6 would keep loaded ones in its log.
        texts = {script.sha: script.text for script in self._scripts.values()}
        again = [("EVAL", texts[str(sha)], *arguments) for sha, *arguments in commands]
        return self._renewal(LEASE_SECONDS), again

    def _renewal(self, lease: float) -> Command:
        epoch = secrets.token_hex(8)
        keys = (self._owners, self._epoch)
        return ("EVAL", self._renew.text, 2, *keys, self.owner, int(lease * 1000), epoch)

    def _key(self, question: Question) -> str:
        # No alias holds a bar, so no two pairs of alias and call id read alike.
        name = f"{question.alias}|{question.call_id}"
        if len(name) > _LONGEST_NAME:
            name = f"|{hashlib.sha256(name.encode()).hexdigest()}"
        return f"{self._tag}:{name}"


_NAMES = ("claim", "take_over", "begin", "complete", "hand_back")


def _script(name: str) -> Script:
    return Script.load(__package__, "record.lua", f"{name}.lua")


def _found(value: bytes, epoch: str, lives: int, age: int) -> Found | None:
    if not value:
        return None
    recorded = unpack(value[_HEAD:]) if value[:1] == b"R" else None
    return Found(
        state=State(_text(value[:1])),
        fingerprint=value[1:33],
        owner=_text(value[33:49]),
        owner_lives=bool(lives),
        is_current=_text(value[49:65]) == epoch,
        age=age / 1000,
        stamp=value,
        recorded=recorded,
    )


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _away(error: BaseException) -> StoreAway:
    return StoreAway(f"Redis: {type(error).__name__}: {error}")
