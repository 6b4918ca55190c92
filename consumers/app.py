"""The composition root: builds one gateway process from its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from gateway import redis_client
from gateway.app_store import AppStore
from gateway.app_watch import AppWatch
from gateway.apps import Apps, own_app
from gateway.catalogue import Catalogue
from gateway.circuits import Circuits
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.dimensions import Dimensions
from gateway.errors import ConfigError
from gateway.executor import Executor
from gateway.feishu import Feishu, open_session
from gateway.guard import Guard
from gateway.limits.limiter import Limiter
from gateway.limits.protocol import Limits
from gateway.limits.shadow_limiter import ObservingLimiter
from gateway.limits.told import Told
from gateway.limits.view import LimitView
from gateway.member_claims import MemberClaims
from gateway.metrics import Metrics
from gateway.outcomes.build import build_outcomes
from gateway.overflow_queues import OverflowRegistry
from gateway.producer_grant_store import ProducerGrantStore
from gateway.producer_grant_watch import ProducerGrantWatch
from gateway.producer_grants import ProducerGrants
from gateway.quota import Quotas
from gateway.redaction import Redactor
from gateway.removals import Removals
from gateway.retry import RetryPolicy
from gateway.retry_budget import RetryBudgets
from gateway.settings import Settings
from gateway.site_limits import load_limits_file
from gateway.tokens.build import build_token_pool
from gateway.tokens.grant_keeper import GrantKeeper
from gateway.tokens.grant_store import GrantStore
from gateway.tokens.grants import UserGrants
from schemas.apis import ApiTable

from .app_janitor import AppJanitor
from .app_queues import AppQueues, declared_only
from .backlog import Backlog
from .calls import CallHandler
from .circuit_gate import CircuitGate
from .claims import Claims
from .dead_letters import DeadLetterHandler
from .endings import Endings
from .intake import Intake, Source
from .limit_reports import LimitReports
from .members import Members
from .opening import Opener
from .overflow import Mover
from .overflow_channel import OverflowChannel
from .overflow_queues import MOST_TAKEN, OverflowQueues
from .patience import Patience
from .pipeline import Pipeline
from .process import Process
from .publisher import Publisher
from .scheduler import Scheduler
from .topology import Topology
from .tries import Tries

DEAD_LETTER_PREFETCH = 100
MOST_HELD = 32
"""Calls that wait in hand for one saturated bucket, or for one full reply queue, at most a quarter
of the prefetch: what is stuck must leave room for the others."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the settings alone decide, built before anything is contacted."""

    apps: Apps
    catalogue: Catalogue
    keys: KeyRing
    redactor: Redactor


def build_parts(settings: Settings) -> Parts:
    """Check what a pattern cannot check; raises ConfigError naming every mistake."""
    mistakes: list[str] = []
    keys: KeyRing | None = None
    catalogue: Catalogue | None = None
    try:
        keys = KeyRing.of(settings.secret_key, settings.app_secret)
    except ConfigError as error:
        mistakes.append(str(error))
    try:
        catalogue = Catalogue(ApiTable.load(), load_limits_file(settings.limits_file))
    except ConfigError as error:
        mistakes.append(f"LARK_SERVICE_LIMITS_FILE: {error}")
    apps = Apps([own_app(settings)])
    if keys is None or catalogue is None or mistakes:
        raise ConfigError("\n".join(mistakes))
    redactor = Redactor()
    for secret in settings.secrets():
        redactor.learn(secret)
    keys.on_secret(redactor.learn)
    return Parts(apps, catalogue, keys, redactor)


def _limits(settings: Settings, redis: Redis, metrics: Metrics) -> Limits:
    if settings.limits == "observe":
        return ObservingLimiter(metrics)
    return Limiter(redis, metrics, assumed_processes=settings.max_processes)


