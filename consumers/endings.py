"""The end of a delivery: its reply and its dead letter, both confirmed before anybody acks."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import structlog

from gateway.errors import GatewayError
from gateway.feishu import Answer
from gateway.metrics import Metrics
from gateway.outcomes.protocol import Recorded
from gateway.redaction import Redactor
from schemas import names
from schemas.dead_letter import DeadLetter, DeadReason
from schemas.reply import CallError

from .codec import Address, Delivery, history_of
from .copies import dead_letter
from .patience import Patience
from .publisher import Published, Publisher
from .replies import error_of, reply_body, reply_properties, said_of
from .settlement import Finish
from .work import Work

PAUSE_SECONDS = 1.0
MOST_LOSSES = 4
"""Connections that one reply to a direct address may cost before it is given up."""

_STATES = {
    Published.CONFIRMED: "sent",
    Published.NACKED: "refused",
    Published.UNKNOWN: "lost",
}

log = structlog.get_logger()


class Endings:
    """Publishes what a settlement asks for."""

    def __init__(
        self, publisher: Publisher, patience: Patience, metrics: Metrics, redactor: Redactor
    ) -> None:
        self._publisher = publisher
        self._patience = patience
        self._metrics = metrics
        self._redactor = redactor

    def said(self, work: Work, error: GatewayError | None, answer: Answer | None) -> Recorded:
        """What the producer will be told of how a call ended."""
        told = None
        if error is not None:
            told = error_of(error, self._redactor, answer.log_id if answer else None)
        return said_of(answer, told, attempts=work.job.attempts, app=work.job.app.alias)

    async def of_work(
        self,
        work: Work,
        ending: Finish,
        said: Recorded,
        *,
        log_id: str | None = None,
        duplicate: bool = False,
    ) -> None:
        """End a call; *duplicate*: with what was said before, to another delivery of its id."""
        address = work.address
        if ending.dead is not None and said.error is not None:
            await self._bury(work.delivery, address, ending.dead, said)
        if ending.reply and address.reply_to is not None:
            body = reply_body(
                call_id=address.call_id,
                said=said,
                duplicate=duplicate,
                pool=None if said.app == work.alias else work.alias,
                api=work.job.route.name,
                log_id=log_id,
                timing=work.timing(),
            )
            ok = ending.error is None
            await self._reply(address, address.reply_to, body, work.job.deadline, ok=ok)
        seconds = time.time() - work.envelope.history.first_seen
        self._metrics.call_seconds.labels(work.job.route.name).observe(seconds)
        self._count(
            work.alias,
            work.job.route.name,
            ending,
            address,
            member=None if said.app == work.alias else said.app,
            attempts=said.attempts,
            duplicate=duplicate,
        )

    async def of_delivery(
        self, delivery: Delivery, alias: str | None, ending: Finish, address: Address
    ) -> None:
        """End a delivery that did not become a call."""
        told = None if ending.error is None else error_of(ending.error, self._redactor)
        said = said_of(None, told, attempts=history_of(delivery).attempts, app=alias)
        if ending.dead is not None and said.error is not None:
            await self._bury(delivery, address, ending.dead, said)
        if ending.reply and address.reply_to is not None:
            body = reply_body(call_id=address.call_id, said=said)
            await self._reply(address, address.reply_to, body, 0.0, ok=ending.error is None)
        self._count(alias, "none", ending, address)

    async def send_on(
        self, exchange: str, routing_key: str, body: bytes, properties: dict[str, Any]
    ) -> None:
        """Publish to one of our own exchanges; while it leads to no queue, keep trying."""
        while True:
            outcome = await self._publisher.until_confirmed(
                exchange, routing_key, body, mandatory=True, **properties
            )
            if outcome is Published.CONFIRMED:
                return
            log.error("exchange leads to no queue", exchange=exchange)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _bury(
        self, delivery: Delivery, address: Address, reason: DeadReason, said: Recorded
    ) -> None:
        letter = _letter(delivery, address, reason, said)
        await self.send_on(
            names.DEAD_LETTER_EXCHANGE,
            delivery.routing_key,
            delivery.body,
            dead_letter(delivery, letter),
        )
        self._metrics.dead_letters.labels(reason.value).inc()

    async def _reply(
        self, address: Address, reply_to: str, body: bytes, wanted_until: float, *, ok: bool
    ) -> None:
        direct = reply_to.startswith(names.DIRECT_REPLY_TO)
        publish = partial(
            self._publisher.until_confirmed,
            "",
            reply_to,
            body,
            # RabbitMQ up to 4.1 returns every mandatory message to a direct reply address.
            mandatory=not direct,
            nack_is_final=True,
            # An address that RabbitMQ did not issue makes it close the connection, each time.
            most_unknown=MOST_LOSSES if direct else None,
            **reply_properties(address, ok=ok),
        )
        outcome = await self._patience.offer(reply_to, wanted_until, publish)
        if outcome in (Published.NACKED, Published.UNKNOWN):
            log.warning("a reply was given up", call_id=address.call_id, outcome=outcome.value)
        self._metrics.replies.labels(_STATES.get(outcome, "unroutable")).inc()

    def _count(
        self, alias: str | None, api: str, ending: Finish, address: Address, **how: Any
    ) -> None:
        error = ending.error
        outcome = error.type.value if error else "ok"
        self._metrics.calls.labels(alias or "none", api, outcome).inc()
        # One line a call costs a tenth of the CPU: successes are told at debug level only.
        (log.debug if error is None else log.info)(
            "call ended",
            call_id=address.call_id,
            app=alias,
            api=api,
            outcome=outcome,
            code=error.code if error else None,
            log_id=error.log_id if error else None,
            dead=ending.dead.value if ending.dead else None,
            **how,
            **address.trace,
        )


def _letter(delivery: Delivery, address: Address, reason: DeadReason, said: Recorded) -> DeadLetter:
    history = history_of(delivery)
    return DeadLetter(
        reason=reason,
        error=CallError.model_validate_json(said.error or b""),
        call_id=address.call_id,
        attempts=said.attempts,
        first_seen=int(history.first_seen * 1000),
        # What comes back from a retry rung or an overflow queue was published here first.
        origin_exchange=(
            names.CALLS_EXCHANGE if delivery.exchange in names.OWN_EXCHANGES else delivery.exchange
        ),
        origin_routing_key=delivery.routing_key,
        origin_user=history.producer,
    )
