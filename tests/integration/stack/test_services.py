"""The places that the service fixtures hand out."""

import aio_pika
import asyncpg
import redis.asyncio as aioredis


async def test_a_module_gets_a_vhost_of_its_own(rabbitmq_url: str) -> None:
    connection = await aio_pika.connect(rabbitmq_url)
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue("lark.any", durable=True)
        assert queue.declaration_result.message_count == 0
    assert "/test-" in rabbitmq_url


async def test_a_module_gets_an_empty_redis_database(redis_url: str) -> None:
    async with aioredis.Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("key", "value")


async def test_a_module_gets_an_empty_postgres_database(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    tables = await connection.fetch("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables == []
