"""A connection to RabbitMQ for one command; what goes wrong becomes a sentence and an exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiormq
from aiormq import exceptions as broker
from yarl import URL

from gateway.settings import load_settings

from .exits import CANNOT_REACH, USAGE, CommandFailed

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0
_REFUSED = (
    broker.AuthenticationError,
    broker.ProbableAuthenticationError,
    broker.ConnectionNotAllowed,
)


def broker_url() -> str:
    """RABBITMQ_URL as the environment, `.env.local` or `.env` give it; raises ConfigError."""
    return load_settings(only={"RABBITMQ_URL"}).rabbitmq_url.get_secret_value()


@asynccontextmanager
async def open_broker(url: str) -> AsyncIterator[aiormq.Connection]:
    """Connect within ten seconds; raises CommandFailed."""
    # The library logs what it then raises.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    connection = await _connected(url)
    try:
        yield connection
    finally:
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()


async def _connected(url: str) -> aiormq.Connection:
    try:
        place = place_of(url)
    except ValueError as error:
        raise CommandFailed(USAGE, f"RABBITMQ_URL is no address: {error}") from error
    name = f"lark-service/{socket.gethostname()}/{os.getpid()}/command"
    connection = aiormq.Connection(url)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect(client_properties={"connection_name": name})
    except _REFUSED as error:
        raise CommandFailed(
            USAGE, f"RabbitMQ at {place} refuses the user or the password of RABBITMQ_URL."
        ) from error
    except broker.InvalidFrameError as error:
        # The library drops the reason; the broker closes here for a virtual host.
        raise CommandFailed(
            USAGE,
            f"RabbitMQ at {place} closes the connection: is there the virtual host "
            "of RABBITMQ_URL, and may its user enter it?",
        ) from error
    except TimeoutError as error:
        raise CommandFailed(
            CANNOT_REACH,
            f"RabbitMQ does not answer at {place} within {CONNECT_SECONDS:.0f} s. "
            "Is RABBITMQ_URL right?",
        ) from error
    except (broker.AMQPError, OSError, RuntimeError) as error:
        raise CommandFailed(
            CANNOT_REACH,
            f"RabbitMQ cannot be reached at {place}: {reason_of(error)}. Is RABBITMQ_URL right?",
        ) from error
    return connection


def place_of(url: str) -> str:
    """Host and port, without the login that the URL also holds."""
    address = URL(url)
    return f"{address.host}:{address.port or (5671 if address.scheme == 'amqps' else 5672)}"


def reason_of(error: BaseException) -> str:
    """What the library says, without what could be a secret: an OSError may hold the whole URL."""
    if isinstance(error, broker.AMQPConnectionError):
        error = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    told = error.strerror if isinstance(error, OSError) else str(error)
    return told or type(error).__name__
