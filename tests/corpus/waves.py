"""Sends seeds in waves, hundreds in flight, and collects what becomes of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from consumers.dead_letters import HEADER_STEPPED_BACK
from schemas import names
from tests.corpus.host import Host
from tests.corpus.seeds import Answered, Refused, Seed, Sent, Soon
from tests.support.amqp import Message
from tests.support.producer import Producer
from tests.support.waiting import eventually

WAVE_SEEDS = 150
WAVE_BYTES = 24 * 1024 * 1024
PATIENCE = 20.0
REFUSED_WITHIN = 1.0
"""Seconds from receipt; before that the broker has to take in the message and hand it on."""
BROKER_BYTES = 2 * 1024 * 1024
"""That it surely does so with in a second."""
TIMES_ALONE = 3


@dataclass
class Fate:
    """What became of a seed; `sent_at` is monotonic time."""

    replies: list[Message] = field(default_factory=list)
    letters: list[Message] = field(default_factory=list)
    sent_at: float = 0.0
    slow: bool = False
    """Its refusal took more than a second, alone too."""

    @property
    def seconds(self) -> float:
        """Until the last of its messages."""
        return max(message.at for message in (*self.replies, *self.letters)) - self.sent_at


class Mailbox:
    """Sorts what a producer gets by the seed that it belongs to."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._read = [len(producer.replies), len(producer.letters)]
        self._by_key: dict[str, Fate] = {}
        self.fates: list[Fate] = []
        self.unknown: list[Message] = []
        """What belongs to no seed."""

    def expect(self, seed: Seed) -> Fate:
        """Collect in a new fate what comes for this seed from now on."""
        fate = Fate()
        self.fates.append(fate)
        for name in ("message_id", "correlation_id"):
            key = _text(seed.properties.get(name))
            if key:
                self._by_key[key] = fate
        self._by_key[seed.mark] = fate
        return fate

    def collect(self) -> None:
        """Sort what came since the last time."""
        for kind, messages in enumerate((self._producer.replies, self._producer.letters)):
            for message in messages[self._read[kind] :]:
                if HEADER_STEPPED_BACK in message.headers:
                    # The same letter, to the end of its queue: Postgres was slow.
                    continue
                fate = self._fate_of(message)
                if fate is None:
                    self.unknown.append(message)
                else:
                    (fate.letters if kind else fate.replies).append(message)
            self._read[kind] = len(messages)

    def _fate_of(self, message: Message) -> Fate | None:
        properties = message.properties
        keys = (properties.correlation_id, properties.message_id)
        for key in (*keys, message.headers.get(names.HEADER_CALL_ID)):
            fate = self._by_key.get(_text(key))
            if fate is not None:
                return fate
        return None


def waves(seeds: Sequence[Seed]) -> Iterator[list[Seed]]:
    """So many at a time, fewer where they are large."""
    wave: list[Seed] = []
    for seed in seeds:
        too_large = sum(len(other.body) for other in wave) + len(seed.body) > WAVE_BYTES
        if wave and (len(wave) >= WAVE_SEEDS or too_large):
            yield wave
            wave = []
        wave.append(seed)
    if wave:
        yield wave


async def send(
    wave: Sequence[Seed], producer: Producer, mailbox: Mailbox, host: Host
) -> dict[str, Fate]:
    """Publish them all at once and wait until each has all that it must get, or time is up."""
    fates = {seed.mark: mailbox.expect(seed) for seed in wave}
    await asyncio.gather(*(_publish(seed, fates[seed.mark], producer) for seed in wave))
    await _wait(fates, wave, mailbox, host)
    for seed in wave:
        if isinstance(seed.verdict, Refused) and _is_late(seed, fates[seed.mark]):
            fates[seed.mark].slow = await _is_slow_alone(seed, producer, mailbox, host)
    return fates


async def _wait(
    fates: Mapping[str, Fate], seeds: Sequence[Seed], mailbox: Mailbox, host: Host
) -> None:
    """Until all have what they must get, or time is up: the oracle says then what is missing."""

    def settled() -> bool:
        mailbox.collect()
        return all(is_settled(seed, fates[seed.mark], host) for seed in seeds)

    with suppress(AssertionError):
        await eventually(settled, within=PATIENCE)


def is_settled(seed: Seed, fate: Fate, host: Host) -> bool:
    """Whether it has the reply and the dead letter that it must get, or was sent to Feishu."""
    match seed.verdict:
        case Refused(answered=answered, reason=reason):
            return bool(fate.replies or not answered) and bool(fate.letters or reason is None)
        case Sent(answered=False):
            return bool(host.received[seed.mark])
    return bool(fate.replies)


def _is_late(seed: Seed, fate: Fate) -> bool:
    within = REFUSED_WITHIN + len(seed.body) / BROKER_BYTES
    return bool(fate.replies or fate.letters) and fate.seconds > within


async def _is_slow_alone(seed: Seed, producer: Producer, mailbox: Mailbox, host: Host) -> bool:
    """Send it again with nothing else on its way: the crowd may be what took so long."""
    for _ in range(TIMES_ALONE):
        fate = mailbox.expect(seed)
        await _publish(seed, fate, producer)
        await _wait({seed.mark: fate}, [seed], mailbox, host)
        if not _is_late(seed, fate):
            return False
    return True


async def _publish(seed: Seed, fate: Fate, producer: Producer) -> None:
    given: dict[str, Any] = {"reply_to": names.DIRECT_REPLY_TO, **seed.properties}
    headers = given.get("headers")
    if isinstance(headers, dict):
        given["headers"] = {name: _now(value) for name, value in headers.items()}
    await producer.send(seed.body, routing_key=seed.routing_key, **given)
    # The broker confirms when it has the message: the gateway cannot have begun before by much.
    fate.sent_at = time.monotonic()


def _now(value: Any) -> Any:
    return int((time.time() + value.seconds) * 1000) if isinstance(value, Soon) else value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else ""


def answered_forms(seeds: Sequence[Seed]) -> dict[str, Any]:
    """The forms that the host must answer in, by mark."""
    return {seed.mark: seed.verdict.form for seed in seeds if isinstance(seed.verdict, Answered)}
