"""The end of a run: everything is healed, drained, asked for again, and looked through."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg
import redis.asyncio as aioredis

from tests.chaos.gateways import Slot
from tests.chaos.ledger import Book
from tests.chaos.world import World, pids, settled
from tests.support.canaries import Canaries, add_postgres, add_redis

_TOKEN: Final = re.compile(rb"\bt-[0-9a-f]{40}\b")
_TROUBLE: Final = re.compile(
    rb"Traceback \(most recent|never retrieved|was never awaited|\"level\": ?\"critical\""
)
_TOLD_TRACEBACK: Final = re.compile(rb"Traceback \(most recent call last\):\n(?:[ \t].*\n)+")
_OUR_ROOMS: Final = (b"/gateway/", b"/consumers/", b"/schemas/", b"/cli/")
_TROUBLES_TOLD: Final = 5
_HEALED_SECONDS: Final = 90.0
_CONTEXT: Final = 600


async def drain(world: World, seconds: float) -> None:
    """Wait until no queue holds anything, then publish again what nothing was heard of."""
    world.heal()
    await world.feishu.forget_faults()
    await world.feishu.tell("latency", {})
    await asyncio.gather(*(_healed(world, slot) for slot in world.slots))
    await _emptied(world, seconds)
    again = tuple(world.unheard.values())
    await asyncio.gather(*(world.publish(call, reply="durable") for call in again))
    await settled(lambda: not world.unheard, 65)
    await _emptied(world, seconds)
    await world.witness.look()


async def look_through(world: World) -> None:
    """Write down how everything is at rest, and what should not be anywhere."""
    figures = {
        "outcomes": world.settings.get("LARK_SERVICE_OUTCOMES", "redis"),
        "queues": await world.queues(),
        "effects": await world.feishu.read("effects", repeated="1"),
        "oauth": await world.feishu.read("oauth"),
        "fds": {slot: _fds(pid) for slot, pid in pids(world.slots).items()},
        "rss_mb": {slot: _rss(pid) for slot, pid in pids(world.slots).items()},
        "redis_keys": await _redis_keys(world),
        "dead_letters": await _dead_letters(world),
    }
    world.ledger.write(Book.REST, **figures)
    await _look_for_secrets(world)
    for log in sorted(world.ledger.folder.glob("gateway-*.log")):
        _look_for_trouble(world, log)


async def _healed(world: World, slot: Slot) -> None:
    try:
        await slot.ready(_HEALED_SECONDS)
    except TimeoutError:
        what = f"not ready {_HEALED_SECONDS:g} s after everything was healed"
        where = f"gateway {slot.number}"
        world.ledger.write(Book.SIGHTINGS, kind="trouble", where=where, what=what)


async def _emptied(world: World, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any((await world.queues()).values()):
            return
        await asyncio.sleep(0.5)


async def _redis_keys(world: World) -> int:
    async with aioredis.Redis.from_url(world.stack.redis_url) as client:
        return int(await client.dbsize())


async def _dead_letters(world: World) -> list[str]:
    connection = await asyncpg.connect(world.stack.database_url)
    try:
        rows = await connection.fetch("SELECT DISTINCT call_id FROM dead_letters")
        return [str(row["call_id"]) for row in rows]
    finally:
        await connection.close()


async def _look_for_secrets(world: World) -> None:
    canaries = Canaries()
    for alias, secret in world.app_secrets.items():
        canaries.watch(f"secret of {alias}", secret)
    environment = world.stack.environment()
    canaries.watch("master key", environment["LARK_SERVICE_SECRET_KEY"])
    canaries.watch("password", str(world.stack.redis.password))
    folder = world.ledger.folder
    for file in (*folder.glob("gateway-*.log"), folder / "replies.jsonl", folder / "letters.jsonl"):
        canaries.add(file.name, file.read_bytes())
    for slot, text in (await _metrics(world)).items():
        canaries.add(f"metrics of {slot}", text)
    for slot, pid in pids(world.slots).items():
        canaries.add(f"command line of {slot}", _command_line(pid))
    await add_redis(canaries, world.stack.redis_url)
    await add_postgres(canaries, world.stack.database_url)
    for what in (*canaries.found(), *_tokens(canaries.places.items())):
        world.ledger.write(Book.SIGHTINGS, kind="secret", where=what, what="in the clear")


def _tokens(places: Iterable[tuple[str, bytes]]) -> list[str]:
    return [f"a token in {place}" for place, content in places if _TOKEN.search(content)]


async def _metrics(world: World) -> dict[str, str]:
    texts = {}
    async with aiohttp.ClientSession() as http:
        for slot in world.slots:
            async with http.get(f"http://127.0.0.1:{slot.port}/metrics") as response:
                texts[str(slot.number)] = await response.text()
    return texts


def _look_for_trouble(world: World, log: Path) -> None:
    content = _TOLD_TRACEBACK.sub(_without_the_librarys, log.read_bytes())
    for told, match in enumerate(_TROUBLE.finditer(content)):
        if told == _TROUBLES_TOLD:
            return
        what = content[match.start() : match.start() + _CONTEXT].decode(errors="replace")
        world.ledger.write(Book.SIGHTINGS, kind="trouble", where=log.name, what=what)


def _without_the_librarys(told: re.Match[bytes]) -> bytes:
    """Nothing for how the AMQP library tells of a lost connection, none of our lines being in it"""
    frames = told[0]
    library = b"/aiormq/" in frames and not any(room in frames for room in _OUR_ROOMS)
    return b"" if library else frames


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _fds(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _rss(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * 4096 / 1e6, 1)
