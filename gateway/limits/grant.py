"""The limiter's answer."""

from __future__ import annotations

from typing import Literal, NamedTuple

Reason = Literal["", "window", "paused", "settling", "local"]


class Grant(NamedTuple):
    """How many permits there are now, and why not all.

    `wait` is the seconds after which asking for the rest makes sense, 0 when all were granted.
    `reason` is empty then; otherwise a window is full, the bucket is paused, the store has just
    lost its memory and the fleet tells it again (settling), or this process's local share is used.
    """

    granted: int
    wait: float
    reason: Reason
