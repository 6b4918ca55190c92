"""How many repeats there may be: a tenth of what succeeds, so that failing does not feed itself."""

from __future__ import annotations

from .apps import App
from .metrics import Metrics

FULL = 100.0
MOST_APPS = 4096


class RetryBudget:
    """A full bucket of 100; a retry takes `100 / percent`, a success at the first try gives 1."""

    def __init__(self, percent: float) -> None:
        self._cost = 100.0 / percent
        self.left = FULL

    @property
    def allows(self) -> bool:
        """Whether there is a retry left."""
        return self.left >= self._cost

    def spend(self) -> None:
        """A retry is made."""
        self.left -= self._cost

    def earn(self) -> None:
        """A call succeeded at its first try."""
        self.left = min(FULL, self.left + 1)


class RetryBudgets:
    """A budget for each app at its host, of this process.

    Not shared by the processes: each sees its part of the calls, so parts of a tenth make a tenth.
    """

    def __init__(self, metrics: Metrics, *, percent: float = 10.0) -> None:
        self._metrics = metrics
        self._percent = percent
        self._budgets: dict[tuple[str, str], RetryBudget] = {}

    def has_any(self, app: App, why: str) -> bool:
        """Whether there is a repeat for what has just failed; else it counts as suppressed."""
        if self._of(app).allows:
            return True
        self._metrics.retries_suppressed.labels(why).inc()
        return False

    def take(self, app: App, why: str) -> bool:
        """Ask for a repeat of a call of this app; False: it must not be made, or not yet.

        *why* is one of few words, for the metrics.
        """
        budget = self._of(app)
        if not budget.allows:
            self._metrics.retries_suppressed.labels(why).inc()
            return False
        budget.spend()
        self._metrics.retries.labels(why).inc()
        self._show(app, budget)
        return True

    def earn(self, app: App) -> None:
        """A call of this app succeeded at its first try."""
        budget = self._of(app)
        if budget.left < FULL:
            budget.earn()
            self._show(app, budget)

    def _of(self, app: App) -> RetryBudget:
        key = (app.alias, app.domain)
        budget = self._budgets.get(key)
        if budget is None:
            if len(self._budgets) >= MOST_APPS:
                # Apps come and go; of those that stay, few repeat anything at a moment.
                self._budgets.clear()
            budget = self._budgets[key] = RetryBudget(self._percent)
        return budget

    def _show(self, app: App, budget: RetryBudget) -> None:
        self._metrics.retry_budget.labels(app.alias).set(budget.left)
