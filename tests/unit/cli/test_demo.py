"""What the demo concludes from what it saw."""

from __future__ import annotations

import asyncio

import pytest

from cli.demo.children import clean_environment
from cli.demo.stage import Check, Ended, calls_of, percentile
from cli.demo.story import Outcome


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (99, 10), (100, 10), (1, 1)])
def test_a_percentile_is_a_value_that_was_seen(percent: float, value: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], percent) == value


def test_everything_must_hold_and_nothing_is_no_success() -> None:
    held, failed = ("scene", Check("a", "a", held=True)), ("scene", Check("a", "b", held=False))

    assert Outcome([held, held]).ok
    assert not Outcome([held, failed]).ok
    assert not Outcome([]).ok


async def test_no_call_outlives_the_scene_that_made_it() -> None:
    async def never() -> Ended:
        await asyncio.Event().wait()
        raise AssertionError

    made: list[asyncio.Task[Ended]] = []

    async def broken_scene() -> None:
        async with calls_of() as calls:
            calls.append(asyncio.create_task(never()))
            made.extend(calls)
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken_scene()
    assert made[0].cancelled()


def test_its_gateway_knows_nothing_of_a_real_one() -> None:
    shell = {
        "PATH": "/bin",
        "LARK_APP_SECRET": "real",
        "LARK_APP_SECRET_FILE": "/run/secret",
        "LARK_SERVICE_SECRET_KEY_COMMAND": "vault",
        "RABBITMQ_URL": "amqp://production/",
        "POSTGRES_HOST": "production",
        "LARK_SERVICE_LIMITS_FILE": "/etc/limits",
        "API_TIMEOUT": "1",
    }

    assert clean_environment(shell) == {"PATH": "/bin"}
