"""What nobody could carry out: answered where somebody waits, then kept as a row in Postgres."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import structlog

from gateway.database import Database
from gateway.dead_letters import DeadLetterRow, insert_dead_letter
from gateway.errors import Expired, GatewayError
from gateway.metrics import Metrics
from gateway.producer_grants import ProducerGrants
from schemas import names
from schemas.dead_letter import DeadReason
from schemas.reply import ErrorType

from .body import parse_call
from .codec import Delivery, Poison, address_of, check_reply_to, open_envelope
from .copies import kept_properties
from .endings import Endings
from .pipeline import IN_QUEUE, Pipeline
from .settlement import end_unopened

PAUSE_SECONDS = 2.0
HEADER_STEPPED_BACK = "lark-stepped-back"
_AMQP_NAMES = {"message_type": "type"}

log = structlog.get_logger()


class DeadLetterHandler:
    """Handles the dead-letter queue and the calls for nobody."""

    queues = (names.DEAD_LETTER_QUEUE, names.UNROUTED)

    def __init__(
        self,
        endings: Endings,
        database: Database,
        metrics: Metrics,
        producers: ProducerGrants,
        pipeline: Pipeline,
    ) -> None:
        self._endings = endings
        self._pipeline = pipeline
        self._producers = producers
        self._database = database
        self._metrics = metrics

    async def handle(self, delivery: Delivery) -> bool:
        """Carry one delivery to its end; True when it may be acked."""
        try:
            if delivery.queue == names.UNROUTED:
                await self._unrouted(delivery)
            elif death := _death_of(delivery):
                await self._given_up(delivery, death)
            else:
                await self._keep(delivery)
        except Exception:
            log.exception("defect while handling a dead letter", queue=delivery.queue)
            await asyncio.sleep(PAUSE_SECONDS)
            return False
        return True

    async def _unrouted(self, delivery: Delivery) -> None:
        await self._end(delivery, _unrouted())

    async def _given_up(self, delivery: Delivery, death: Mapping[str, Any]) -> None:
        """Work out what the broker dead-lettered and why; `x-death` is all that it says."""
        queue = str(death.get("queue"))
        # An exchange or a routing key in it may be a producer's own: RabbitMQ up to 3.13 counts on
        # in an entry of the same queue and reason that it finds.
        origin = replace(delivery, queue=queue, exchange=_exchange_to(queue))
        why = _why(origin, str(death.get("reason")), self._producers)
        # A process that is gone may have sent it before it came back to its queue.
        expired = isinstance(why, Expired)
        if expired and await self._pipeline.end_expired(origin, _alias_of(queue)):
            return
        await self._end(origin, why)

    async def _end(self, delivery: Delivery, problem: Poison | GatewayError) -> None:
        address = address_of(delivery)
        ending = end_unopened(problem, has_reply_to=address.reply_to is not None)
        # An alias that nobody knows is the producer's free text, and no label of a metric.
        unknown = delivery.queue == names.UNROUTED
        alias = None if unknown else alias_in(delivery.routing_key)
        await self._endings.of_delivery(delivery, alias, ending, address)

    async def _keep(self, delivery: Delivery) -> None:
        stepped_back = delivery.headers.get(HEADER_STEPPED_BACK)
        if isinstance(stepped_back, int):
            # At most that long, whatever the header says.
            pause = stepped_back / 1000 + PAUSE_SECONDS - time.time()
            await asyncio.sleep(min(PAUSE_SECONDS, max(0.0, pause)))
        try:
            if await insert_dead_letter(self._database, row_of(delivery)):
                self._metrics.dead_letter_rows.inc()
        except GatewayError as error:
            log.warning("a dead letter waits for Postgres", reason=error.message)
            await self._step_back(delivery)

    async def _step_back(self, delivery: Delivery) -> None:
        # Rows wait in the queue. A queue is a line: at its head they would keep from their
        # replies those behind them that the broker has just given up.
        headers = dict(delivery.headers) | {HEADER_STEPPED_BACK: int(time.time() * 1000)}
        properties = kept_properties(delivery) | {"headers": headers}
        await self._endings.send_on(
            names.DEAD_LETTER_EXCHANGE, delivery.routing_key, delivery.body, properties
        )


def _death_of(delivery: Delivery) -> Mapping[str, Any] | None:
    """The newest entry of what the broker wrote when it dead-lettered the message, if it did."""
    deaths = delivery.headers.get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return newest if isinstance(newest, dict) else None


def _exchange_to(queue: str) -> str:
    """The exchange through which what lies in this queue of ours came into it."""
    if names.is_overflow_queue(queue):
        return names.OVERFLOW_EXCHANGE
    again = queue.startswith(f"{names.CALLS_EXCHANGE}.") and queue.endswith(".retry")
    return names.REENTER_EXCHANGE if again else names.CALLS_EXCHANGE


def _alias_of(queue: str) -> str:
    """The alias in a name that RabbitMQ wrote down; empty where there is none."""
    return names.alias_of(queue) if queue.count(".") > 1 else ""


def _unrouted() -> Poison:
    message = "routing key: must be <alias>.<lane> of a known app, lane interactive or bulk"
    return Poison(DeadReason.UNROUTED, ErrorType.UNROUTED, message)


def _why(origin: Delivery, reason: str, producers: ProducerGrants) -> Poison | GatewayError:
    """Why a call is given up: where it breaks a rule as well, the rule that counts first."""
    if origin.queue == names.UNROUTED:
        return _unrouted()
    try:
        check_reply_to(origin)
        if reason != "expired":
            message = "the gateway gave the call up after repeated crashes"
            return Poison(DeadReason.DELIVERY_LIMIT, ErrorType.INTERNAL, message)
        history = open_envelope(origin).history
        call, alias = parse_call(origin.body), _alias_of(origin.queue)
        producers.check(history.producer, alias, call, sent=history.attempts > 0)
    except (Poison, GatewayError) as broken:
        return broken
    return Expired(IN_QUEUE)


def alias_in(routing_key: str) -> str | None:
    """The alias that a routing key names, known or not; None where it can be none."""
    word = routing_key.split(".")[0]
    return word if names.ALIAS.fullmatch(word) else None


def row_of(delivery: Delivery) -> DeadLetterRow:
    """Turn one of the gateway's dead letters into a row; the same letter gets the same id."""
    headers = delivery.headers
    routing_key = headers.get(names.HEADER_ORIGIN_ROUTING_KEY)
    if not isinstance(routing_key, str):
        routing_key = delivery.routing_key
    call_id = headers.get(names.HEADER_CALL_ID)
    first_seen = headers.get(names.HEADER_FIRST_SEEN)
    attempts = headers.get(names.HEADER_ATTEMPTS)
    return DeadLetterRow(
        id=_id_of(delivery),
        call_id=call_id if isinstance(call_id, str) else None,
        app=alias_in(routing_key),
        reason=str(headers.get(names.HEADER_DEAD_REASON, DeadReason.FAILED)),
        error=_error_in(headers),
        body=delivery.body,
        headers={name: value for name, value in headers.items() if name != HEADER_STEPPED_BACK},
        properties={_AMQP_NAMES.get(k, k): v for k, v in kept_properties(delivery).items()},
        routing_key=routing_key,
        attempts=attempts if isinstance(attempts, int) else 0,
        first_seen=_instant(first_seen) if isinstance(first_seen, int) else None,
    )


def _instant(milliseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        # Not what the gateway writes; the row matters more than its time.
        return None


def _id_of(delivery: Delivery) -> UUID:
    headers = delivery.headers
    told = [
        str(headers.get(name))
        for name in (names.HEADER_CALL_ID, names.HEADER_DEAD_REASON, names.HEADER_FIRST_SEEN)
    ]
    told += [str(delivery.properties.message_id), delivery.routing_key]
    digest = hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape"))
    digest.update(delivery.body)
    return UUID(bytes=digest.digest()[:16], version=4)


def _error_in(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        error = orjson.loads(headers.get(names.HEADER_DEAD_ERROR, "{}"))
    except (orjson.JSONDecodeError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}
