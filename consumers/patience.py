"""How long a reply is offered to a queue that refuses it because it is full."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from .publisher import Published

AT_LEAST = 2.0
"""Seconds that every reply is offered: a broker that is moving a queue nacks for a moment too."""
FULL_SECONDS = 30.0
"""How long a queue counts as full after it refused a reply for all that time."""
PAUSE_SECONDS = 0.3


class Patience:
    """Lets some replies wait for room in a full queue, and not so many that all calls wait."""

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._waiting: Counter[str] = Counter()
        self._full_until: dict[str, float] = {}

    async def offer(
        self, reply_to: str, wanted_until: float, publish: Callable[[], Awaitable[Published]]
    ) -> Published:
        """Publish until it is not nacked, or nobody wants the reply any more (Unix time).

        Above `most_waiting` replies a queue that is known to be full is asked only once for each.
        """
        outcome = await publish()
        if outcome is not Published.NACKED:
            return outcome
        until = max(wanted_until, time.time() + AT_LEAST)
        known_after = time.monotonic() + AT_LEAST
        waits = self._waiting[reply_to] < self._most_waiting
        self._waiting[reply_to] += waits
        try:
            while outcome is Published.NACKED and time.time() < until:
                if time.monotonic() >= known_after:
                    self._full(reply_to)
                if not waits and self._full_until.get(reply_to, 0.0) > time.monotonic():
                    break
                await asyncio.sleep(PAUSE_SECONDS)
                outcome = await publish()
        finally:
            self._waiting[reply_to] -= waits
            if not self._waiting[reply_to]:
                del self._waiting[reply_to]
        return outcome

    def _full(self, reply_to: str) -> None:
        now = time.monotonic()
        self._full_until = {name: end for name, end in self._full_until.items() if end > now}
        self._full_until[reply_to] = now + FULL_SECONDS
