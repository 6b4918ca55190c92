"""Quotas of a month or a day that are used up: the fleet stops what Feishu would refuse anyway.

A stop is known to all processes by way of Redis, at most `look_seconds` late. Each process keeps
what it knows in memory, so that a call costs one look at an empty dict while nothing is stopped,
and reads the shared stops in the background: told at a refusal alone, every process would spend a
request of its own to learn of a stop, and again after each restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Final

import structlog
from redis.asyncio import Redis

from schemas.reply import ErrorType

from .codes import CodeRow, meaning_of
from .errors import Refused
from .jobs import Job
from .redis_client import AWAY
from .stops import QuotaStops, Stop, keys_of, shown, stopped_by, until
from .verdict import QuotaUsedUp

PROBE_SECONDS: Final = 3600.0
"""A quota may be raised before its time: so often one call is let through, of the whole fleet."""
_LOOK_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class Quotas:
    """Says which calls need not be sent, and learns it. Never raises because of Redis.

    Redis is the truth while it answers, also when it has forgotten: that costs one request. While
    it is away each process goes by its own memory and lets one call an hour through by itself.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "lark",
        look_seconds: float = _LOOK_SECONDS,
        probe_seconds: float = PROBE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shared = QuotaStops(redis, prefix=prefix)
        self._look_seconds = look_seconds
        self._probe_seconds = probe_seconds
        self._clock = clock
        self._stops: dict[str, Stop] = {}
        self._probe_at: dict[str, float] = {}
        self._untold: dict[str, Stop | None] = {}
        self._changes = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Learn what is stopped, and keep looking until `close`; Redis may be away."""
        await self.look()
        self._task = asyncio.create_task(self._keep_looking(), name="quota-look")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def refused(self, job: Job) -> Refused | None:
        """The final answer of a call that Feishu would refuse, or None: it may be sent.

        One call an hour may be sent all the same, and is marked as a probe.
        """
        if not self._stops or job.probes:
            return None
        now = self._clock()
        held = [(key, self._stops[key]) for key in keys_of(job) if self._holds(key, now)]
        for key, stop in held:
            if not await self._may_probe(key, stop, now):
                return _refusal(stop)
        job.probes = bool(held)
        return None

    async def exhausted(self, job: Job, error: QuotaUsedUp) -> Refused:
        """Stop what the answer speaks of; returns the answer with the time of the reset."""
        now = self._clock()
        stop = Stop(error.row.code, until(error.row, now), now)
        key = stopped_by(error.row, job)
        # Calls that were under way together are refused together: the first of them tells.
        if key is not None and (job.probes or key not in self._stops):
            self._probe_at[key] = now + self._probe_seconds
            self._change(key, stop)
            await self._tell()
        return Refused(
            error.type,
            error.message,
            outcome=error.outcome,
            code=error.code,
            log_id=error.log_id,
            hint=_hint(error.row, stop),
        )

    async def passed(self, job: Job) -> None:
        """The API has carried out a probe: everything goes on that was stopped."""
        job.probes = False
        for key in keys_of(job):
            if key in self._stops:
                self._change(key, None)
        await self._tell()

    async def look(self) -> None:
        """Tell the others what they may not know, and take over what they know."""
        try:
            await self._share()
            changes = self._changes
            found = await self._shared.read(self._clock())
        except AWAY:
            return
        if changes != self._changes:
            return  # What this process learnt while the answer travelled is newer than the answer.
        for key in self._stops.keys() - found.keys():
            self._set(key, None)
        for key, stop in found.items():
            self._set(key, stop)

    def _holds(self, key: str, now: float) -> bool:
        stop = self._stops.get(key)
        if stop is not None and stop.until <= now:
            self._set(key, None)
            return False
        return stop is not None

    async def _may_probe(self, key: str, stop: Stop, now: float) -> bool:
        if now < self._probe_at.get(key, stop.since + self._probe_seconds):
            return False
        # Set first: what is asked for meanwhile does not probe as well.
        self._probe_at[key] = now + self._probe_seconds
        try:
            taken = await self._shared.claim_probe(key, self._probe_seconds)
        except AWAY:
            return True
        if taken:
            self._probe_at[key] = now + taken
        return not taken

    def _change(self, key: str, stop: Stop | None) -> None:
        self._changes += 1
        self._untold[key] = stop
        self._set(key, stop)

    def _set(self, key: str, stop: Stop | None) -> None:
        before = self._stops.pop(key, None)
        if stop is not None:
            self._stops[key] = stop
            if before is None:
                log.warning("quota_exhausted", of=key, code=stop.code, until=shown(stop.until))
        elif before is not None:
            self._probe_at.pop(key, None)
            log.info("quota_back", of=key, code=before.code)

    async def _tell(self) -> None:
        with contextlib.suppress(*AWAY):
            await self._share()

    async def _share(self) -> None:
        for key, stop in list(self._untold.items()):
            await self._shared.write(key, stop, self._probe_seconds)
            if self._untold.get(key, stop) is stop:
                self._untold.pop(key, None)

    async def _keep_looking(self) -> None:
        while True:
            spread = random.uniform(0.9, 1.1)  # noqa: S311  no secret
            await asyncio.sleep(self._look_seconds * spread)
            await self.look()


def _refusal(stop: Stop) -> Refused:
    row = meaning_of(stop.code)
    return Refused(
        ErrorType.QUOTA_EXHAUSTED,
        f"{row.meaning if row else 'a quota of Feishu is used up'}: the call was not sent",
        code=stop.code,
        hint=_hint(row, stop),
    )


def _hint(row: CodeRow | None, stop: Stop) -> str:
    reset = f"It resets at {shown(stop.until)}; the gateway asks Feishu again once an hour."
    return f"{row.hint} {reset}" if row else reset
