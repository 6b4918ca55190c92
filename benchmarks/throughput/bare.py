"""The bare loop: what one writes first with the same libraries, all at their defaults.

A message, one Redis script that takes a permit, one POST, the reply, the ack. No validation, no
retries, no deadlines, no metrics, no logs, no dead letters: it promises nothing. A process of its
own; reads RABBITMQ_URL, REDIS_URL, LARK_DOMAIN and LARK_TOKEN.
"""

from __future__ import annotations

import asyncio
import json
import os

import aio_pika
import aiohttp
import redis.asyncio as aioredis
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from redis.commands.core import AsyncScript

from .permits import SCRIPT, arguments

QUEUE = "lark.calls.bare.interactive"
PREFETCH = 100
"""As many as aiohttp's connections: with more calls in hand the last ones starve."""


class BareLoop:
    """Handles one message after the other, as aio-pika hands them over."""

    def __init__(
        self, session: aiohttp.ClientSession, take: AsyncScript, channel: AbstractChannel
    ) -> None:
        self._session = session
        self._take = take
        self._channel = channel
        self._domain = os.environ["LARK_DOMAIN"]
        self._headers = {"Authorization": f"Bearer {os.environ['LARK_TOKEN']}"}

    async def handle(self, message: AbstractIncomingMessage) -> None:
        """One call, from its message to its ack."""
        call = json.loads(message.body)
        while True:
            if await self._take(keys=["bench:bare"], args=arguments(1)):
                break
            await asyncio.sleep(0.05)
        async with self._session.request(
            call["method"],
            self._domain + call["path"],
            params=call["query"],
            json=call["body"],
            headers=self._headers,
        ) as response:
            answer = await response.json()
        reply = {
            "ok": response.status == 200 and answer["code"] == 0,
            "call_id": message.message_id,
            "response": {"status": response.status, "body": answer},
        }
        await self._channel.default_exchange.publish(
            aio_pika.Message(
                # The driver looks for the first key as the gateway writes it.
                json.dumps(reply, separators=(",", ":")).encode(),
                content_type="application/json",
                correlation_id=message.correlation_id,
            ),
            routing_key=message.reply_to or "",
        )
        await message.ack()


async def main() -> None:
    """Consume until the process is ended."""
    connection = await aio_pika.connect_robust(os.environ["RABBITMQ_URL"])
    store = aioredis.Redis.from_url(os.environ["REDIS_URL"])
    async with connection, store, aiohttp.ClientSession() as session:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(QUEUE)
        loop = BareLoop(session, store.register_script(SCRIPT), channel)
        await queue.consume(loop.handle)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
