"""Connections to RabbitMQ: plain ones, made again by us, with jitter and with bounds."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aiormq import Channel
from yarl import URL

from gateway.errors import ConfigError

from .wire import carry_any_message

HEARTBEAT_SECONDS = 10
"""A dead peer is found within three of these; the library's default of 60 takes three minutes."""
CONNECT_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

log = structlog.get_logger()


def told_to_stop() -> bool:
    """Whether a CancelledError is meant for this task: a dying channel cancels its waiters too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def stop_if_told() -> None:
    """Raise CancelledError where the client library swallowed one that was meant for this task."""
    if told_to_stop():
        raise asyncio.CancelledError


async def open_connection(url: str, role: str) -> AbstractConnection:
    """Connect once; raise what the client library raises, within ten seconds."""
    carry_any_message()
    name = f"lark-service/{socket.gethostname()}/{os.getpid()}/{role}"
    return await aio_pika.connect(
        URL(url).update_query(heartbeat=str(HEARTBEAT_SECONDS)),
        timeout=CONNECT_SECONDS,
        client_properties={"connection_name": name},
    )


async def open_channel(connection: AbstractConnection, *, confirms: bool) -> Channel:
    """Open a channel and hand out the aiormq one below it, which can write without waiting."""
    channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    return cast(Channel, await channel.get_underlay_channel())


@asynccontextmanager
async def quietly(seconds: float) -> AsyncIterator[None]:
    """Leave the block at the latest after so many seconds, whatever state the connection is in."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except asyncio.CancelledError:
        if told_to_stop():
            raise
    except Exception as error:  # noqa: BLE001
        # At a clean end of stream aiormq raises a bare Exception.
        log.debug("RabbitMQ did not answer", error=str(error))


async def close_quietly(connection: AbstractConnection | None) -> None:
    """Close within two seconds."""
    if connection is not None:
        async with quietly(2):
            await connection.close()


class Link:
    """Keeps one connection: connects, sets it up, waits until it is lost, and connects again."""

    def __init__(self, url: str, role: str, on_reconnect: Callable[[], None]) -> None:
        self._url = url
        self._role = role
        self._on_reconnect = on_reconnect
        self._lost = asyncio.Event()

    def drop(self) -> None:
        """Give the present connection up; the loop makes a new one."""
        self._lost.set()

    def _closed(self, *_: object) -> None:
        self._lost.set()

    async def run(
        self, set_up: Callable[[AbstractConnection], Awaitable[None]], tear_down: Callable[[], None]
    ) -> None:
        """Run until cancelled, or until *set_up* raises ConfigError; all else is tried again."""
        pause = FIRST_PAUSE
        while True:
            connection: AbstractConnection | None = None
            try:
                connection = await open_connection(self._url, self._role)
                self._lost.clear()
                connection.close_callbacks.add(self._closed)
                await set_up(connection)
                stop_if_told()
                pause = FIRST_PAUSE
                await self._lost.wait()
                log.warning("connection to RabbitMQ lost", connection=self._role)
            except ConfigError:
                raise
            except asyncio.CancelledError:
                if told_to_stop():
                    raise
                log.warning("connection to RabbitMQ lost", connection=self._role)
            except Exception as error:  # noqa: BLE001  aiormq raises bare Exceptions too
                log.warning("cannot use RabbitMQ", connection=self._role, error=_described(error))
            finally:
                if connection is not None:
                    connection.close_callbacks.discard(self._closed)
                tear_down()
                await close_quietly(connection)
            stop_if_told()
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  jitter
            pause = min(LONGEST_PAUSE, pause * 2)
            self._on_reconnect()


def _described(error: BaseException) -> str:
    # aiormq masks the password where it names a connection; an OSError could hold the whole URL.
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{type(error).__name__}: {reason}"[:300] if reason else type(error).__name__
