"""One kill at those steps where records and acks decide; `make chaos-steps` does all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.feishu import SandboxFeishu
from tests.chaos.steps_kills import kill_at, warm
from tests.chaos.steps_oracle import ORACLE, Klass, Step, judge
from tests.chaos.steps_world import World
from tests.support.gateway import simulated

__all__ = ["simulated"]


@pytest.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory,
    simulated: SandboxFeishu,
    rabbitmq_url: str,
    redis_url: str,
    database_url: str,
) -> AsyncIterator[World]:
    urls = {"RABBITMQ_URL": rabbitmq_url, "REDIS_URL": redis_url, "DATABASE_URL": database_url}
    folder: Path = tmp_path_factory.mktemp("steps")
    opened = World(folder, urls, simulated)
    try:
        await opened.open()
        await warm(opened)
        yield opened
    finally:
        await opened.close()


@pytest.mark.parametrize(
    ("step", "klass"),
    [
        (Step.C3, Klass.N),
        (Step.C6, Klass.K),
        (Step.C7, Klass.K),
        (Step.C7, Klass.N),
        (Step.C8, Klass.N),
        (Step.C10, Klass.N),
    ],
)
async def test_calls_end_as_promised_when_their_process_is_killed_at(
    step: Step, klass: Klass, world: World
) -> None:
    struck = await kill_at(world, step, klass, 3, "test")
    assert struck.parked, struck.note
    for call in struck.calls:
        assert not judge(call, ORACLE[step][klass]), call
