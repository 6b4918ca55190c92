"""Tables with their gates, for people and as JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Cell = str | int | float | None
Row = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound that a figure must keep. A figure that is missing (NaN) does not keep it."""

    what: str
    value: float
    relation: Literal["<=", ">=", "=="]
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the figure keeps the bound."""
        if self.relation == "<=":
            return self.value <= self.bound
        return self.value >= self.bound if self.relation == ">=" else self.value == self.bound

    def __str__(self) -> str:
        mark = "✓" if self.holds else "✗"
        return f"{mark} {self.what}: {_shown(self.value)} ({self.relation} {_shown(self.bound)})"


def at_most(what: str, value: float, bound: float) -> Gate:
    """A gate from above."""
    return Gate(what, value, "<=", bound)


def at_least(what: str, value: float, bound: float) -> Gate:
    """A gate from below."""
    return Gate(what, value, ">=", bound)


def exactly(what: str, value: float, bound: float) -> Gate:
    """A gate on both sides."""
    return Gate(what, value, "==", bound)


@dataclass(slots=True)
class Findings:
    """What one scenario found; *remarks* say how it was measured."""

    scenario: str
    rows: list[Row] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Everything as JSON, where a figure that is missing is null."""
        gates = [asdict(gate) | {"holds": gate.holds} for gate in self.gates]
        return {
            "scenario": self.scenario,
            "took_s": round(self.seconds, 1),
            "rows": [_plain(row) for row in self.rows],
            "gates": [_plain(gate) for gate in gates],
            "remarks": self.remarks,
        }

    def __str__(self) -> str:
        heading = f"{self.scenario} ({self.seconds:.0f} s)"
        parts = [heading, "=" * len(heading), table(self.rows), *map(str, self.gates)]
        return "\n".join([*parts, *self.remarks])


def table(rows: Sequence[Row]) -> str:
    """Rows under the columns that any of them has, figures to the right and words to the left."""
    head = list(dict.fromkeys(name for row in rows for name in row))
    cells = [head, *([_shown(row.get(name)) for name in head] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    words = [all(isinstance(row.get(name), str | None) for row in rows) for name in head]
    lines = [
        "  ".join(
            text.ljust(width) if word else text.rjust(width)
            for text, width, word in zip(line, widths, words, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * sum(w + 2 for w in widths), *lines[1:]]) if rows else ""


def _shown(value: Cell) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
