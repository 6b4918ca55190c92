"""The windows that a run keeps, as arguments for a GCRA script."""

from __future__ import annotations

import os

from schemas.apis import Window, parse_windows


def windows() -> tuple[Window, ...]:
    """The limit, the shortest window first."""
    return tuple(sorted(parse_windows(os.environ["WINDOWS"]), key=lambda window: window.seconds))


def intervals() -> list[int]:
    """Microseconds between two calls that use each window up evenly."""
    return [round(window.seconds * 1_000_000 / window.limit) for window in windows()]
