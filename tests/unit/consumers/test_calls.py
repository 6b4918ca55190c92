"""A defect ends one call, and never all."""

from __future__ import annotations

from typing import cast

import pytest

from consumers import calls
from consumers.calls import CallHandler
from consumers.codec import Delivery
from consumers.pipeline import Pipeline
from schemas import names
from tests.support.builders import make_delivery


class Broken:
    """A pipeline with defects; `ended` are the deliveries that it ended as such."""

    def __init__(self, *, ends: bool) -> None:
        self.ends = ends
        self.ended: list[Delivery] = []
        self.aliases: list[str] = []

    async def process(self, delivery: Delivery, alias: str) -> bool:
        self.aliases.append(alias)
        raise KeyError("defect")

    async def end_defect(self, delivery: Delivery, alias: str) -> None:
        if not self.ends:
            raise KeyError("another")
        self.ended.append(delivery)


def handler(pipeline: Broken) -> CallHandler:
    return CallHandler(cast(Pipeline, pipeline))


async def test_a_call_is_of_the_app_whose_queue_it_comes_out_of() -> None:
    pipeline = Broken(ends=True)
    for queue in (
        names.overflow_queue("a", "bulk", "a bucket"),
        names.calls_queue("b-c_d", "interactive"),
        names.retry_queue("e"),
    ):
        assert await handler(pipeline).handle(make_delivery(queue=queue)) is True
    assert pipeline.aliases == ["a", "b-c_d", "e"]


async def test_a_call_that_meets_a_defect_is_ended_and_acked() -> None:
    pipeline, delivery = Broken(ends=True), make_delivery()
    assert await handler(pipeline).handle(delivery) is True
    assert pipeline.ended == [delivery]


async def test_a_call_that_cannot_even_be_ended_goes_back_so_that_rabbitmq_counts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "PAUSE_SECONDS", 0.0)
    assert await handler(Broken(ends=False)).handle(make_delivery()) is False
