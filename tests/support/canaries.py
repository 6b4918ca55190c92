"""Secrets that are watched, and every place where one of them might turn up in the clear."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from urllib.parse import quote

import asyncpg
import redis.asyncio as aioredis

from sandbox.feishu import SandboxFeishu
from tests.support.amqp import Message

SHORTEST = 8


class Canaries:
    """The secrets by name, and what was looked through for them."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.places: dict[str, bytes] = {}

    def watch(self, name: str, secret: str) -> str:
        """Look for this secret from now on; returns it."""
        assert len(secret) >= SHORTEST, name
        self.secrets[name] = secret
        return secret

    def watch_issued(self, simulated: SandboxFeishu) -> None:
        """Look for everything that the simulated Feishu gave out."""
        world = simulated.world
        for kind, values in {
            "ticket": world.tickets.shown().values(),
            "token": world.tokens._valid,
            "code": world.oauth._codes,
            "refresh token": world.oauth._refresh_tokens,
        }.items():
            for number, value in enumerate(values):
                self.watch(f"{kind} {number}", value)

    def add(self, place: str, content: bytes | str) -> None:
        """Have this looked through."""
        written = content.encode() if isinstance(content, str) else content
        self.places[place] = self.places.get(place, b"") + written

    def add_messages(self, place: str, messages: list[Message]) -> None:
        """Have bodies and all properties looked through."""
        for number, message in enumerate(messages):
            self.add(f"{place} {number}", message.body + repr(dict(message.properties)).encode())

    def found(self) -> list[str]:
        """Which secret is in which place, in whatever writing."""
        forms = [(name, form) for name, value in self.secrets.items() for form in _forms(value)]
        return sorted(
            {
                f"{name} in {place}"
                for place, content in self.places.items()
                for name, form in forms
                if form in content
            }
        )


def _forms(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield from {raw, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    for shift in range(3):
        # Within a longer text it begins at any of three places of base64.
        whole = base64.b64encode(b" " * shift + raw)
        yield whole[4 : len(whole) // 4 * 4 - 4]


async def add_redis(canaries: Canaries, url: str) -> None:
    """Every key and value, as Redis would write it to its dump file."""
    async with aioredis.Redis.from_url(url) as redis:
        await redis.config_set("rdbcompression", "no")
        async for key in redis.scan_iter():
            canaries.add(f"redis {key!r}", key + (await redis.dump(key) or b""))
        await redis.config_set("rdbcompression", "yes")


async def add_postgres(canaries: Canaries, url: str) -> None:
    """Every table, as a dump would hold it: as text and binary."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname='public'")
        for row in tables:
            for form in ("text", "binary"):
                copied = BytesIO()
                await connection.copy_from_table(row["tablename"], output=copied, format=form)
                canaries.add(f"postgres {row['tablename']} as {form}", copied.getvalue())
    finally:
        await connection.close()
