"""The judge of kills: which promise a call's end breaks, and what a tally counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.steps_oracle import (
    OK,
    ORACLE,
    UNKNOWN,
    Broken,
    Klass,
    Observed,
    Request,
    Step,
    Tally,
    judge,
)
from tests.chaos.steps_report import as_json, as_table, totals

SENT, REFUSED = Request("key", refused=False), Request("key", refused=True)


def reply(error: str | None = None, **changes: Any) -> dict[str, Any]:
    told = None if error is None else {"type": error}
    return {"ok": not error, "call_id": "a", "response": {}, "error": told} | changes


def seen(klass: Klass, **changes: Any) -> Observed:
    """A call that was made once and answered well."""
    fields: dict[str, Any] = {"requests": [SENT], "effects": 1, "replies": [reply()]} | changes
    return Observed("a", klass, **fields)


@pytest.mark.parametrize("step", Step)
def test_every_step_asks_something_of_every_class(step: Step) -> None:
    assert set(ORACLE[step]) == set(Klass)


@pytest.mark.parametrize("step", Step)
def test_an_n_call_may_never_be_executed_twice_whatever_the_step(step: Step) -> None:
    assert ORACLE[step][Klass.N].executions[1] <= 1


@pytest.mark.parametrize(
    ("step", "call", "broken"),
    [
        (Step.C5, seen(Klass.R), []),
        (Step.C5, seen(Klass.R, requests=[SENT, SENT]), []),
        (Step.C5, seen(Klass.R, requests=[SENT] * 3), [Broken.EXECUTIONS]),
        (Step.C5, seen(Klass.R, replies=[]), [Broken.LOST]),
        (Step.C5, seen(Klass.N, replies=[reply(UNKNOWN)], letters=[UNKNOWN]), []),
        (Step.C5, seen(Klass.N), [Broken.END]),
        (
            Step.C5,
            seen(Klass.N, requests=[SENT, SENT], replies=[reply(UNKNOWN)]),
            [Broken.N_TWICE, Broken.EXECUTIONS],
        ),
        (Step.C5, seen(Klass.K, requests=[SENT, SENT]), []),
        (Step.C5, seen(Klass.K, requests=[SENT, SENT], effects=2), [Broken.K_TWICE]),
        (
            Step.C5,
            seen(Klass.K, requests=[SENT, Request("another", refused=False)]),
            [Broken.K_TWICE],
        ),
        (Step.C8, seen(Klass.N, replies=[reply(), reply()]), []),
        (Step.C8, seen(Klass.R, replies=[reply(), reply(response={"status": 200})]), []),
        (
            Step.C8,
            seen(Klass.N, replies=[reply(), reply(response={"status": 200})]),
            [Broken.DIFFERENT],
        ),
        (
            Step.C10,
            seen(Klass.N, requests=[REFUSED, SENT], replies=[reply(UNKNOWN), reply()]),
            [Broken.CONFLICT],
        ),
        (Step.C0, seen(Klass.R, requests=[]), [Broken.INVENTED, Broken.EXECUTIONS]),
        (Step.C0, seen(Klass.I, told=True), [Broken.TOLD]),
    ],
)
def test_the_judge_names_what_is_broken(step: Step, call: Observed, broken: list[Broken]) -> None:
    assert judge(call, ORACLE[step][call.klass]) == broken


def test_a_kill_counts_once_however_many_calls_it_struck() -> None:
    tally = Tally()
    cell = ORACLE[Step.C5][Klass.N]
    tally.add([seen(Klass.N, replies=[reply(UNKNOWN)]), seen(Klass.N)], cell, parked=True)
    tally.add([seen(Klass.N, replies=[])], cell, parked=False)
    assert (tally.kills, tally.unparked, tally.calls, tally.unknown) == (1, 1, 3, 1)
    assert tally.broken == {Broken.END: 1, Broken.LOST: 1}
    sums = totals([tally, tally])
    assert (sums["kills"], sums["lost"], sums["n_executed_twice"]) == (2, 2, 0)


def test_the_table_names_each_step_once_and_the_report_every_cell() -> None:
    tally = Tally()
    tally.add([seen(Klass.R)], ORACLE[Step.C5][Klass.R], parked=True)
    assert "0 of 0 N calls" in as_table({(Step.C5, Klass.R): tally})
    tallies = {(Step.C5, Klass.R): tally, (Step.C7, Klass.N): Tally()}
    table = as_table(tallies)
    assert "C5    1/1" in table
    assert "executed, answer not received" in table
    assert "1 kills, 1 calls in hand: 0 lost" in table
    assert [cell["step"] for cell in as_json(tallies)["cells"]] == ["C5", "C7"]
    assert OK not in as_json(tallies)["totals"]
