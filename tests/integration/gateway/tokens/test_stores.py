from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from gateway.errors import NotNow, Refused
from gateway.tokens.stores import StoreAway
from gateway.tokens.token import Credential, Holder, Token
from schemas.reply import ErrorType

from .conftest import Process, Simulated, StartProcess

Spoil = Callable[[Redis, str], Awaitable[object]]


def token_of(credential: Credential, value: str, *, age: float = 0, life: float = 7200) -> Token:
    issued_at = time.monotonic() - age
    return Token(value, credential, issued_at, issued_at + life)


@pytest.fixture
async def process(start_process: StartProcess) -> Process:
    return await start_process()


@pytest.fixture
def credential(feishu: Simulated) -> Credential:
    return feishu.credential


async def keys_of(redis: Redis) -> list[str]:
    return sorted([key.decode() async for key in redis.scan_iter()])


async def test_a_token_comes_back_with_the_life_that_is_left(
    process: Process, credential: Credential
) -> None:
    token = token_of(credential, "t-1", age=100)
    for store in (process.redis, process.postgres):
        await store.put(token)
    found = [
        (await process.redis.look(credential)).token,
        (await process.postgres.look(credential)).token,
    ]
    for back in found:
        assert back == token
        assert back.issued_at == pytest.approx(token.issued_at, abs=1)
        assert back.expires_at == pytest.approx(token.expires_at, abs=1)


async def test_a_late_writer_with_an_older_token_does_not_overwrite_the_newer(
    process: Process, credential: Credential
) -> None:
    for store in (process.redis, process.postgres):
        await store.put(token_of(credential, "t-new"))
        await store.put(token_of(credential, "t-old", age=10))
    assert (await process.redis.look(credential)).token == token_of(credential, "t-new")
    assert (await process.postgres.look(credential)).token == token_of(credential, "t-new")


async def test_only_exactly_the_rejected_token_is_deleted(
    process: Process, credential: Credential
) -> None:
    for store in (process.redis, process.postgres):
        await store.put(token_of(credential, "t-new"))
        await store.drop(token_of(credential, "t-old"))
    assert (await process.redis.look(credential)).token is not None
    assert (await process.postgres.look(credential)).token is not None
    for store in (process.redis, process.postgres):
        await store.drop(token_of(credential, "t-new"))
    assert (await process.redis.look(credential)).token is None
    assert (await process.postgres.look(credential)).token is None


async def test_redis_forgets_a_token_before_it_ends(
    process: Process, credential: Credential, redis_url: str
) -> None:
    await process.redis.put(token_of(credential, "t-1", age=100))
    async with Redis.from_url(redis_url) as redis:
        [key] = [key for key in await keys_of(redis) if credential.key.hex() in key]
        assert 7035_000 < await redis.pttl(key) <= 7040_000


async def test_neither_store_holds_token_or_secret_in_the_clear(
    process: Process, credential: Credential, redis_url: str
) -> None:
    for store in (process.redis, process.postgres):
        await store.put(token_of(credential, "t-canary-token"))
    async with Redis.from_url(redis_url) as redis:
        dumps = [await redis.dump(key) for key in await keys_of(redis)]
        hashes = [await redis.hgetall(key) for key in await keys_of(redis)]
    rows = await process.database.fetch("SELECT * FROM tokens")
    everything = repr(dumps) + repr(hashes) + repr([tuple(row) for row in rows])
    assert "sealed" in everything
    assert "canary" not in everything
    assert credential.app.secret.get_secret_value() not in everything


async def test_a_token_copied_to_another_credential_or_store_does_not_open(
    process: Process, credential: Credential, feishu: Simulated
) -> None:
    other = Credential.of(feishu.wrong_app)
    await process.postgres.put(token_of(credential, "t-1"))
    await process.postgres.put(token_of(other, "t-2"))
    await process.database.execute(
        "UPDATE tokens SET sealed = (SELECT sealed FROM tokens WHERE credential = $1)"
        " WHERE credential = $2",
        credential.key,
        other.key,
    )
    assert (await process.postgres.look(other)).token is None
    assert (await process.postgres.look(credential)).token is not None


async def test_a_flipped_byte_in_postgres_is_a_missing_token_and_is_overwritten(
    process: Process, credential: Credential
) -> None:
    await process.postgres.put(token_of(credential, "t-1", age=1))
    await process.database.execute(
        "UPDATE tokens SET sealed = set_byte(sealed, 30, get_byte(sealed, 30) # 1)"
        " WHERE credential = $1",
        credential.key,
    )
    assert (await process.postgres.look(credential)).token is None
    await process.postgres.put(token_of(credential, "t-2"))
    assert (await process.postgres.look(credential)).token == token_of(credential, "t-2")


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE tokens SET issued_at = now() + interval '9 hours'",
        "UPDATE tokens SET expires_at = now() + interval '9 years'",
    ],
)
async def test_impossible_times_in_postgres_are_a_missing_token_and_are_overwritten(
    process: Process, credential: Credential, spoil: str
) -> None:
    await process.postgres.put(token_of(credential, "t-1", age=1))
    await process.database.execute(spoil)
    assert (await process.postgres.look(credential)).token is None
    await process.postgres.put(token_of(credential, "t-2"))
    assert (await process.postgres.look(credential)).token == token_of(credential, "t-2")


