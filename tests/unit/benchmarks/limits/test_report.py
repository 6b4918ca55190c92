"""Tables, and gates that say whether they hold."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks.limits.report import Findings, Gate, at_least, at_most, exactly, table


@pytest.mark.parametrize(
    ("gate", "holds"),
    [
        (at_most("p99", 1.0, 1.0), True),
        (at_most("p99", 1.1, 1.0), False),
        (at_least("rate", 990, 990), True),
        (at_least("rate", 989, 990), False),
        (exactly("canaries", 1, 1), True),
        (exactly("canaries", 2, 1), False),
        (at_most("p99", math.nan, 1.0), False),
        (at_least("rate", math.nan, 1.0), False),
    ],
)
def test_a_gate_holds_at_its_bound_and_never_without_a_figure(gate: Gate, holds: bool) -> None:
    assert gate.holds is holds
    assert str(gate).startswith("✓" if holds else "✗")


def test_a_table_has_the_columns_of_all_rows() -> None:
    lines = table([{"what": "a", "rate": 1000.4}, {"what": "long", "p99": 0.25}]).splitlines()

    assert lines[0].split() == ["what", "rate", "p99"]
    assert lines[2].split() == ["a", "1,000", "-"]
    assert lines[3].split() == ["long", "-", "0.25"]


def test_no_rows_are_no_table() -> None:
    assert table([]) == ""


def test_a_missing_figure_is_null_in_json() -> None:
    findings = Findings("x", rows=[{"p99": math.nan}], gates=[at_most("p99", math.nan, 1)])

    document = json.loads(json.dumps(findings.document(), allow_nan=False))

    assert document["rows"] == [{"p99": None}]
    assert document["gates"][0]["holds"] is False
