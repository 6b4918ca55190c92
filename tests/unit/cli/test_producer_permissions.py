"""The RabbitMQ permissions of a producer reach its own apps and queues, whatever it is called."""

from __future__ import annotations

import re
import shlex

import pytest

from cli.producers.permissions import permissions_of

NAMES = ["billing", "bil.ling", "a b", "x|y", "(.*)", "a'b$", "文", "a\\d"]


@pytest.mark.parametrize("name", NAMES)
def test_a_producer_has_its_own_reply_queues_alone(name: str) -> None:
    queues = re.compile(permissions_of(name, ["default"], "/").queues)
    for own in (f"lark.reply.{name}.1", "amq.gen-Xyz", "amq_0a1b"):
        assert queues.search(own)
    others = ("lark.reply.other.1", f"lark.reply.{name}", f"lark.reply.{name}x.1", "lark.dead")
    more = ("lark.calls.default.bulk", "lark.calls", "amq.topic", "amqXgen-1", "xamq_1", "", "amq_")
    for queue in (*others, *more):
        assert not queues.search(queue), queue


@pytest.mark.parametrize("name", NAMES)
def test_a_producer_writes_to_one_exchange(name: str) -> None:
    exchange = re.compile(permissions_of(name, ["default"], "/").exchange)
    assert exchange.search("lark.calls")
    for other in ("lark.dlx", "lark.reenter", "lark.retry.1s", "larkXcalls", "lark.calls.x", ""):
        assert not exchange.search(other)


def test_a_producer_has_the_routing_keys_of_its_apps() -> None:
    keys = re.compile(permissions_of("billing", ["hr", "default", "hr"], "/").routing_keys)
    for own in ("hr.bulk", "default.interactive", "default.bulk.and.more"):
        assert keys.search(own)
    for other in ("sales.bulk", "hr2.bulk", "xhr.bulk", "hr.retry", "hr.bulkx", "hr", "hrxbulk"):
        assert not keys.search(other)


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_are_for_a_shell(name: str) -> None:
    made = permissions_of(name, ["hr"], "v h")
    topic, resources = map(shlex.split, made.commands())
    assert topic[:6] == ["rabbitmqctl", "set_topic_permissions", "-p", "v h", name, "lark.calls"]
    assert topic[6:] == [made.routing_keys, "^$"]
    assert resources[:5] == ["rabbitmqctl", "set_permissions", "-p", "v h", name]
    assert resources[5:] == [made.queues, made.exchange, made.queues]


def test_without_a_grant_everything_is_taken() -> None:
    made = permissions_of("billing", [], "/")
    assert made.commands() == [
        "rabbitmqctl clear_permissions -p / billing",
        "rabbitmqctl clear_topic_permissions -p / billing",
    ]
    assert {made.queues, made.exchange, made.routing_keys} == {"^$"}
