"""Fixtures that every test may ask for."""

import signal
from collections.abc import Iterator

import hypothesis
import pytest

from tests.support.collected import arrange, unmeasured
from tests.support.forks import end_forks
from tests.support.services import (
    database_url,
    idle_stack,
    rabbitmq_url,
    redis_url,
    stack,
    vhosts,
)

# A job that a shell runs in the background ignores SIGINT, and so would every process it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Loaded now: its plugin would load it deep in the summary, where Python 3.11 may fail to parse.
assert hypothesis.__version__

__all__ = ["database_url", "idle_stack", "rabbitmq_url", "redis_url", "stack", "vhosts"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    arrange(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with unmeasured(item):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def ended_forks() -> Iterator[None]:
    """Ends the process of which tests fork commands before what they covered is put together."""
    yield
    end_forks()
