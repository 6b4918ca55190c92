"""The figures of a run as a table for people and as JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from .steps_oracle import MEANING, ORACLE, Broken, Klass, Step, Tally

_SECOND = ("second_executions", "second_replies")
Tallies = Mapping[tuple[Step, Klass], Tally]


def totals(tallies: Iterable[Tally]) -> dict[str, int]:
    """What is counted over all cells; every promise is there, also those that were kept."""
    counted = ("kills", "unparked", "calls", "outcome_unknown", *_SECOND)
    sums: Counter[str] = Counter(
        dict.fromkeys([*(promise.value for promise in Broken), *counted], 0)
    )
    for tally in tallies:
        sums.update(kills=tally.kills, unparked=tally.unparked, calls=tally.calls)
        sums.update(outcome_unknown=tally.unknown, second_executions=tally.second_executions)
        sums.update(second_replies=tally.second_replies)
        sums.update(tally.broken)
    return dict(sums)


def as_json(tallies: Tallies) -> dict[str, Any]:
    """All cells and their sums."""
    cells = [
        {
            "step": step.value,
            "class": klass.value,
            "kills": tally.kills,
            "unparked": tally.unparked,
            "calls": tally.calls,
            "outcome_unknown": tally.unknown,
            "second_executions": tally.second_executions,
            "second_replies": tally.second_replies,
            "broken": tally.broken,
            "examples": tally.examples,
            "because": ORACLE[step][klass].why,
        }
        for (step, klass), tally in tallies.items()
    ]
    return {"totals": totals(tallies.values()), "cells": cells}


def as_table(tallies: Tallies) -> str:
    """A line for each step, a column for each class: kills/calls, unknown ends, broken promises."""
    present = [klass for klass in Klass if any(key[1] is klass for key in tallies)]
    lines = ["step  " + "".join(f"{klass.value:<24}" for klass in present) + "killed when"]
    for step in Step:
        row = [tallies.get((step, klass)) for klass in present]
        if any(row):
            lines.append(f"{step.value:<6}" + "".join(map(_told, row)) + MEANING[step])
    return "\n".join([*lines, "", *_sums(tallies)])


def _told(tally: Tally | None) -> str:
    if tally is None:
        return " " * 24
    text = f"{tally.kills}/{tally.calls}"
    text += f" ?{tally.unknown}" if tally.unknown else ""
    text += f" -{tally.unparked}" if tally.unparked else ""
    text += "".join(f" {name}:{number}" for name, number in tally.broken.items())
    return f"{text:<23} "


def _sums(tallies: Tallies) -> list[str]:
    sums = totals(tallies.values())
    once = totals(tally for (_, klass), tally in tallies.items() if klass is Klass.N)
    share = once["outcome_unknown"] / once["calls"] if once["calls"] else 0.0
    return [
        "kills/calls; ? outcome_unknown; - kills at which not every call stood at the step",
        f"{sums['kills']} kills, {sums['calls']} calls in hand: {sums['lost']} lost, "
        f"{sums['k_took_effect_twice']} K calls with more than one effect, "
        f"{sums['n_executed_twice']} N calls executed twice, "
        f"{sums['conflicting_ends']} with ends that disagree, "
        f"{sums['replies_differ']} with replies that differ",
        f"outcome_unknown: {once['outcome_unknown']} of {once['calls']} N calls ({share:.0%})",
    ]
