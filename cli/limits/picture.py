"""The buckets now, joined from what Redis, Postgres and RabbitMQ know. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.limits.told import Fleet
from gateway.limits.view import Seen
from schemas.names import LANES, Lane

from .known import UNLIMITED, Keys, Named


@dataclass(frozen=True, slots=True)
class Overflow:
    """What waits in one overflow queue; `calls` is None where RabbitMQ could not be asked."""

    calls: int | None
    oldest: float | None = None
    """Seconds since the call came to the gateway that a process took from it last."""


@dataclass(frozen=True, slots=True)
class Row:
    """One bucket of the table."""

    named: Named
    seen: Seen | None
    """None where Redis holds nothing of it: its calls only wait."""
    in_hand: Mapping[Lane, int]
    overflow: Mapping[Lane, Overflow]

    @property
    def is_idle(self) -> bool:
        """Whether nobody uses it, waits for it or is kept from it."""
        waits = self.in_hand or any(queue.calls != 0 for queue in self.overflow.values())
        return not waits and (self.seen is None or self.seen.is_idle)

    def as_json(self) -> dict[str, Any]:
        """The row for programs; times are seconds from now."""
        bucket, seen = self.named.bucket, self.seen
        uses = seen.windows if seen else ()
        windows = [
            {"seconds": window.seconds, "used": uses[place].used if uses else 0}
            | (
                {"limit": window.limit, "limit_now": uses[place].limit if uses else window.limit}
                if window.limit != UNLIMITED
                else {"limit": None, "limit_now": None}
            )
            for place, window in enumerate(bucket.windows)
        ]
        return {
            "key": bucket.key,
            "kind": self.named.kind,
            "app": self.named.app,
            "of": self.named.of,
            "windows": windows,
            "paused_for": round(seen.paused_for, 3) if seen else 0,
            "canary": bool(seen and seen.canary),
            "factor": round(seen.factor, 3) if seen else 1,
            "factor_for": round(seen.factor_for) if seen else 0,
            "extra_margin": round(seen.extra_margin, 3) if seen else 0,
            "forgotten_in": round(seen.forgotten_in) if seen else 0,
            "at_once": bucket.at_once or None,
            "under_way": seen.under_way if seen else 0,
            "interactive_lately": bool(seen and seen.interactive),
            "in_hand": dict(self.in_hand),
            "overflow": {
                lane: {"calls": queue.calls, "oldest": queue.oldest}
                for lane, queue in self.overflow.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it. `away` has a sentence for every source that could not be asked."""

    rows: Sequence[Row]
    processes: int
    modes: Counter[str] = field(default_factory=Counter)
    away: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """The picture for programs."""
        return {
            "ok": True,
            "processes": self.processes,
            "modes": dict(self.modes),
            "buckets": [row.as_json() for row in self.rows],
            "away": list(self.away),
        }


def rows_of(
    keys: Keys,
    seen: Mapping[str, Seen],
    fleet: Fleet,
    overflow: Mapping[tuple[str, Lane], Overflow],
    *,
    app: str | None = None,
) -> list[Row]:
    """A row for each bucket that any source knows; with *app*, of what this app takes from."""
    names = sorted({*seen, *(key for key, _ in fleet.waiting), *(key for key, _ in overflow)})
    rows = []
    for key in names:
        named = keys.read(key)
        if app is None or named.app in (app, None):
            in_hand = {lane: n for lane in LANES if (n := fleet.waiting[key, lane])}
            queues = {lane: overflow[key, lane] for lane in LANES if (key, lane) in overflow}
            rows.append(Row(named, seen.get(key), in_hand, queues))
    return rows
