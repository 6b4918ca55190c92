"""One try of a call against a simulated Feishu: what its answers do to limits and quotas."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from gateway.apps import App
from gateway.catalogue import ApiClass
from gateway.crypto import KeyRing
from gateway.database import Database
from gateway.errors import AttemptFailed, Expired, NotNow, Refused
from gateway.executor import MOST_REJECTIONS, Ended, Executor, TokenRefused
from gateway.feishu import Feishu, open_session
from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask, Grant
from gateway.limits.limiter import Limiter
from gateway.metrics import Metrics
from gateway.outcomes.protocol import Claim, Question
from gateway.quota import Quotas
from gateway.redis_client import connect
from gateway.retry import RetryPolicy
from gateway.tokens.issuer import Issuer
from gateway.tokens.pool import TokenPool
from gateway.tokens.postgres_tokens import PostgresTokens
from gateway.tokens.redis_tokens import RedisTokens
from gateway.tokens.sources import Sources
from gateway.tokens.token import Holder
from gateway.verdict import BucketFull, TokenRejected
from sandbox.feishu import DEFAULT_SECRET, Options, SandboxFeishu
from sandbox.feishu.faults import Rule
from sandbox.feishu.tokens import TENANT_TOKEN
from schemas.apis import ApiTable
from schemas.reply import ErrorType
from tests.support.builders import job_of
from tests.support.calls import INVITE
from tests.support.feishu import Clock
from tests.support.outcomes import Told, given

KEYS = KeyRing([bytes(range(32))])
MESSAGES = "/open-apis/im/v1/messages"
RECORDS = "/open-apis/bitable/v1/apps/app_1/tables/tbl_1/records"
USER = "/open-apis/contact/v3/users/:user_id"
UPLOAD = "/open-apis/drive/v1/files/upload_prepare"


@dataclass
class Bench:
    """An executor with everything that it works with."""

    executor: Executor
    limiter: Limiter
    metrics: Metrics
    server: SandboxFeishu
    app: App
    clock: Clock
    """What quotas go by."""
    records: Told

    def job(self, method: str, path: str, **how: object) -> Job:
        job = job_of(method, path, self.app, **how)
        job.deadline = time.time() + 10
        return job

    def send(self, chat: str) -> Job:
        body = {"receive_id": chat, "msg_type": "text", "content": '{"text":"hi"}'}
        return self.job("POST", MESSAGES, query={"receive_id_type": "chat_id"}, body=body)

    def answer(self, job: Job, **fault: object) -> None:
        """What the next call of this API is answered."""
        rule = {"template": job.route.template, **fault}
        self.server.world.script.rules.append(Rule.parse(rule))

    @property
    def requests(self) -> int:
        """Those that arrived so far."""
        return sum(self.server.world.ledger.requests.values())

    async def permit(self, job: Job) -> None:
        """Take the permit that a call holds when it is executed."""
        async with asyncio.timeout(5):
            while not (grant := await self.ask(job)).granted:  # noqa: ASYNC110  it says when
                await asyncio.sleep(grant.wait)
        await asyncio.sleep(grant.delay)
        job.permit_at = time.monotonic()

    async def ask(self, job: Job) -> Grant:
        """What the limiter says to the call now."""
        return (await self.limiter.acquire([Ask(job.buckets, 1, "interactive", job.call_id)]))[0]

    async def paused(self, *buckets: Bucket) -> list[str]:
        """Names of those that are paused in the fleet."""
        asks = [Ask((bucket,), 1, "interactive", secrets.token_hex(4)) for bucket in buckets]
        grants = await self.limiter.acquire(asks)
        pairs = zip(buckets, grants, strict=True)
        return [bucket.name for bucket, grant in pairs if grant.reason == "paused"]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"lark_service_{name}_total", labels) or 0.0


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def bench(redis: Redis, migrated_url: str) -> AsyncIterator[Bench]:
    app_id = f"cli_{secrets.token_hex(8)}"
    server = SandboxFeishu(Options(apps={app_id: DEFAULT_SECRET}), ApiTable.load())
    async with AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop)
        database = Database(migrated_url)
        stack.push_async_callback(database.close)
        session = await stack.enter_async_context(open_session())
        metrics = Metrics()
        stores = RedisTokens(redis, KEYS), PostgresTokens(database, KEYS)
        tokens = TokenPool(Sources(Issuer(session)), *stores, metrics)
        stack.push_async_callback(tokens.close)
        limiter = Limiter(redis, metrics, settle_seconds=0.0)
        await limiter.start()
        stack.push_async_callback(limiter.close)
        clock = Clock(time.time())
        quotas, policy, records = Quotas(redis, clock=clock), RetryPolicy(), Told()
        executor = Executor(
            *(tokens, Feishu(session), limiter, quotas, policy, records, metrics), api_timeout=5
        )
        app = App("default", app_id, SecretStr(DEFAULT_SECRET), server.url)
        yield Bench(executor, limiter, metrics, server, app, clock, records)


LIMITS = {
    "api": ({"status": 429, "code": 99991400, "headers": {"x-ogw-ratelimit-reset": "2"}}, None),
    "old api": ({"status": 400, "code": 99991400}, None),
    "bare": ({"status": 429, "body": "no", "content_type": "text/plain"}, None),
    "table": ({"status": 200, "code": 1254290}, None),
    "chat": ({"status": 400, "code": 230020}, "chat"),
    "messages": ({"status": 400, "code": 11232}, None),
    "conflict": ({"status": 200, "code": 1254291}, "table"),
    "drive": ({"status": 400, "code": 1061045}, "drive"),
}
CALLS: dict[str | None, Callable[[Bench], Job]] = {
    "chat": lambda bench: bench.send("oc_1"),
    "table": lambda bench: bench.job("POST", RECORDS, body={"fields": {}}),
    "drive": lambda bench: bench.job("POST", UPLOAD, body={}),
}


@pytest.mark.parametrize(("fault", "kind"), LIMITS.values(), ids=list(LIMITS))
async def test_a_limit_pauses_the_bucket_that_it_speaks_of_and_costs_no_attempt(
    bench: Bench, fault: dict[str, object], kind: str | None
) -> None:
    job = CALLS.get(kind, CALLS["chat"])(bench)
    assert len(job.buckets) == 2
    await bench.permit(job)
    bench.answer(job, **fault)
    ended = await bench.executor.execute(job)
    bench.limiter.release(job.buckets, job.call_id)
    name = kind or job.route.name
    assert isinstance(ended.error, BucketFull)
    assert ended.error.bucket.name == name
    assert (job.tries, job.attempts) == (0, 0)
    assert await bench.paused(*job.buckets) == [name]
    code = str(fault.get("code", "other"))
    assert bench.counted("limit_pauses", bucket=name) == 1
    assert bench.counted("limit_rejections", bucket=name, code=code) == 1


async def until_it_ends(bench: Bench, job: Job) -> Ended:
    """Try as often as Feishu rejects the token."""
    while isinstance((ended := await bench.executor.execute(job)).error, TokenRejected):
        pass
    return ended


async def test_a_call_outlives_tokens_that_are_revoked_one_after_the_other(bench: Bench) -> None:
    bench.server.world.tokens.renew_below = math.inf
    job = bench.job("GET", USER, path_params={"user_id": "ou_1"})
    bench.answer(job, status=400, code=99991663, count=MOST_REJECTIONS)
    ended = await until_it_ends(bench, job)
    assert ended.error is None
    assert (job.tries, job.attempts) == (1, 1)
    assert bench.server.world.ledger.requests[TENANT_TOKEN] == MOST_REJECTIONS + 1


async def test_a_grant_that_is_gone_is_known_before_a_slot_is_waited_for(bench: Bench) -> None:
    await bench.executor.foresee(bench.job("GET", USER, path_params={"user_id": "ou_1"}))
    assert bench.requests == 0
    job = bench.job("GET", USER, path_params={"user_id": "ou_1"})
    job.holder = Holder("user", "nobody")
    with pytest.raises(Refused):
        await bench.executor.foresee(job)


async def test_a_call_that_no_token_helps_ends_even_where_every_token_is_another(
    bench: Bench,
) -> None:
    bench.server.world.tokens.renew_below = math.inf
    job = bench.job("GET", USER, path_params={"user_id": "ou_1"})
    bench.answer(job, status=400, code=99991663, count=1000)
    ended = await until_it_ends(bench, job)
    assert isinstance(ended.error, TokenRefused)
    assert bench.server.world.ledger.requests[TENANT_TOKEN] == MOST_REJECTIONS + 1


async def test_one_full_chat_leaves_the_others_alone(bench: Bench) -> None:
    full, other = bench.send("oc_1"), bench.send("oc_2")
    await bench.permit(full)
    bench.answer(full, status=400, code=230020)
    assert isinstance((await bench.executor.execute(full)).error, BucketFull)
    await bench.permit(other)
    assert (await bench.executor.execute(other)).error is None


async def test_a_lock_that_no_bucket_protects_pauses_nothing(bench: Bench) -> None:
    job = bench.job("GET", "/open-apis/wiki/v2/spaces/1/nodes")
    await bench.permit(job)
    bench.answer(job, status=400, code=131009)
    ended = await bench.executor.execute(job)
    assert type(ended.error) is NotNow
    assert not await bench.paused(*job.buckets)
    assert (job.tries, job.attempts) == (0, 0)


async def test_an_answer_opens_a_bucket_that_was_paused(bench: Bench) -> None:
    first, canary, next_one = (bench.send("oc_1") for _ in range(3))
    await bench.permit(first)
    bench.answer(first, status=400, code=230020)
    await bench.executor.execute(first)
    await bench.permit(canary)
    assert not (await bench.ask(next_one)).granted
    assert (await bench.executor.execute(canary)).error is None
    asked = time.monotonic()
    await bench.permit(next_one)
    # Sooner than a canary without an answer is given up.
    assert time.monotonic() - asked < 1


async def test_what_speaks_of_a_chat_opens_the_api(bench: Bench) -> None:
    first, canary, other = bench.send("oc_1"), bench.send("oc_1"), bench.send("oc_2")
    await bench.permit(first)
    bench.answer(first, status=429, code=99991400)
    await bench.executor.execute(first)
    await bench.permit(canary)
    bench.answer(canary, status=400, code=230020)
    await bench.executor.execute(canary)
    asked = time.monotonic()
    await bench.permit(other)
    assert time.monotonic() - asked < 1


async def test_a_request_that_got_no_answer_teaches_nothing(bench: Bench) -> None:
    job = bench.send("oc_1")
    await bench.permit(job)
    bench.answer(job, cut="before")
    ended = await bench.executor.execute(job)
    assert isinstance(ended.error, AttemptFailed)
    assert not await bench.paused(*job.buckets)


async def test_a_used_up_quota_is_asked_about_once(bench: Bench) -> None:
    job = bench.send("oc_1")
    bench.answer(job, status=429, code=99991403)
    first = await bench.executor.execute(job)
    assert job.attempts == 1
    requests = bench.requests
    for chat in ("oc_1", "oc_2"):
        job = bench.send(chat)
        ended = await bench.executor.execute(job)
        for error in (first.error, ended.error):
            assert isinstance(error, Refused)
            assert error.type is ErrorType.QUOTA_EXHAUSTED
            assert "It resets at" in (error.hint or "")
        assert ended.answer is None
        assert job.attempts == 0
    assert bench.requests == requests
    uncounted = bench.job("GET", "/open-apis/contact/v3/users/ou_1")
    assert (await bench.executor.execute(uncounted)).answer is not None


@pytest.mark.parametrize(
    ("fault", "opens"),
    [
        ({}, True),
        ({"status": 400, "code": 230002}, True),
        ({"status": 400, "code": 99991672}, False),
        ({"status": 500}, False),
        ({"status": 429, "code": 99991403}, False),
        ({"status": 429, "code": 99991400}, False),
    ],
)
async def test_a_probe_opens_what_the_api_carries_out(
    bench: Bench, redis: Redis, fault: dict[str, object], opens: bool
) -> None:
    job = bench.send("oc_1")
    bench.answer(job, status=429, code=99991403)
    await bench.executor.execute(job)
    bench.clock.turn(3600)
    assert await redis.delete(f"{{lark:quota}}:probe:app {bench.app.app_id}") == 1
    probe, job = bench.send("oc_1"), bench.send("oc_1")
    if fault:
        bench.answer(probe, **fault)
    ended = await bench.executor.execute(probe)
    assert ended.answer is not None
    assert ((await bench.executor.execute(job)).answer is not None) is opens


def claimed(bench: Bench, job: Job) -> Claim:
    """Have the call carried out by right of a claim."""
    klass = ApiClass.NEITHER
    job.claim = given(Question("default", job.call_id, klass, b"content", redelivered=False))
    return job.claim


def invite(bench: Bench) -> Job:
    body = {"id_list": ["ou_1"]}
    return bench.job("POST", INVITE, path_params={"chat_id": "oc_1"}, body=body)


async def test_a_start_is_marked_once_and_right_before_the_request(bench: Bench) -> None:
    job = invite(bench)
    claim, seen = claimed(bench, job), []
    marked = bench.records.begin

    async def begin(claim: Claim) -> None:
        seen.append(bench.server.world.ledger.requests.copy())
        await marked(claim)

    bench.records.begin = begin  # type: ignore[method-assign]
    bench.answer(job, status=400, code=99991400)
    for _ in range(2):
        ended = await bench.executor.execute(job)
    assert ended.error is None
    assert bench.records.begun == [claim]
    assert [list(requests) for requests in seen] == [[TENANT_TOKEN]]


@pytest.mark.parametrize(("retry_after", "kept"), [(1.0, True), (0.0, False)])
async def test_a_call_whose_start_cannot_be_marked_is_not_sent(
    bench: Bench, retry_after: float, kept: bool
) -> None:
    job = invite(bench)
    claim = claimed(bench, job)
    away = NotNow(ErrorType.STORE_UNAVAILABLE, "no", retry_after=retry_after)
    bench.records.lost = away
    assert (await bench.executor.execute(job)).error is away
    assert list(bench.server.world.ledger.requests) == [TENANT_TOKEN]
    assert job.claim is (claim if kept else None)
    assert (job.tries, job.attempts) == (0, 0)


async def test_no_start_is_marked_of_a_call_that_is_not_recorded_or_too_late(
    bench: Bench,
) -> None:
    await bench.executor.execute(bench.job("GET", USER, path_params={"user_id": "ou_1"}))
    late = invite(bench)
    claimed(bench, late)
    late.deadline = time.time() - 1
    assert isinstance((await bench.executor.execute(late)).error, Expired)
    assert not bench.records.begun
