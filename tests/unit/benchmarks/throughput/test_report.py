"""What the figures of several rounds come to."""

from __future__ import annotations

import pytest

from benchmarks.throughput.driver import Result
from benchmarks.throughput.report import Cell, document, summarize, table


def result(*, calls: int, cpu: float, p50: float = 0.01, busy: float = 2.0) -> Result:
    return Result(
        seconds=2.0,
        calls=calls,
        failed=1,
        unanswered=2,
        p50=p50,
        p99=2 * p50,
        slowest=3 * p50,
        cpu={"consumer": cpu, "driver": 0.2},
        busy=busy,
    )


def test_a_summary_holds_the_medians_of_the_rounds() -> None:
    rounds = [
        result(calls=1_000, cpu=1.0, p50=0.030),
        result(calls=4_000, cpu=2.0, p50=0.010),
        result(calls=2_000, cpu=1.5, p50=0.020),
    ]

    summary = summarize(rounds)

    assert summary.rate == 1_000
    assert summary.p50_ms == pytest.approx(20)
    assert summary.p99_ms == pytest.approx(40)
    assert summary.consumer_cpu_10k == pytest.approx(7.5)
    assert summary.consumer_busy == pytest.approx(0.75)
    assert summary.rate_spread == pytest.approx(1.5)
    assert (summary.failed, summary.unanswered) == (3, 6)


def test_foreign_work_is_what_the_machine_did_besides_our_processes() -> None:
    summary = summarize([result(calls=1_000, cpu=1.0, busy=3.2)])

    assert summary.foreign == pytest.approx(1.0)


def test_the_table_gives_the_ratios_to_both_loops_under_the_same_load() -> None:
    summaries = {
        Cell("bare", 64, 0): summarize([result(calls=2_000, cpu=2.0)]),
        Cell("tuned", 64, 0): summarize([result(calls=4_000, cpu=2.0)]),
        Cell("gateway", 64, 0): summarize([result(calls=3_000, cpu=2.25)]),
        Cell("bare", 64, 50): summarize([result(calls=1, cpu=2.0)]),
    }

    row = next(line for line in table(summaries).splitlines() if "gateway" in line)

    cells = row.split()
    assert cells[:4] == ["64", "0", "gateway", "1,500"]
    assert cells[6:11] == ["7.50", "1.50", "0.75", "0.75", "1.50"]


def test_a_load_without_the_loops_has_no_ratios() -> None:
    row = table({Cell("gateway", 1, 0): summarize([result(calls=1, cpu=0.1)])}).splitlines()[-1]

    assert row.split()[7:11] == ["-", "-", "-", "-"]


def test_the_document_holds_every_cell_in_the_order_of_the_table() -> None:
    cells = [Cell("gateway", 64, 50), Cell("gateway", 512, 0), Cell("gateway", 1, 0)]
    summaries = {cell: summarize([result(calls=1_000, cpu=1.0)]) for cell in cells}

    written = document(summaries, {"date": "2026-01-01"})

    assert written["date"] == "2026-01-01"
    assert [(cell["latency_ms"], cell["callers"]) for cell in written["cells"]] == [
        (0, 1),
        (0, 512),
        (50, 64),
    ]
    assert written["cells"][0]["cpu_10k"]["consumer"] == pytest.approx(10)