GARBAGE: list[Spoil] = [
    lambda redis, key: redis.set(key, "junk"),
    lambda redis, key: redis.lpush(key, "junk"),
    lambda redis, key: redis.hset(key, mapping={"issued": "x", "expires": "y", "sealed": "z"}),
    lambda redis, key: redis.hset(key, mapping={"issued": "99999999999999999"}),
    lambda redis, key: redis.hset(f"{key}:failure", "a", "b"),
    lambda redis, key: redis.set(f"{key}:failure", '{"kind": "refused"}', px=60_000),
    lambda redis, key: redis.set(f"{key}:failure", "\x00", px=60_000),
    lambda redis, key: redis.set(f"{key}:lock", "nobody"),
    lambda redis, key: redis.set(f"{key}:lock", "nobody", px=3_600_000),
    lambda redis, key: redis.lpush(f"{key}:lock", "nobody"),
]


@pytest.mark.parametrize("spoil", GARBAGE)
async def test_garbage_in_redis_counts_as_missing_and_is_overwritten(
    process: Process, feishu: Simulated, redis_url: str, spoil: Spoil
) -> None:
    async with Redis.from_url(redis_url) as redis:
        await spoil(redis, f"lark:token:{{{feishu.credential.key.hex()}}}")
    assert (await process.redis.look(feishu.credential)).token is None
    started = time.monotonic()
    token = await process.pool.get(feishu.app, timeout=5)
    assert time.monotonic() - started < 1
    assert feishu.accepts(token.value)
    assert (await process.redis.look(feishu.credential)).token == token


async def test_a_shared_failure_says_the_same_as_the_first(
    process: Process, credential: Credential
) -> None:
    error = Refused(
        ErrorType.CREDENTIALS_INVALID, "wrong secret", code=10014, log_id="log-1", hint="look there"
    )
    await process.redis.share_failure(credential, error, 30)
    found = await process.redis.look(credential)
    assert isinstance(found.failure, Refused)
    assert 29 < found.failure_seconds <= 30
    for name in ("type", "message", "code", "log_id", "hint", "outcome", "retry_after"):
        assert getattr(found.failure, name) == getattr(error, name)


async def test_a_shared_pause_says_how_long_it_still_lasts(
    process: Process, credential: Credential
) -> None:
    error = NotNow(ErrorType.RATE_LIMITED, "later", retry_after=7)
    await process.redis.share_failure(credential, error, 5)
    found = await process.redis.look(credential)
    assert isinstance(found.failure, NotNow)
    assert found.failure.retry_after == pytest.approx(5, abs=0.5)


async def test_a_token_ends_the_shared_failure(process: Process, credential: Credential) -> None:
    await process.redis.share_failure(
        credential, Refused(ErrorType.CREDENTIALS_INVALID, "wrong"), 30
    )
    await process.redis.put(token_of(credential, "t-1"))
    assert (await process.redis.look(credential)).failure is None


async def test_a_full_redis_counts_as_away_and_reading_goes_on(
    process: Process, feishu: Simulated, credential: Credential, redis_url: str
) -> None:
    other = Credential.of(feishu.wrong_app)
    await process.redis.put(token_of(other, "t-1"))
    async with Redis.from_url(redis_url) as redis:
        await redis.config_set("maxmemory", "1")
        try:
            with pytest.raises(StoreAway):
                await process.redis.lock(credential, "me")
            assert (await process.redis.look(other)).token is not None
            assert feishu.accepts((await process.pool.get(feishu.app)).value)
        finally:
            await redis.config_set("maxmemory", "0")


async def test_cancelled_reads_never_hand_out_another_credentials_token(
    process: Process, feishu: Simulated
) -> None:
    credentials = [Credential.of(feishu.app, Holder("tenant", f"tenant-{n}")) for n in range(20)]
    for credential in credentials:
        await process.redis.put(token_of(credential, f"t-{credential.holder.name}"))

    async def read(credential: Credential, patience: float) -> bool:
        try:
            async with asyncio.timeout(patience):
                found = await process.redis.look(credential)
        except (TimeoutError, StoreAway):
            return False
        assert found.token is not None
        assert found.token.value == f"t-{credential.holder.name}"
        return True

    done = 0
    for round_ in range(40):
        reads = (read(c, 0.002 * (n + round_ % 7)) for n, c in enumerate(credentials))
        done += sum(await asyncio.gather(*reads))
    assert 0 < done < 800
