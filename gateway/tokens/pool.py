"""A token for every call: from memory, else Redis, else Postgres, else Feishu."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from gateway.apps import App
from gateway.errors import Expired, GatewayError
from gateway.metrics import Metrics

from .asker import FAILED_SECONDS, REFUSED_SECONDS, Asker
from .fetcher import Fetcher
from .flights import Flights
from .memory import Held, Memory
from .postgres_tokens import PostgresTokens
from .redis_tokens import RedisTokens
from .sources import TokenSource
from .stores import StoreAway
from .token import TENANT, Credential, Holder, Token
from .watch import EVERY_SECONDS, Watch
from .writer import Writer

__all__ = ["Token", "TokenPool"]

_CLOSE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class TokenPool:
    """Valid tokens, each fetched once for all who wait for it, in this process and in the fleet."""

    def __init__(
        self,
        source: TokenSource,
        redis: RedisTokens,
        postgres: PostgresTokens,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """*clock* must be the one of the stores; *draw* gives numbers in [0, 1) for jitter."""
        self._redis = redis
        self._metrics = metrics
        self._clock = clock
        self._draw = draw
        self._memory = Memory()
        self._hits = 0
        self._writer = Writer(postgres, draw=draw)
        asker = Asker(source, redis, postgres, self._writer, self._memory, metrics, clock)
        self._fetcher = Fetcher(asker, redis, postgres, self._memory, metrics, clock, draw)
        self._flights = Flights(self._fetcher, self._memory, self._hold)
        self._watch = Watch(postgres, self._memory, clock, draw)
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on, forget within a second what another process dropped."""
        self._watching = asyncio.get_running_loop().create_task(self._keep_in_step())

    async def get(
        self, app: App, holder: Holder = TENANT, *, timeout: float | None = None
    ) -> Token:
        """Return a token that lives; a renewal goes on behind it while the old one still does.

        Raises Refused, NotNow or AttemptFailed as the token endpoint answered, and Expired when
        there is no token within *timeout* seconds.
        """
        held = self._memory.held.get((app.alias, holder))
        ended = None
        if held is not None and (held.app is app or held.serves(app)):
            now = self._clock()
            if now < held.renew_at:
                self._hits += 1
                return held.token
            if now < held.usable_until:
                self._hits += 1
                self._renew(held)
                return held.token
            ended = held.token
        return await self._wait(app, holder, ended, timeout)

    async def rejected(self, token: Token) -> None:
        """Drop exactly this token everywhere, because Feishu rejected it.

        The next `get` asks Feishu. When that returns an equal token, the token was not at fault:
        the caller must not repeat its call again.
        """
        if not self._memory.reject(token, self._clock()):
            return
        app = token.credential.app
        self._metrics.token_invalidations.labels(app.alias).inc()
        log.info("token rejected", app=app.alias, fingerprint=token.fingerprint.hex()[:12])
        if not token.credential.durable_elsewhere:
            self._writer.drop(token)
        with suppress(StoreAway):
            await self._redis.drop(token)

    async def close(self) -> None:
        """Stop fetching and give pending writes a second."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._flights.close()
        await self._writer.close(_CLOSE_SECONDS)
        self._count_hits()

    async def _wait(
        self, app: App, holder: Holder, than: Token | None, timeout: float | None
    ) -> Token:
        self._metrics.token_cache_misses.labels("memory").inc()
        credential = Credential.of(app, holder)
        failure = self._memory.failure(credential, self._clock())
        if failure is not None:
            raise _again(failure)
        flight = self._flights.take(credential, than)
        try:
            async with asyncio.timeout(timeout):
                # Shielded: whoever gives up leaves the flight to the others.
                ended = await asyncio.shield(flight)
        except TimeoutError:
            raise Expired("the deadline passed before there was a token") from None
        if isinstance(ended, GatewayError):
            raise _again(ended)
        return ended

    def _renew(self, held: Held) -> None:
        if held.token.credential in self._flights:
            return
        flight = self._flights.take(held.token.credential, held.token)
        flight.add_done_callback(lambda _: self._renewed(held))

    def _renewed(self, held: Held) -> None:
        """After a renewal that failed, leave some time to the next one; a success is held anew."""
        now = self._clock()
        # Sooner as the end comes nearer, but not ever sooner: Feishu is not to be hammered.
        pause = min(REFUSED_SECONDS, max(held.usable_until - now, 0.0) / 4)
        pause = max(pause, min(FAILED_SECONDS, held.token.life / 10))
        held.renew_at = min(now + pause * (0.5 + self._draw()), held.usable_until)

    def _hold(self, token: Token) -> None:
        self._memory.hold(token, self._draw())
        if token.credential.holder.name:
            # One of many of its app: the gauge would show whichever came last.
            return
        end = time.time() + token.expires_at - self._clock()
        self._metrics.token_expiry.labels(token.credential.app.alias).set(end)

    async def _keep_in_step(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self._count_hits()
            await self._watch.look()

    def _count_hits(self) -> None:
        # Counted here and not at every call: that would cost as much again as the look-up itself.
        self._metrics.token_cache_hits.labels("memory").inc(self._hits)
        self._hits = 0


def _again(error: GatewayError) -> GatewayError:
    """The same failure as an error of its own: one that is raised twice mixes its tracebacks."""
    return type(error)(
        error.type,
        error.message,
        outcome=error.outcome,
        retry_after=error.retry_after,
        code=error.code,
        log_id=error.log_id,
        hint=error.hint,
    )
