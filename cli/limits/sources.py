"""Asks Redis, Postgres and RabbitMQ for the picture; only Redis must answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from cli.broker import open_broker, place_of, reason_of
from cli.exits import CANNOT_REACH, CommandFailed
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.limits.store import StoreAwayError
from gateway.limits.told import Oldest
from gateway.limits.view import LimitView
from gateway.overflow_queues import OverflowQueue, OverflowRegistry
from gateway.redis_client import connect
from gateway.settings import Settings
from schemas.names import Lane

from .known import Keys
from .picture import Overflow, Picture, rows_of

ANSWER_SECONDS = 5.0

Queues = dict[tuple[str, Lane], Overflow]


class Sources:
    """Takes pictures, one after the other, until the block of `open_sources` ends."""

    def __init__(self, settings: Settings, keys: Keys, view: LimitView, database: Database) -> None:
        self._settings = settings
        self._keys = keys
        self._view = view
        self._registry = OverflowRegistry(database)

    async def picture(self, app: str | None, *, idle: bool) -> Picture:
        """The buckets now, idle ones as well if wanted; raises CommandFailed without Redis."""
        away: list[str] = []
        overflow = await self._overflow(away)
        try:
            processes, fleet = await self._view.processes(), await self._view.fleet()
            epoch = await self._view.epoch()
            found = await self._view.keys(epoch) if epoch is not None else []
            names = {*found, *(key for key, _ in fleet.waiting), *(key for key, _ in overflow)}
            buckets = [self._keys.read(key).bucket for key in sorted(names)]
            seen = await self._view.look(buckets, epoch) if epoch is not None else []
        except StoreAwayError as error:
            raise self._without_redis(error) from error
        overflow = _aged(overflow, fleet.oldest)
        by_key = {one.bucket.key: one for one in seen}
        rows = rows_of(self._keys, by_key, fleet, overflow, app=app)
        shown = [row for row in rows if idle or not row.is_idle]
        return Picture(shown, processes, fleet.modes, away)

    def _without_redis(self, error: StoreAwayError) -> CommandFailed:
        parts = urlsplit(self._settings.redis_url.get_secret_value())
        place = f"{parts.hostname}:{parts.port or 6379}"
        reason = str(error).removeprefix("Redis: ")
        return CommandFailed(CANNOT_REACH, f"Redis at {place} cannot be asked: {reason}")

    async def _overflow(self, away: list[str]) -> Queues:
        try:
            queues = [row.queue for row in await self._registry.list()]
        except GatewayError as error:
            away.append(f"Postgres cannot be asked, so overflow is not known: {error.message}")
            return {}
        found: Queues = {(queue.bucket, queue.lane): Overflow(None) for queue in queues}
        if queues:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    found.update(await self._depths(queues))
            except (CommandFailed, TimeoutError, AMQPError, OSError) as error:
                reason = str(error) if isinstance(error, CommandFailed) else reason_of(error)
                url = self._settings.rabbitmq_url.get_secret_value()
                away.append(f"The depth of overflow queues is not known: {reason or place_of(url)}")
        return found

    async def _depths(self, queues: Sequence[OverflowQueue]) -> Queues:
        found: Queues = {}
        async with open_broker(self._settings.rabbitmq_url.get_secret_value()) as connection:
            channel = await connection.channel()
            for queue in queues:
                try:
                    declared = await channel.queue_declare(queue.name, passive=True)
                except ChannelNotFoundEntity:
                    # It is declared when the first call is moved; the channel is gone with it.
                    channel = await connection.channel()
                    found[queue.bucket, queue.lane] = Overflow(0)
                else:
                    found[queue.bucket, queue.lane] = Overflow(declared.message_count or 0)
        return found


def _aged(queues: Queues, oldest: Oldest) -> Queues:
    now = time.time()
    return {
        place: Overflow(queue.calls, max(0.0, round(now - oldest[place], 1)))
        if place in oldest and queue.calls != 0
        else queue
        for place, queue in queues.items()
    }


@asynccontextmanager
async def open_sources(settings: Settings, keys: Keys) -> AsyncIterator[Sources]:
    """Connections that are made when they are first used."""
    redis = connect(settings.redis_url.get_secret_value())
    database = Database(settings.database_url.get_secret_value(), max_size=1)
    try:
        yield Sources(settings, keys, LimitView(redis, timeout=ANSWER_SECONDS), database)
    finally:
        await redis.aclose()
        await database.close()
