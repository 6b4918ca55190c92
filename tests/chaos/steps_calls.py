"""The calls that are in hand when a process is killed, and everything seen of them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from schemas import names
from tests.support.amqp import Message
from tests.support.calls import change, invite, read, send

from .steps_oracle import Klass, Observed, Request, Step
from .steps_world import World

BUSY = 131009
"""A code by which Feishu says that another call holds what this one wants: nothing was done."""
_MAGIC = {
    # It acts and answers after a minute, long after the kill; the repeat is answered at once.
    Step.C5: "sim_slow_60s_once",
    # Feishu's word that it was executed and failed, which ends a call for good.
    Step.C9: "sim_code_1999999",
    # Longer than a pause in the process: the call waits as a copy in the broker.
    Step.C10: f"sim_status_400_{BUSY}_once",
}
_WRITERS = {Klass.R: read, Klass.I: change, Klass.K: send, Klass.N: invite}


@dataclass(frozen=True, slots=True)
class Marked:
    """A call by one word that is its id, its correlation id and the place that it is about."""

    word: str
    klass: Klass
    body: dict[str, Any]
    reply: bool

    @property
    def mark(self) -> bytes:
        """The word as it is seen on the wire."""
        return self.word.encode()


def calls_for(step: Step, klass: Klass, number: int, run: str) -> list[Marked]:
    """So many calls of one class that can be parked at the step."""
    made = []
    for _ in range(number):
        word = f"{_MAGIC.get(step, 'ou_at')}-{run}-{secrets.token_hex(5)}"
        # A dead letter of a call that was carried out is for those whom nobody waits for.
        made.append(Marked(word, klass, _WRITERS[klass](word), reply=step is not Step.C9))
    return made


async def publish(world: World, calls: Iterable[Marked]) -> None:
    """Publish with confirms."""
    for call in calls:
        to = {"reply_to": names.DIRECT_REPLY_TO} if call.reply else {}
        await world.producer.send(
            call.body, message_id=call.word, correlation_id=call.word, user_id=None, **to
        )


def replies_to(world: World, call: Marked) -> list[Message]:
    """Every reply to the call so far."""
    return [r for r in world.producer.replies if r.properties.correlation_id == call.word]


def letters_of(world: World, call: Marked) -> list[Message]:
    """Every dead letter of the call so far."""
    return [r for r in world.producer.letters if r.properties.correlation_id == call.word]


def arrivals(world: World, call: Marked) -> list[dict[str, Any]]:
    """What arrived at Feishu for the call."""
    ledger = world.feishu.world.ledger
    numbers = {
        capture.number
        for capture in ledger.captures
        if call.word in capture.target or call.mark in capture.body
    }
    if not numbers:
        return []
    return [entry for entry in ledger.entries(min(numbers) - 1) if entry["number"] in numbers]


def token_requests(world: World) -> int:
    """How often Feishu was asked for a token so far."""
    requests = world.feishu.world.ledger.requests
    return sum(number for name, number in requests.items() if "tenant_access_token" in name)


def observe(world: World, calls: Sequence[Marked]) -> list[Observed]:
    """What was seen of each call."""
    seen = []
    for call in calls:
        entries = arrivals(world, call)
        both = [*replies_to(world, call), *letters_of(world, call)]
        effects = world.feishu.world.ledger.effects
        letters = [
            json.loads(letter.headers[names.HEADER_DEAD_ERROR])["type"]
            for letter in letters_of(world, call)
        ]
        seen.append(
            Observed(
                call.word,
                call.klass,
                requests=[Request(entry["key"], _refused(entry)) for entry in entries],
                effects=max(
                    (effects[entry["key"]] for entry in entries if entry["key"]), default=0
                ),
                replies=[reply.json for reply in replies_to(world, call)],
                letters=letters,
                told=any(map(partial(_tells, world), both)),
            )
        )
    return seen


def forget(world: World) -> None:
    """Drop what was collected of calls that have been judged."""
    world.producer.replies.clear()
    world.producer.letters.clear()


def _tells(world: World, message: Message) -> bool:
    text = message.body + str(message.headers).encode()
    return any(secret.encode() in text for secret in world.secrets)


def _refused(entry: dict[str, Any]) -> bool:
    # The limits of the simulated Feishu are off and its tokens good, unless a step says otherwise.
    return entry["code"] in (BUSY, 99991663) or entry["status"] in (401, 429)
