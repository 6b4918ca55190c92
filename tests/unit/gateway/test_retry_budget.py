"""How many repeats there may be."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.metrics import Metrics
from gateway.retry_budget import FULL, RetryBudget, RetryBudgets
from tests.support.builders import APP


def spend_all(budget: RetryBudget) -> int:
    times = 0
    while budget.allows:
        budget.spend()
        times += 1
    return times


def test_ten_repeats_may_come_together() -> None:
    assert spend_all(RetryBudget(10)) == 10


def test_ten_successes_pay_for_one_repeat() -> None:
    budget = RetryBudget(10)
    spend_all(budget)
    for _ in range(9):
        budget.earn()
    assert not budget.allows
    budget.earn()
    assert spend_all(budget) == 1


def test_a_share_may_be_larger() -> None:
    assert spend_all(RetryBudget(100)) == 100


@given(st.lists(st.booleans(), max_size=2000))
def test_whatever_happens_repeats_are_a_tenth_of_successes_and_ten(outcomes: list[bool]) -> None:
    budget, repeats = RetryBudget(10), 0
    for succeeded in outcomes:
        if succeeded:
            budget.earn()
        elif budget.allows:
            budget.spend()
            repeats += 1
        assert 0 <= budget.left <= FULL
    assert repeats <= 10 + sum(outcomes) / 10


def test_apps_do_not_share_and_what_happens_is_counted() -> None:
    metrics = Metrics()
    budgets = RetryBudgets(metrics)
    other = replace(APP, alias="other")
    for _ in range(10):
        assert budgets.take(APP, "timeout")
    assert not budgets.take(APP, "cut")
    budgets.earn(APP)
    assert budgets.take(other, "cut")

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"lark_service_{name}", labels)

    assert value("retries_total", cause="timeout") == 10
    assert value("retries_suppressed_total", cause="cut") == 1
    assert value("retry_budget", app="default") == 1