@asynccontextmanager
async def open_process(
    settings: Settings, parts: Parts, metrics: Metrics
) -> AsyncIterator[Process]:
    """Open what a process needs, in order; leaving closes it in reverse."""
    policy = RetryPolicy()
    async with AsyncExitStack() as stack:
        database = Database(
            settings.database_url.get_secret_value(),
            retried=lambda reason: metrics.db_retries.labels(reason).inc(),
        )
        stack.push_async_callback(database.close)
        redis = redis_client.connect(settings.redis_url.get_secret_value())
        stack.push_async_callback(redis.aclose)
        session = await stack.enter_async_context(open_session(settings.feishu_ca_file))
        limiter = _limits(settings, redis, metrics)
        await limiter.start()
        stack.push_async_callback(limiter.close)
        shared = (session, redis, database, parts.keys, metrics)
        grants = UserGrants.over(*shared, settings.oauth)
        stack.push_async_callback(grants.close)
        tokens = build_token_pool(*shared, users=grants)
        tokens.start()
        stack.push_async_callback(tokens.close)
        quotas = Quotas(redis)
        await quotas.start()
        stack.push_async_callback(quotas.close)
        outcomes = build_outcomes(settings.outcomes, redis, database, metrics)
        await outcomes.start()
        stack.push_async_callback(outcomes.close)
        executor = Executor(
            tokens,
            Feishu(session),
            limiter,
            quotas,
            policy,
            outcomes,
            metrics,
            api_timeout=settings.api_timeout,
        )
        most_held = max(1, min(MOST_HELD, settings.prefetch // 4))
        backlog = Backlog()
        circuits = Circuits(metrics, least_calls=settings.breaker_calls)
        budgets = RetryBudgets(metrics, percent=settings.retry_percent)
        guard = Guard(executor, circuits, budgets, policy)
        scheduler = Scheduler(CircuitGate(limiter, circuits), cap=most_held, backlog=backlog)
        circuits.on_news(scheduler.look_again)
        dimensions = Dimensions(parts.catalogue)
        members = Members(parts.apps, dimensions, backlog, limiter.paused)
        producers = ProducerGrants(dimensions)
        watch = ProducerGrantWatch(
            ProducerGrantStore(database), producers, required=settings.production
        )
        url = settings.rabbitmq_url.get_secret_value()
        publisher = Publisher(url, metrics)
        endings = Endings(publisher, Patience(most_held), metrics, parts.redactor)
        registry, channel = OverflowRegistry(database), OverflowChannel()
        pipeline = Pipeline(
            opener=Opener(parts.apps, dimensions, members, MemberClaims(redis), producers),
            claims=Claims(outcomes, most_waiting=most_held),
            tries=Tries(parts.apps, members, scheduler, guard, metrics),
            endings=endings,
            policy=policy,
            metrics=metrics,
            overflow=Mover(publisher, registry, channel, backlog, metrics),
        )
        app_queues, handler = AppQueues(parts.apps), CallHandler(pipeline)
        calls = Intake(
            *(url, "calls"),
            lambda: (
                app_queues.sources()
                if watch.settled.is_set()
                else declared_only(app_queues.sources())
            ),
            *(handler.handle, metrics),
            prefetch=settings.prefetch,
        )
        parts.apps.on_change(calls.look_again)
        dead = DeadLetterHandler(endings, database, metrics, producers, pipeline)
        letters = {"dead letters": Source(Topology.shared(), dead.queues)}
        queues = OverflowQueues(
            url,
            registry,
            channel,
            handler.handle,
            backlog,
            metrics,
            aliases=lambda: app_queues.aliases,
            prefetch=min(MOST_TAKEN, most_held),
        )
        metrics.db_connections.labels("in_use").set_function(lambda: float(database.in_use))
        metrics.db_connections.labels("max").set(database.max_size)
        up = metrics.dependency_up.labels
        up("rabbitmq").set_function(lambda: float(publisher.ready))
        up("redis").set_function(lambda: float(limiter.mode != "local"))
        yield Process(
            publisher=publisher,
            calls=calls,
            dead=Intake(
                *(url, "dead-letters", lambda: letters, dead.handle, metrics),
                prefetch=DEAD_LETTER_PREFETCH,
            ),
            overflow=queues,
            janitor=AppJanitor(
                *(app_queues, calls, channel, registry),
                *(Removals(database), AppStore(database, parts.keys).purge),
            ),
            grants=GrantKeeper(GrantStore(database, parts.keys), grants, parts.apps, metrics),
            producers=watch,
            apps=AppWatch(AppStore(database, parts.keys), parts.apps, dimensions, metrics),
            limits=LimitReports(
                *(limiter, Told(redis), LimitView(redis, timeout=0.5), metrics),
                *(scheduler.held, queues.levels.oldest),
            ),
            scheduler=scheduler,
            database=database,
            metrics=metrics,
            drain_timeout=settings.drain_timeout,
        )
