"""Which member has a call is known to every process, as long as Redis is there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from gateway.member_claims import WINDOW_SECONDS, MemberClaims
from gateway.redis_client import connect


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


async def test_the_first_to_claim_a_call_has_it(redis: Redis) -> None:
    one, another = (MemberClaims(redis, prefix="first") for _ in range(2))
    assert await one.take("all", "c-1", "a") is None
    assert await another.take("all", "c-1", "b") == "a"
    assert await one.take("all", "c-1", "a") == "a"
    assert await one.take("others", "c-1", "b") is None


async def test_a_claim_passes_on_and_ends(redis: Redis) -> None:
    claims = MemberClaims(redis, prefix="passed")
    await claims.take("all", "c-1", "a")
    await claims.give("all", "c-1", "b")
    assert await claims.take("all", "c-1", "a") == "b"
    await claims.drop("all", "c-1")
    assert await claims.take("all", "c-1", "a") is None


async def test_a_claim_ends_by_itself_when_feishu_would_not_know_the_key_any_more(
    redis: Redis,
) -> None:
    claims = MemberClaims(redis, prefix="ends")
    await claims.take("all", "taken", "a")
    await claims.give("all", "given", "a")
    for call_id in ("taken", "given"):
        left = await redis.ttl(f"ends:member:all|{call_id}")
        assert WINDOW_SECONDS - 10 < left <= WINDOW_SECONDS


async def test_without_redis_calls_go_on_without_a_claim() -> None:
    away = connect("redis://127.0.0.1:1/0")
    claims = MemberClaims(away)
    assert await claims.take("all", "c-1", "a") is None
    await claims.give("all", "c-1", "b")
    await claims.drop("all", "c-1")
    await away.aclose()
