"""Postgres: one small pool that opens when first used, and errors of our own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from schemas.reply import ErrorType

from . import migrations
from .errors import NotNow, Refused
from .peers import certificate_flaw

CONNECT_SECONDS = 3.0
ACQUIRE_SECONDS = 1.0
_RELEASE_SECONDS = 0.5
# Longer than the server's own limit, so that it speaks only where the server cannot be heard.
_COMMAND_SECONDS = 2.5
_REST_SECONDS = 1.0
_TRIES = 4
_SERVER_SETTINGS = {
    "application_name": "lark-service",
    "statement_timeout": "2000",
    "lock_timeout": "500",
    "idle_in_transaction_session_timeout": "5000",
}

_CONFLICTS: Mapping[type[BaseException], str] = {
    asyncpg.DeadlockDetectedError: "deadlock",
    asyncpg.SerializationError: "serialization",
    asyncpg.LockNotAvailableError: "lock_timeout",
}
# What a connection raises that ends while it is being used depends on the moment.
_BROKEN = (asyncpg.InterfaceError, asyncpg.InternalClientError)
_LOST = (
    *_BROKEN,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionResetError,
    BrokenPipeError,
)
_AWAY: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    *_BROKEN,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    *_CONFLICTS,
)

Connection = asyncpg.pool.PoolConnectionProxy
T = TypeVar("T")

log = structlog.get_logger(__name__)


class DatabaseUnavailable(NotNow):
    """Postgres is away, too slow or takes no writes; the same statement may work later."""


class StatementRefused(Refused):
    """Postgres refuses the statement itself: a defect of ours, or a schema that does not fit."""


class Database:
    """Runs statements, mostly single ones; works again by itself when Postgres comes back.

    Every method raises DatabaseUnavailable or StatementRefused. A statement is sent again after a
    deadlock, a serialization failure, a wait for a lock that was too long, or a lost connection, so
    it must be harmless twice.
    """

    def __init__(
        self, dsn: str, *, max_size: int = 5, retried: Callable[[str], None] = lambda _: None
    ) -> None:
        """*retried* is told why a statement is sent again, in a word of a closed set."""
        self._dsn = dsn
        self.max_size = max_size
        self._retried = retried
        self._pool: asyncpg.Pool | None = None
        self._closed = False
        self._resting_until = 0.0
        self._place = urlsplit(dsn).netloc.rpartition("@")[2] or "its default address"

    @property
    def in_use(self) -> int:
        """Connections with a statement under way."""
        return 0 if self._pool is None else self._pool.get_size() - self._pool.get_idle_size()

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a statement and return its rows."""
        return await self._run(lambda connection: connection.fetch(sql, *arguments))

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """Run a statement and return its first row."""
        return await self._run(lambda connection: connection.fetchrow(sql, *arguments))

    async def execute(self, sql: str, *arguments: Any) -> int:
        """Run a statement and return how many rows it touched."""
        status = await self._run(lambda connection: connection.execute(sql, *arguments))
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run *work* in a transaction; it too may be run again, from its beginning."""

        async def whole(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._run(whole)

    async def ping(self) -> None:
        """Ask for nothing, to see whether Postgres answers."""
        await self._run(lambda connection: connection.execute("SELECT 1"))

    async def migrate(self) -> list[str]:
        """Bring the schema up to date and name the steps taken; raises SchemaMismatch as well."""
        return await self._run(migrations.apply)

    async def schema(self) -> migrations.Schema:
        """Say how far the schema is, and change nothing; raises SchemaMismatch as well."""
        return await self._run(migrations.look)

    async def close(self, seconds: float = _COMMAND_SECONDS) -> None:
        """Give statements under way so long to end, then close every connection."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError):
            pool.terminate()

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        if self._closed:
            raise self._unavailable("the pool is closed")
        if time.monotonic() < self._resting_until:
            raise self._unavailable("it did not answer a moment ago")
        again = AsyncRetrying(
            retry=retry_if_exception_type((*_CONFLICTS, *_LOST)),
            stop=stop_after_attempt(_TRIES),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            before_sleep=self._say_again,
            reraise=True,
        )
        try:
            return await again(self._once, work)
        except _AWAY as error:
            raise self._unavailable(_reason(error)) from error
        except asyncpg.PostgresError as error:
            # Not chained: the detail of such an error quotes the row.
            raise StatementRefused(
                ErrorType.INTERNAL, f"Postgres refuses a statement: {_reason(error)}"
            ) from None

    async def _once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._connection() as connection:
            return await work(connection)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        pool = await self._opened()
        opening = pool.get_idle_size() == 0 and pool.get_size() < self.max_size
        try:
            connection = await pool.acquire(timeout=CONNECT_SECONDS if opening else ACQUIRE_SECONDS)
        except TimeoutError:
            if opening:
                # Only a host that swallows packets is this slow; do not make everybody wait.
                self._resting_until = time.monotonic() + _REST_SECONDS
            raise
        try:
            yield connection
        except _BROKEN:
            connection.terminate()
            raise
        finally:
            # A connection that cannot be handed back in time has been ended by the pool.
            with suppress(*_AWAY):
                await pool.release(connection, timeout=_RELEASE_SECONDS)

    async def _opened(self) -> asyncpg.Pool:
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=self.max_size,
                timeout=CONNECT_SECONDS,
                command_timeout=_COMMAND_SECONDS,
                # Prepared statements outlive their session behind pgbouncer.
                statement_cache_size=0,
                server_settings=_SERVER_SETTINGS,
                reset=_keep,
            )
        await self._pool  # opens no connection, since none is asked for in advance
        return self._pool

    def _say_again(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.info("statement sent again", reason=_reason(error), attempt=state.attempt_number)
        known = (word for kind, word in _CONFLICTS.items() if isinstance(error, kind))
        self._retried(next(known, "lost_connection"))

    def _unavailable(self, reason: str) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            ErrorType.STORE_UNAVAILABLE,
            f"Postgres at {self._place} is not to be had: {reason}",
            retry_after=_REST_SECONDS,
        )


async def _keep(_: asyncpg.Connection) -> None:
    """Spare the round trip that resets a session: no statement here leaves a trace in one."""


def _reason(error: BaseException | None) -> str:
    name = type(error).__name__
    if not isinstance(error, asyncpg.PostgresError):
        return certificate_flaw(error) or name
    # Errors about values quote them, and so does the detail of any; values may be secret.
    quotes = not error.args or str(error.sqlstate).startswith(("22", "23"))
    return f"{name} ({error.sqlstate})" + ("" if quotes else f": {error.args[0]}")
