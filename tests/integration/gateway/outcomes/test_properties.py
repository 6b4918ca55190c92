"""Random sequences of what processes do and what befalls them, against what was promised.

The model knows nothing of stores: for each id it counts the starts that were allowed since the call
was last handed back, and keeps the ends that were said. `LARK_SEQUENCES` says how many are played.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from gateway.database import Database
from gateway.errors import NotNow
from gateway.outcomes.protocol import Claim, InDoubt, Recorded
from tests.integration.gateway.outcomes.support import (
    K,
    Member,
    N,
    end,
    member,
    question,
    records_of,
)

STEPS, PROCESSES, IDS = 120, 3, 4
SEQUENCES = int(os.environ.get("LARK_SEQUENCES", "500")) // 50


@dataclass(slots=True)
class World:
    """Processes, their claims, and what the model says of each id."""

    place: str
    redis: Redis
    database: Database
    dice: random.Random
    members: list[Member] = field(default_factory=list)
    claims: list[tuple[Member, Claim]] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)
    said: dict[str, list[Recorded]] = field(default_factory=lambda: defaultdict(list))
    known: set[str] = field(default_factory=set)
    kept: dict[bytes, bytes] = field(default_factory=dict)
    serial: int = 0

    async def populate(self) -> None:
        for _ in range(PROCESSES):
            await self.another()

    async def another(self) -> None:
        one = member(self.place, self.redis, self.database)
        await one.keeper.beat()
        self.members.append(one)

    async def claim(self, *, duplicates: bool) -> None:
        """A first delivery, a duplicate of the producer's, or a redelivery."""
        name = f"{self.serial}-{self.dice.randrange(IDS)}"
        klass = K if name.endswith("0") else N
        redelivered = name in self.known and (not duplicates or self.dice.random() < 0.5)
        self.known.add(name)
        one = self.dice.choice(self.members)
        answer = await one.records.claim(question(name, klass, redelivered=redelivered))
        if isinstance(answer, Claim):
            self.claims.append((one, answer))
        elif isinstance(answer, InDoubt):
            unknown = end(f"unknown-{len(self.said[name])}")
            self.said[name].append(await one.records.complete(answer.claim, unknown))
        elif isinstance(answer, Recorded):
            self.said[name].append(answer)

    async def go_on(self) -> None:
        """A claim is begun, completed or handed back by whoever has it, or thinks so."""
        if not self.claims:
            return
        one, claim = self.claims[self.dice.randrange(len(self.claims))]
        name = claim.question.call_id
        if not claim.started:
            try:
                await one.records.begin(claim)
            except NotNow:
                self.claims.remove((one, claim))
            else:
                self.begun[name] += 1
            return
        self.claims.remove((one, claim))
        if self.dice.random() < 0.25:
            # Only what surely is not executed is handed back, and only by who has it.
            if one.keeper.in_hand.of(claim) is not None:
                self.begun[name] -= 1
                await one.records.hand_back(claim, remember=self.dice.random() < 0.5)
            return
        said = await one.records.complete(claim, end(f"end-{len(self.said[name])}"))
        self.said[name].append(said)

    async def sleep(self) -> None:
        """A process loses its leases, and does not know it."""
        await self.dice.choice(self.members).die()

    async def wake(self) -> None:
        one = self.dice.choice(self.members)
        if self.place == "redis":
            one.store._renewed_at = 0.0  # type: ignore[attr-defined]
        await one.keeper.beat()

    async def crash(self) -> None:
        """A process is gone for good, and another comes."""
        one = self.members.pop(self.dice.randrange(len(self.members)))
        await one.die()
        self.claims = [(who, claim) for who, claim in self.claims if who is not one]
        await self.another()

    async def keep(self) -> None:
        self.kept = await records_of(self.redis)

    async def empty(self) -> None:
        await self.redis.flushdb()

    async def rewind(self) -> None:
        """Redis restarts with what it had some time ago."""
        await self.redis.flushdb()
        for key, value in self.kept.items():
            old = key.endswith(b":epoch")
            await self.redis.set(key, value[:17] + b"another server" if old else value)
        await self.redis.script_flush()


async def play(world: World, *, duplicates: bool, forgets: bool) -> None:
    await world.populate()
    calm = [world.sleep, world.wake, world.crash]
    lossy = [world.keep, world.empty, world.rewind]
    for _ in range(STEPS):
        roll = world.dice.random()
        if roll < 0.4:
            await world.claim(duplicates=duplicates)
        elif roll < 0.8:
            await world.go_on()
        else:
            await world.dice.choice(calm + lossy if forgets else calm)()
        for name, starts in world.begun.items():
            assert starts <= 1 or name.endswith("0"), f"{name} was started {starts} times"


@pytest.mark.parametrize("place", ["redis", "postgres"])
async def test_without_losses_a_call_starts_once_and_ends_the_same_for_all(
    redis: Redis, database: Database, place: str
) -> None:
    for seed in range(SEQUENCES // 2):
        world = World(place, redis, database, random.Random(seed), serial=seed)
        await play(world, duplicates=True, forgets=False)
        for name, ends in world.said.items():
            assert len(set(ends)) == 1, (seed, name, ends)


async def test_a_redis_that_forgets_lets_no_redelivered_call_start_twice(
    redis: Redis, database: Database
) -> None:
    for seed in range(SEQUENCES):
        await redis.flushdb()
        world = World("redis", redis, database, random.Random(seed), serial=1000 + seed)
        await play(world, duplicates=False, forgets=True)
