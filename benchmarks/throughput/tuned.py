"""The tuned loop: the same job with every lever that pays, and still no promise.

uvloop; aio-pika connects and consumes, replies and acks go through aiormq without waiting for
the socket; replies are not confirmed; permits come in batches; Feishu's bytes are put into the
reply unparsed; acks cover many deliveries. A process of its own; reads RABBITMQ_URL, REDIS_URL,
LARK_DOMAIN and LARK_TOKEN.
"""

from __future__ import annotations

import asyncio
import os
from typing import cast

import aio_pika
import aiohttp
import orjson
import redis.asyncio as aioredis
import uvloop
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq import Channel
from pamqp import commands as spec
from redis.commands.core import AsyncScript
from yarl import URL

from .permits import SCRIPT, arguments

QUEUE = "lark.calls.tuned.interactive"
PREFETCH = 200
PERMITS = 50
ACK_EVERY, ACK_SECONDS = 32, 0.005
REPLY_CHANNELS = 4


class Permits:
    """Permits taken in batches; only the first caller of an empty batch asks for more."""

    def __init__(self, take: AsyncScript) -> None:
        self._take = take
        self._left = 0
        self._asking = asyncio.Lock()

    async def one(self) -> None:
        """Take one."""
        while self._left <= 0:
            async with self._asking:
                if self._left <= 0:
                    self._left += await self._take(keys=["bench:tuned"], args=arguments(PERMITS))
        self._left -= 1


class Acks:
    """Acks everything up to the oldest delivery that is still in hand, now and then."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._done: set[int] = set()
        self._acked = self._upto = 0
        self._wanted = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def done(self, tag: int) -> None:
        """The delivery with this tag is finished."""
        self._done.add(tag)
        while self._upto + 1 in self._done:
            self._upto += 1
            self._done.discard(self._upto)
        if self._upto - self._acked >= ACK_EVERY:
            self._wanted.set()
        elif self._timer is None and self._upto > self._acked:
            self._timer = asyncio.get_running_loop().call_later(ACK_SECONDS, self._due)

    def _due(self) -> None:
        self._timer = None
        self._wanted.set()

    async def run(self) -> None:
        """Send the acks until cancelled: one after the other, since one out of order is fatal."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._upto > self._acked:
                self._acked = self._upto
                await self._channel.basic_ack(self._upto, multiple=True, wait=False)


class TunedLoop:
    """Handles one message after the other, as aio-pika hands them over."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        permits: Permits,
        acks: Acks,
        channels: list[Channel],
    ) -> None:
        self._session = session
        self._permits = permits
        self._acks = acks
        self._channels = channels
        self._domain = os.environ["LARK_DOMAIN"]
        self._headers = {
            "Authorization": f"Bearer {os.environ['LARK_TOKEN']}",
            "Content-Type": "application/json; charset=utf-8",
        }

    async def handle(self, message: AbstractIncomingMessage) -> None:
        """One call, from its message to its ack."""
        call = orjson.loads(message.body)
        await self._permits.one()
        async with self._session.request(
            call["method"],
            URL(self._domain + call["path"], encoded=True).with_query(call["query"]),
            data=orjson.dumps(call["body"]),
            headers=self._headers,
        ) as response:
            answer = await response.read()
        reply = {
            "ok": response.status == 200,
            "call_id": message.message_id,
            "response": {"status": response.status, "body": orjson.Fragment(answer)},
        }
        tag = message.delivery_tag or 0
        await self._channels[tag % len(self._channels)].basic_publish(
            orjson.dumps(reply),
            routing_key=message.reply_to or "",
            properties=spec.Basic.Properties(
                content_type="application/json",
                correlation_id=message.correlation_id,
                message_id=message.message_id,
            ),
            wait=False,
        )
        self._acks.done(tag)


async def _below(channel: AbstractChannel) -> Channel:
    return cast(Channel, await channel.get_underlay_channel())


async def main() -> None:
    """Consume until the process is ended."""
    connection = await aio_pika.connect(os.environ["RABBITMQ_URL"])
    store = aioredis.Redis.from_url(os.environ["REDIS_URL"])
    connector = aiohttp.TCPConnector(limit=0)
    cookies = aiohttp.DummyCookieJar()
    async with (
        connection,
        store,
        aiohttp.ClientSession(connector=connector, cookie_jar=cookies) as session,
    ):
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        replies = [
            await _below(await connection.channel(publisher_confirms=False))
            for _ in range(REPLY_CHANNELS)
        ]
        permits = Permits(store.register_script(SCRIPT))
        acks = Acks(await _below(channel))
        loop = TunedLoop(session, permits, acks, replies)
        queue = await channel.get_queue(QUEUE)
        await queue.consume(loop.handle)
        await acks.run()


if __name__ == "__main__":
    uvloop.run(main())
