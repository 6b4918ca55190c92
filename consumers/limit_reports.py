"""What becomes known of the limits outside: gauges of this process, and its part of the table."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from prometheus_client import Gauge

from gateway.limits.buckets import Bucket
from gateway.limits.protocol import Limits
from gateway.limits.store import StoreAwayError
from gateway.limits.told import TELL_SECONDS, Held, Oldest, Told
from gateway.limits.view import LimitView
from gateway.metrics import Metrics

_MOST_LEARNT = 500


class LimitReports:
    """Tells every two seconds, until cancelled. `held` is what waits in this process, `oldest`
    what it knows of the queues outside."""

    def __init__(
        self,
        limits: Limits,
        told: Told,
        view: LimitView,
        metrics: Metrics,
        held: Callable[[], Held],
        oldest: Callable[[], Oldest],
    ) -> None:
        self._limits = limits
        self._told = told
        self._view = view
        self._held = held
        self._oldest = oldest
        self._learnt: dict[str, Bucket] = {}
        self._waiting = _Passing(metrics.calls_waiting)
        self._paused = _Passing(metrics.limit_paused)
        self._factor = _Passing(metrics.limit_factor)
        self._margin = _Passing(metrics.limit_margin_seconds)

    async def run(self) -> None:
        """Work until cancelled; what was told of this process is then taken back."""
        try:
            while True:
                await self.tell()
                await asyncio.sleep(TELL_SECONDS)
        finally:
            await self._told.close()

    async def tell(self) -> None:
        """Do it once; a Redis that is away costs half a second."""
        held = self._held()
        waiting: Counter[tuple[str, ...]] = Counter()
        for (bucket, lane), calls in held.items():
            waiting[_name(bucket), lane] += calls
        self._waiting.show(waiting)
        paused = self._limits.paused()
        self._paused.show(Counter((_name(bucket),) for bucket in paused))
        await self._told.tell(held, self._limits.mode, self._oldest())
        for bucket in paused:
            if len(self._learnt) < _MOST_LEARNT:
                self._learnt[bucket.key] = bucket
        with suppress(StoreAwayError):
            await self._show_learnt()

    async def _show_learnt(self) -> None:
        """Ask Redis what the refusals have taught of which this process has heard."""
        epoch = await self._view.epoch() if self._learnt else None
        seen = [] if epoch is None else await self._view.look(list(self._learnt.values()), epoch)
        factors: dict[tuple[str, ...], float] = {}
        margins: dict[tuple[str, ...], float] = {}
        for one in seen:
            name = (_name(one.bucket),)
            if one.factor < 1:
                factors[name] = min(one.factor, factors.get(name, 1.0))
            if one.extra_margin > 0:
                margins[name] = max(one.extra_margin, margins.get(name, 0.0))
        self._learnt = {
            one.bucket.key: one.bucket
            for one in seen
            if one.factor < 1 or one.extra_margin > 0 or one.paused_for
        }
        self._factor.show(factors)
        self._margin.show(margins)


class _Passing:
    """A gauge that has children only for what is true now."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shown: set[tuple[str, ...]] = set()

    def show(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Set these children and remove all others."""
        for labels in self._shown - set(values):
            self._gauge.remove(*labels)
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        self._shown = set(values)


def _name(bucket: Bucket) -> str:
    return bucket.name or "other"
