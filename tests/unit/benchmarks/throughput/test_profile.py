"""Which component a sample of a stack is charged to."""

from __future__ import annotations

import pytest

from benchmarks.throughput.profile import read, shares

LOOP = "Runner.run (asyncio/runners.py:118)"
SETTLE = "Intake._settle (consumers/intake.py:120)"


@pytest.mark.parametrize(
    ("frames", "owner"),
    [
        ((LOOP,), "event loop"),
        ((LOOP, SETTLE), "intake and acks"),
        ((LOOP, SETTLE, "Channel.basic_ack (aiormq/channel.py:1)"), "AMQP: aiormq"),
        ((LOOP, SETTLE, "timeout (asyncio/timeouts.py:1)"), "event loop"),
        (
            (LOOP, "_answer (gateway/feishu.py:9)", "dumps (json/encoder.py:1)"),
            "executor and Feishu",
        ),
        ((LOOP, "table (consumers/wire.py:3)"), "AMQP: pamqp"),
        ((LOOP, "settle (consumers/settlement.py:3)"), "pipeline"),
        (("start (threading.py:1)",), "other"),
    ],
)
def test_a_sample_is_charged_to_the_innermost_component(
    frames: tuple[str, ...], owner: str
) -> None:
    components, _ = shares(read([f"{';'.join(frames)} 7"]))

    assert components == {owner: 7}


def test_samples_of_one_function_are_added_whatever_line_they_hit() -> None:
    lines = [f"{LOOP};f (a.py:1) 2", f"{LOOP};f (a.py:9) 3"]

    _, functions = shares(read(lines))

    assert functions == {"f (a.py)": 5}
