"""What is done to tests before they run: the slowest first, the priciest not measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SLOWEST = (
    "system/cli/test_demo_command.py",
    "system/test_overflow.py",
    "system/test_recovery_guide.py",
    "system/test_apps.py",
    "system/cli/test_token_apps.py",
    "system/test_canaries.py",
    "integration/gateway/limits/test_store_away.py",
    "integration/gateway/limits/test_limiter.py",
    "system/test_apps_removed.py",
    "system/test_secrets_changed.py",
    "system/cli/test_app_command.py",
    "system/cli/test_token_commands.py",
    "system/test_pools.py",
    "system/cli/test_stack_command.py",
    "system/test_broker_failures.py",
    "integration/stack/test_stack.py",
    "system/test_contract_interruptions.py",
    "unit/gateway/limits/test_local_seeded.py",
)
"""Modules that take longest, by what was measured. A worker that begins one of them last works on
alone while the others have nothing left to do."""

_REPEATING = ("_properties", "_seeded", "_soak")


def arrange(items: list[pytest.Item]) -> None:
    """Bring the slowest modules to the front."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(
        key=lambda item: places.get(item.nodeid.split("::")[0].partition("/")[2], len(places))
    )


@contextmanager
def unmeasured(item: pytest.Item) -> Iterator[None]:
    """Measure no coverage in the block if the test draws its cases.

    Coverage makes what runs the same lines ten thousand times three times as long, and which lines
    those are is known from tests with examples.
    """
    trace = sys.gettrace()
    if item.path.stem.endswith(_REPEATING):
        sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)
