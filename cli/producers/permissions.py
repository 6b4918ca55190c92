"""What a producer's RabbitMQ user needs, and no more, as `rabbitmqctl` takes it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from schemas.names import CALLS_EXCHANGE, LANES, REPLY_QUEUE_PREFIXES

_OWN_REPLIES: Final = "lark.reply."
_NOTHING: Final = "^$"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Those of one user in one virtual host; patterns are RabbitMQ's regular expressions."""

    producer: str
    vhost: str
    queues: str
    """What it may declare, delete and consume: its reply queues."""
    exchange: str
    """What it may publish to."""
    routing_keys: str
    """By which it may publish there: those of its apps and pools."""

    def commands(self) -> list[str]:
        """The lines that give the user these permissions, in the place of all it had."""
        place = ["-p", self.vhost, self.producer]
        if self.exchange == _NOTHING:
            words = [["clear_permissions", *place], ["clear_topic_permissions", *place]]
        else:
            topic = [*place, CALLS_EXCHANGE, self.routing_keys, _NOTHING]
            words = [
                # First: without one on the exchange, a user may publish by every routing key.
                ["set_topic_permissions", *topic],
                ["set_permissions", *place, self.queues, self.exchange, self.queues],
            ]
        return [shlex.join(["rabbitmqctl", *line]) for line in words]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "vhost": self.vhost,
            "configure": self.queues,
            "write": self.exchange,
            "read": self.queues,
            "topic": {
                "exchange": CALLS_EXCHANGE,
                "write": self.routing_keys,
                "read": _NOTHING,
            },
            "commands": self.commands(),
        }


def permissions_of(producer: str, aliases: Iterable[str], vhost: str) -> Permissions:
    """The permissions of a producer that calls these apps and pools; without any, none."""
    granted = sorted(set(aliases))
    if not granted:
        return Permissions(producer, vhost, _NOTHING, _NOTHING, _NOTHING)
    prefixes = [
        # Of a queue that it names itself, other producers stay out.
        re.escape(f"{prefix}{producer}." if prefix == _OWN_REPLIES else prefix)
        for prefix in REPLY_QUEUE_PREFIXES
    ]
    apps, lanes = "|".join(map(re.escape, granted)), "|".join(LANES)
    return Permissions(
        producer,
        vhost,
        queues=f"^({'|'.join(prefixes)}).+$",
        exchange=f"^{re.escape(CALLS_EXCHANGE)}$",
        routing_keys=rf"^({apps})\.({lanes})(\..*)?$",
    )
