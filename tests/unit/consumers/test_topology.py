"""The broker's objects, by the table of the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from consumers.topology import Topology, overflow
from schemas import names

DEFINITIONS = Path(__file__).resolve().parents[3] / "rabbitmq" / "definitions.json"
TOPOLOGY = Topology.of(["default", "crm"])
QUEUES = {queue.name: dict(queue.arguments) for queue in TOPOLOGY.queues}
EXCHANGES = {exchange.name: exchange for exchange in TOPOLOGY.exchanges}
APP_QUEUES = [
    f"lark.calls.{alias}.{part}"
    for alias in ("default", "crm")
    for part in ("interactive", "bulk", "retry")
]


def test_the_shipped_definitions_are_what_the_gateway_declares() -> None:
    shipped = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    declared = Topology.of(["default"]).definitions()
    for kind in ("vhosts", "exchanges", "queues", "bindings"):
        assert shipped[kind] == declared[kind], kind


def test_every_object_of_the_contract_is_there_and_no_other() -> None:
    rungs = {f"lark.retry.{n}s" for n in (1, 2, 5, 15, 60, 300, 900, 3600)}
    others = {"lark.calls", "lark.reenter", "lark.unrouted", "lark.overflow", "lark.dlx"}
    assert set(EXCHANGES) == others | rungs
    assert set(QUEUES) == {"lark.dead", "lark.unrouted", *APP_QUEUES} | rungs


def test_every_queue_is_a_quorum_queue_that_rejects_when_it_is_full() -> None:
    for arguments in QUEUES.values():
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-overflow"] == "reject-publish"


@pytest.mark.parametrize("name", [*APP_QUEUES, "lark.unrouted"])
def test_calls_are_dead_lettered_at_least_once(name: str) -> None:
    assert QUEUES[name]["x-dead-letter-exchange"] == "lark.dlx"
    assert QUEUES[name]["x-dead-letter-strategy"] == "at-least-once"
    assert 0 < QUEUES[name]["x-delivery-limit"] < 100


def test_nothing_is_dropped_from_the_dead_letter_queue() -> None:
    assert "x-dead-letter-exchange" not in QUEUES["lark.dead"]
    assert "x-message-ttl" not in QUEUES["lark.dead"]
    assert QUEUES["lark.dead"]["x-delivery-limit"] > 100_000


@pytest.mark.parametrize("seconds", names.RUNGS)
def test_a_rung_holds_its_seconds_and_hands_back_under_the_same_key(seconds: int) -> None:
    arguments = QUEUES[f"lark.retry.{seconds}s"]
    assert arguments["x-message-ttl"] == seconds * 1000
    assert arguments["x-dead-letter-exchange"] == "lark.reenter"
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert "x-dead-letter-routing-key" not in arguments


@pytest.mark.parametrize("name", ["lark.calls", "lark.reenter"])
def test_what_nobody_knows_is_not_returned(name: str) -> None:
    assert EXCHANGES[name].type == "topic"
    assert EXCHANGES[name].arguments == {"alternate-exchange": "lark.unrouted"}


def test_every_other_exchange_is_a_fanout() -> None:
    others = set(EXCHANGES) - {"lark.calls", "lark.reenter", "lark.overflow"}
    assert {EXCHANGES[name].type for name in others} == {"fanout"}


def test_a_copy_for_an_overflow_queue_that_is_gone_is_returned() -> None:
    assert EXCHANGES["lark.overflow"].type == "headers"
    assert EXCHANGES["lark.overflow"].arguments == {}


def test_an_overflow_queue_keeps_calls_as_the_queues_of_calls_do() -> None:
    name = names.overflow_queue("crm", "bulk", "a bucket")
    made = overflow(name)
    assert made.exchanges == (EXCHANGES["lark.overflow"],)
    ((queue,), (binding,)) = made.queues, made.bindings
    assert (queue.name, queue.arguments) == (name, QUEUES["lark.calls.crm.bulk"])
    assert (binding.exchange, binding.queue) == ("lark.overflow", name)
    assert binding.arguments == {"x-match": "all", "lark-overflow": name}


def test_the_bindings() -> None:
    bound = {(b.exchange, b.queue): b.routing_key for b in TOPOLOGY.bindings}
    assert len(bound) == len(TOPOLOGY.bindings)
    assert bound["lark.calls", "lark.calls.crm.interactive"] == "crm.interactive.#"
    assert bound["lark.calls", "lark.calls.crm.bulk"] == "crm.bulk.#"
    assert bound["lark.reenter", "lark.calls.crm.retry"] == "crm.#"
    assert bound["lark.dlx", "lark.dead"] == bound["lark.unrouted", "lark.unrouted"] == ""
    assert {queue for _, queue in bound} == set(QUEUES)
    for seconds in names.RUNGS:
        assert (f"lark.retry.{seconds}s",) * 2 in bound


def test_the_failure_path_is_declared_before_what_leads_to_it() -> None:
    place = {exchange.name: number for number, exchange in enumerate(TOPOLOGY.exchanges)}
    for exchange in TOPOLOGY.exchanges:
        alternate: Any = exchange.arguments.get("alternate-exchange")
        assert alternate is None or place[alternate] < place[exchange.name]
    order = [queue.name for queue in TOPOLOGY.queues]
    assert order.index("lark.dead") < min(map(order.index, APP_QUEUES))
    assert TOPOLOGY.exchanges[-1].name == "lark.calls"
