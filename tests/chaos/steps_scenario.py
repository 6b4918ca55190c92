"""What a scenario of one fault or signal is, and what it shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .steps_world import World


@dataclass(frozen=True, slots=True)
class Shown:
    """Whether what was promised held, and what was seen."""

    name: str
    kept: bool
    detail: str


Scenario = Callable[[World, str], Awaitable[Shown]]
