"""A limiter that holds up nobody: it watches what Feishu does, to learn how Feishu counts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import structlog

from gateway.metrics import Metrics

from .buckets import Bucket
from .grant import Ask, Grant
from .shadow import Answered, Shadow, Tier, tier_of
from .shadow_waits import Waits

REPORT_SECONDS = 60.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Waited:
    """What enforcing would have done with the calls of one tier."""

    asked: int = 0
    would_wait: int = 0
    would_pause: int = 0
    wait_seconds: float = 0.0
    longest_wait: float = 0.0


class ObservingLimiter:
    """Grants everything at once and reports each minute, by tier, which window model fits.

    It satisfies `Limits`. It needs no Redis, and knows the calls of this process alone: what other
    processes send of the same app blurs the result, so a measurement runs one process.
    """

    def __init__(self, metrics: Metrics, *, report_seconds: float = REPORT_SECONDS) -> None:
        self.shadow = Shadow()
        self._metrics = metrics
        self._report_seconds = report_seconds
        self._waits = Waits()
        self._waited: dict[str, _Waited] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def mode(self) -> Literal["observe"]:
        """Nobody grants: everyone gets."""
        return "observe"

    @property
    def live_processes(self) -> int:
        """This one; the others are not known here."""
        return 1

    async def start(self) -> None:
        """Begin the reports."""
        log.warning("limits_not_enforced", scope="the calls of this process")
        self._task = asyncio.create_task(self._keep_reporting(), name="limits-observed")

    async def close(self) -> None:
        """Report for the last time."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.shadow.finish()
        self.report()

    async def acquire(self, asks: Sequence[Ask]) -> list[Grant]:
        """Everything that is asked for, at once."""
        now = time.monotonic()
        for ask in asks:
            for _ in range(ask.want):
                self._note(ask, now)
        return [Grant(ask.want, 0.0, 0.0, "") for ask in asks]

    def release(self, buckets: tuple[Bucket, ...], holder: str) -> None:
        """Places are not counted."""

    async def rejected(self, bucket: Bucket, seconds: float, sent_at: float) -> bool:
        """Feishu refused a request: judge the models by it."""
        self._waits.pause(bucket, time.monotonic() + seconds)
        self._feed(bucket, sent_at, "rejected", seconds)
        return False

    def accepted(self, buckets: tuple[Bucket, ...], permit_at: float) -> None:
        """Feishu took a request: judge the models by it."""
        for bucket in buckets:
            self._feed(bucket, permit_at, "accepted", 0.0)

    def paused(self) -> list[Bucket]:
        """None: nobody is held up."""
        return []

    def report(self) -> None:
        """Log what was seen of every tier since the start."""
        for name, tier in self.shadow.tiers.items():
            waited = asdict(self._waited.get(name, _Waited()))
            told = {field: round(value, 3) for field, value in waited.items()}
            log.info("limits_observed", tier=name, **told, **fields_of(tier))

    def _note(self, ask: Ask, now: float) -> None:
        wait = self._waits.take(ask.buckets, now)
        for tier in {tier_of(bucket) for bucket in ask.buckets if bucket.windows}:
            waited = self._waited.setdefault(tier, _Waited())
            waited.asked += 1
            waited.would_wait += wait.verdict == "would_wait"
            waited.would_pause += wait.verdict == "would_pause"
            waited.wait_seconds += wait.seconds
            waited.longest_wait = max(waited.longest_wait, wait.seconds)
            self._metrics.limit_shadow.labels(tier, wait.verdict).inc()

    def _feed(self, bucket: Bucket, sent_at: float, verdict: str, reset: float) -> None:
        if not bucket.windows:
            return
        self._metrics.limit_shadow.labels(tier_of(bucket), verdict).inc()
        # The models need the wall clock: one of them is aligned to it.
        wall, now = time.time(), time.monotonic()
        sent = wall - (now - sent_at)
        self.shadow.feed(Answered(bucket, sent, wall, verdict == "rejected", reset))

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(self._report_seconds)
            self.report()


def fields_of(tier: Tier) -> dict[str, Any]:
    """One tier's result as the fields of a log line; seconds to the millisecond."""
    return {
        "scope": "the calls of this process",
        "calls": tier.calls,
        "rejections": tier.rejections,
        "fits": tier.fits,
        "models": {
            name: {
                "predicted": score.foreseen + score.false_alarms,
                "true_positives": score.foreseen,
                "false_positives": score.false_alarms,
                "missed": score.missed,
                "unsure": score.unsure,
                "margin": round(score.margin, 3),
                "unexplained": score.unexplained,
                "resets_right": score.resets_right,
            }
            for name, score in tier.scores.items()
        },
    }
