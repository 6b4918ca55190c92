"""Keeps a process in step with what others do to tokens, and Postgres free of ended ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import structlog

from .memory import Memory
from .postgres_tokens import Drop, PostgresTokens
from .stores import StoreAway

EVERY_SECONDS = 0.5
_OVERLAP_SECONDS = 5.0
"""Drops become visible when they are committed, which may be later than they are dated."""
_LONGEST_SECONDS = 600.0
"""Longer ago Feishu itself has said so of any token that is in use."""
_TIDY_SECONDS = 600.0

log = structlog.get_logger(__name__)


class Watch:
    """Looks which tokens another process dropped; tidies up every ten minutes."""

    def __init__(
        self,
        postgres: PostgresTokens,
        memory: Memory,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._postgres = postgres
        self._memory = memory
        self._clock = clock
        self._draw = draw
        self._seen: frozenset[Drop] = frozenset()
        self._looked_at = clock()
        self._tidy_at = self._next_tidy()

    async def look(self) -> None:
        """Forget what was dropped since the last look; nothing while Postgres is away."""
        now = self._clock()
        if now >= self._tidy_at:
            self._tidy_at = self._next_tidy()
            self._memory.sweep(now)
            with suppress(StoreAway):
                await self._postgres.prune()
        seconds = min(now - self._looked_at + _OVERLAP_SECONDS, _LONGEST_SECONDS)
        with suppress(StoreAway):
            dropped = await self._postgres.dropped(seconds)
            self._looked_at = now
            fresh = {fingerprint for fingerprint, _ in dropped - self._seen}
            forgotten = self._memory.forget(fresh, self._clock())
            self._seen = dropped
            if forgotten:
                log.info("tokens forgotten that were dropped elsewhere", count=forgotten)

    def _next_tidy(self) -> float:
        # Spread, so that the processes of a fleet do not come all at once.
        return self._clock() + _TIDY_SECONDS * (0.5 + self._draw())
