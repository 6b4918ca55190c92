"""What the command line may change, the same for every scenario."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`apps` beside `default`, tenants of one store app more, calls, gateway processes.

    What is None is the scenario's own. `seconds` is how long each measurement lasts.
    """

    apps: int | None = None
    tenants: int | None = None
    calls: int | None = None
    gateways: int = 4
    seconds: float | None = None

    def some_apps(self, usual: int) -> int:
        """How many apps a scenario takes that has *usual* by default."""
        return usual if self.apps is None else self.apps

    def some_tenants(self, usual: int) -> int:
        """How many tenants a store app has that has *usual* by default."""
        return usual if self.tenants is None else self.tenants

    def some_calls(self, usual: int) -> int:
        """How many calls a scenario makes that makes *usual* by default."""
        return usual if self.calls is None else self.calls

    def lasting(self, seconds: float) -> float:
        """How long a measurement takes that takes *seconds* by default."""
        return self.seconds or seconds
