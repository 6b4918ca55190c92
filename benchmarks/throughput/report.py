"""Medians of all rounds, as a table for people and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .driver import Result

REFERENCES = ("bare", "tuned")


@dataclass(frozen=True, slots=True)
class Cell:
    """One contestant under one load."""

    contestant: str
    callers: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians over the rounds of one cell. `cpu_10k` is CPU-seconds per 10,000 calls, by process.

    `consumer_busy` and `driver_busy` are shares of one CPU, `foreign` how many CPUs others used.
    """

    rounds: int
    rate: float
    rate_spread: float
    p50_ms: float
    p99_ms: float
    cpu_10k: Mapping[str, float]
    cpu_10k_spread: float
    consumer_busy: float
    driver_busy: float
    foreign: float
    foreign_most: float
    failed: int
    unanswered: int

    @property
    def consumer_cpu_10k(self) -> float:
        """What the contestant itself costs."""
        return self.cpu_10k["consumer"]


def summarize(results: Sequence[Result]) -> Summary:
    """The medians of one cell's rounds; a spread is (highest - lowest) / median."""
    rates = [result.calls / result.seconds for result in results]
    costs = [_costs(result) for result in results]
    consumer = [cost["consumer"] for cost in costs]
    foreign = [_foreign(result) for result in results]
    return Summary(
        rounds=len(results),
        rate=median(rates),
        rate_spread=_spread(rates),
        p50_ms=median(result.p50 for result in results) * 1000,
        p99_ms=median(result.p99 for result in results) * 1000,
        cpu_10k={name: median(cost[name] for cost in costs) for name in costs[0]},
        cpu_10k_spread=_spread(consumer),
        consumer_busy=median(result.cpu["consumer"] / result.seconds for result in results),
        driver_busy=median(result.cpu["driver"] / result.seconds for result in results),
        foreign=median(foreign),
        foreign_most=max(foreign),
        failed=sum(result.failed for result in results),
        unanswered=sum(result.unanswered for result in results),
    )


def _costs(result: Result) -> dict[str, float]:
    return {name: used / result.calls * 10_000 for name, used in result.cpu.items()}


def _foreign(result: Result) -> float:
    return max(0.0, result.busy - sum(result.cpu.values())) / result.seconds


def _spread(values: Sequence[float]) -> float:
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def table(summaries: Mapping[Cell, Summary]) -> str:
    """One row a cell, with the ratios to the two loops under the same load."""
    head = (
        *("callers", "Feishu ms", "what", "calls/s", "p50 ms", "p99 ms", "CPU s/10k"),
        *("rate/bare", "CPU/bare", "rate/tuned", "CPU/tuned", "busy", "spread"),
    )
    rows = [head, *(_row(cell, summaries) for cell in _ordered(summaries))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))


def _ordered(summaries: Mapping[Cell, Summary]) -> list[Cell]:
    return sorted(summaries, key=lambda cell: (cell.latency_ms, cell.callers))


def _row(cell: Cell, summaries: Mapping[Cell, Summary]) -> tuple[str, ...]:
    summary = summaries[cell]
    return (
        str(cell.callers),
        f"{cell.latency_ms:g}",
        cell.contestant,
        f"{summary.rate:,.0f}",
        f"{summary.p50_ms:,.2f}",
        f"{summary.p99_ms:,.2f}",
        f"{summary.consumer_cpu_10k:.2f}",
        *_ratios(cell, summaries),
        f"{summary.consumer_busy:.0%}",
        f"{summary.cpu_10k_spread:.0%}",
    )


def _ratios(cell: Cell, summaries: Mapping[Cell, Summary]) -> Iterator[str]:
    summary = summaries[cell]
    for reference in REFERENCES:
        other = summaries.get(Cell(reference, cell.callers, cell.latency_ms))
        if other is None or not other.consumer_cpu_10k:
            yield from ("-", "-")
            continue
        yield f"{summary.rate / other.rate:.2f}"
        yield f"{summary.consumer_cpu_10k / other.consumer_cpu_10k:.2f}"


def document(summaries: Mapping[Cell, Summary], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything as JSON."""
    cells = [asdict(cell) | asdict(summaries[cell]) for cell in _ordered(summaries)]
    return {**about, "cells": cells}
