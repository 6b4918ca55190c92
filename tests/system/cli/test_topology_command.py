"""`lark-service topology`, and a call where nobody takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiormq
import pytest

from cli.demo.given import refuse_foreign_calls
from cli.exits import CommandFailed
from consumers.topology import Topology
from schemas import names
from tests.support.command import run

ROOT = Path(__file__).resolve().parents[3]
CALL = ("call", "GET", "/open-apis/im/v1/chats", "--timeout", "0.1")


async def found(url: str, queue: str) -> Any:
    """The queue as the broker has it; raises where it has none."""
    connection = await aiormq.connect(url)
    try:
        return await (await connection.channel()).queue_declare(queue, passive=True)
    finally:
        await connection.close()


async def test_the_definitions_in_the_repository_are_what_the_gateway_declares(
    tmp_path: Path,
) -> None:
    ran = await run("topology", "show", "--json", folder=tmp_path)

    assert ran.code == 0, ran.err
    assert ran.out == (ROOT / "rabbitmq/definitions.json").read_text()


async def test_every_object_is_shown_to_people(tmp_path: Path) -> None:
    ran = await run("topology", "show", "--app", "sales", folder=tmp_path)

    topology = Topology.of(["sales"])
    for name in (*(e.name for e in topology.exchanges), *(q.name for q in topology.queues)):
        assert name in ran.out


async def test_a_call_says_what_is_missing_until_the_objects_and_a_gateway_are_there(
    rabbitmq_url: str, tmp_path: Path
) -> None:
    without = await run(*CALL, folder=tmp_path, RABBITMQ_URL=rabbitmq_url)
    applied = await run("topology", "apply", folder=tmp_path, RABBITMQ_URL=rabbitmq_url)
    unanswered = await run(*CALL, folder=tmp_path, RABBITMQ_URL=rabbitmq_url)

    assert without.code == 4
    assert "no exchange lark.calls yet" in without.err
    assert applied.code == 0, applied.err
    assert "13 exchanges, 13 queues, 13 bindings" in applied.out
    assert unanswered.code == 4
    assert "No gateway answered within 0.1 s: is `lark-service serve` running" in unanswered.err


async def test_applying_again_changes_nothing(rabbitmq_url: str, tmp_path: Path) -> None:
    words = ("topology", "apply", "--json", "--app", "default", "--app", "sales")

    first = await run(*words, folder=tmp_path, RABBITMQ_URL=rabbitmq_url)
    second = await run(*words, folder=tmp_path, RABBITMQ_URL=rabbitmq_url)

    assert (
        first.json
        == second.json
        == {
            "ok": True,
            "exchanges": 13,
            "queues": 16,
            "bindings": 16,
        }
    )
    await found(rabbitmq_url, names.calls_queue("sales", "bulk"))


async def test_the_demo_does_not_touch_a_broker_that_holds_somebodys_calls(
    rabbitmq_url: str, tmp_path: Path
) -> None:
    await run("topology", "apply", folder=tmp_path, RABBITMQ_URL=rabbitmq_url)
    connection = await aiormq.connect(rabbitmq_url)
    channel = await connection.channel()
    for queue in Topology.of(["default"]).queues:
        await channel.queue_purge(queue.name)
    await refuse_foreign_calls(rabbitmq_url)
    await channel.basic_publish(b"{}", exchange=names.CALLS_EXCHANGE, routing_key="default.bulk")

    with pytest.raises(CommandFailed, match=r"lark\.calls\.default\.bulk .* holds 1 messages"):
        await refuse_foreign_calls(rabbitmq_url)
    await channel.queue_purge(names.calls_queue("default", "bulk"))
    await connection.close()


async def test_an_object_of_another_kind_is_named(rabbitmq_url: str, tmp_path: Path) -> None:
    connection = await aiormq.connect(rabbitmq_url)
    queue = names.calls_queue("legacy", "bulk")
    await (await connection.channel()).queue_declare(queue, durable=True)
    words = ("topology", "apply", "--app", "legacy")

    ran = await run(*words, folder=tmp_path, RABBITMQ_URL=rabbitmq_url)
    await connection.close()

    assert ran.code == 2
    assert ran.err.startswith(f"ConfigError: RabbitMQ holds queue {queue} with other arguments")


async def test_a_broker_that_is_away_is_told_by_its_own_code(tmp_path: Path) -> None:
    ran = await run("topology", "apply", folder=tmp_path, RABBITMQ_URL="amqp://127.0.0.1:1/")

    assert ran.code == 4
    assert "cannot be reached at 127.0.0.1:1" in ran.err


@pytest.mark.parametrize("words", [("show",), ("apply",)])
async def test_an_alias_outside_the_rules_is_refused(tmp_path: Path, words: tuple[str]) -> None:
    ran = await run("topology", *words, "--app", "No.Dots", folder=tmp_path)

    assert ran.code == 2
    assert "--app: must be an alias" in ran.err
