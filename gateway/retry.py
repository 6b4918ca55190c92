"""When a failed attempt is repeated, and after how long. Pure.

`python -m gateway.retry` prints the table of `docs/retries.md`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .errors import Cause


class Step(StrEnum):
    """What follows a failed attempt."""

    REPEAT = "repeat"
    ANSWER = "answer"
    """Say what the attempt said; the producer may try the same call again."""
    UNKNOWN = "outcome_unknown"
    """Say that nobody knows: the call may be done, and doing it again may do it twice."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of the table: how it is told, and whether nothing was surely executed."""

    words: str
    unsent: bool


FAILURES: Final[Mapping[Cause, Failure]] = {
    Cause.UNREACHABLE: Failure(
        "no connection: name not found, refused, connect or TLS too slow or broken", True
    ),
    Cause.UNSENT: Failure("connection gone before its first byte was written", True),
    Cause.CUT: Failure(
        "connection closed or reset while writing or waiting, kept connections included", False
    ),
    Cause.TIMEOUT: Failure("no whole answer in time", False),
    Cause.TRUNCATED: Failure("answer broken off", False),
    Cause.SERVER_ERROR: Failure("HTTP 5xx, and other 4xx without an envelope", False),
    Cause.INTERNAL_CODE: Failure("code for an internal error, such as 1500 or 2200", False),
}

CLASSES: Final = ("R", "I", "K", "N")
RETRIES: Final = ("safe", "never", "always")


def next_step(*, unsent: bool, harmless: bool, once: bool) -> Step:
    """What follows an attempt while more are left, and time.

    *unsent*: it surely was not executed. *harmless*: executing it twice does no harm. *once*: the
    producer allows one attempt that may reach the API, and this may have been it.
    """
    if unsent:
        return Step.REPEAT
    if not harmless:
        return Step.UNKNOWN
    return Step.ANSWER if once else Step.REPEAT


def step_of(cause: Cause, klass: str, retry: str) -> Step:
    """The same by the words of the contract: a class of API, and `retry` of the call."""
    return next_step(
        unsent=FAILURES[cause].unsent,
        harmless=klass != "N" or retry == "always",
        once=retry == "never",
    )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full jitter: a delay between nothing and `base * 2**(attempt-1)`, at most `cap` seconds.

    200 ms is above what a round trip takes in most networks, so that a repeat does not meet the
    same blip, and with three repeats little enough for somebody who waits. `unattended` are the
    delays of calls for whose answer nobody waits; they are spent in the broker, not in a process.
    """

    max_attempts: int = 4
    base: float = 0.2
    cap: float = 5.0
    unattended: tuple[float, ...] = (5.0, 60.0, 300.0)

    def ceiling(self, attempt: int) -> float:
        """The longest delay after the attempt with this number (the first is 1), in seconds."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 30))

    def delay(self, attempt: int) -> float:
        """A delay drawn for the pause after this attempt, in seconds."""
        return random.uniform(0, self.ceiling(attempt))  # noqa: S311  jitter is no secret

    def unattended_delay(self, attempt: int) -> float:
        """The pause after this attempt of a call for whose answer nobody waits, in seconds."""
        return self.unattended[min(attempt, len(self.unattended)) - 1]

    def spread(self, seconds: float) -> float:
        """A little more than an advertised wait, so that those who wait do not return together."""
        return seconds + random.uniform(0, max(0.2, 0.1 * seconds))  # noqa: S311  jitter


def table() -> str:
    """What follows each failure, by class of API and `retry`, as Markdown."""
    lines = [
        '| what happened | surely not executed | R, I, K | R, I, K with `"never"` | N |'
        ' N with `"always"` |',
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for cause, failure in FAILURES.items():
        steps = [
            _same({step_of(cause, klass, retry) for klass in classes for retry in retries})
            for classes, retries in (
                ("RIK", ("safe", "always")),
                ("RIK", ("never",)),
                ("N", ("safe", "never")),
                ("N", ("always",)),
            )
        ]
        proven = "yes" if failure.unsent else "no"
        lines.append("| " + " | ".join([failure.words, proven, *steps]) + " |")
    return "\n".join(lines) + "\n"


def _same(steps: set[Step]) -> str:
    [step] = steps
    return {Step.REPEAT: "repeat", Step.ANSWER: "answer", Step.UNKNOWN: "`outcome_unknown`"}[step]


if __name__ == "__main__":
    sys.stdout.write(table())
