"""What is asked of the limiter, and its answer."""

from __future__ import annotations

from typing import Literal, NamedTuple

from schemas.names import Lane

from .buckets import Bucket

Reason = Literal["", "window", "paused", "busy", "settling", "local", "open"]


class Ask(NamedTuple):
    """Permits that each count against every one of `buckets`, or against none.

    `holder` names the call that takes a place in a bucket with `at_once`; `want` is 1 then.
    """

    buckets: tuple[Bucket, ...]
    want: int = 1
    lane: Lane = "interactive"
    holder: str = ""


class Grant(NamedTuple):
    """How many permits there are, from when on they hold, and why there are no more.

    `delay` is the seconds until the granted permits hold: a request is sent then and not before.
    `wait` is the seconds after which asking for the rest makes sense, 0 when all were granted.
    `reason` is empty then; otherwise a window of a bucket is full, a bucket is paused, its places
    are taken (busy), the store has just lost its memory and the fleet tells it again (settling),
    this process's local share is used, or a breaker is open and nobody was asked. `bucket` is the
    place in the ask of what is in the way, -1 where it is none of them.
    """

    granted: int
    delay: float
    wait: float
    reason: Reason
    bucket: int = -1
