"""The alternatives by name: which command each process runs, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_HERE = "benchmarks.limits.alternatives"


@dataclass(frozen=True, slots=True)
class Alternative:
    """So many processes of one command. A *heavy* one is given the machine for itself.

    *share* is by how much a limit that each worker keeps for itself is divided; 0 for those that
    are no Celery workers.
    """

    command: tuple[str, ...]
    processes: int = 4
    heavy: bool = False
    share: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)


def _module(name: str) -> tuple[str, ...]:
    return ("-m", f"{_HERE}.{name}")


def _celery(concurrency: int) -> tuple[str, ...]:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR")
    app = ("--app", f"{_HERE}.celery_tasks")
    # Celery warns against root, which is all that a container may have.
    return ("-W", "ignore", "-m", "celery", *app, "worker", f"--concurrency={concurrency}", *quiet)


ALTERNATIVES: Mapping[str, Alternative] = {
    "SDK, naive retry": Alternative(
        _module("official_sdk"), heavy=True, settings={"RETRY": "naive"}
    ),
    "SDK, obeys reset": Alternative(_module("official_sdk"), settings={"RETRY": "reset"}),
    "Celery, 1 worker of 4": Alternative(_celery(4), processes=1, share=1),
    "Celery, 4 workers": Alternative(_celery(1), share=4),
    "shared GCRA": Alternative(_module("shared_gcra")),
    "booking GCRA": Alternative(_module("booking_gcra")),
    "our limiter alone": Alternative(_module("exact_log")),
}
