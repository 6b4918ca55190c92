"""What a permit costs: round trips to Redis, CPU, and memory."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from redis.asyncio import Redis

from benchmarks.proof.fleet import Fleet
from benchmarks.proof.ledger import Producer
from benchmarks.throughput.readings import cpu_seconds
from gateway.limits.buckets import Bucket
from gateway.limits.grant import Ask
from gateway.limits.limiter import Limiter
from gateway.metrics import Metrics
from gateway.redis_client import connect
from schemas.apis import Window, parse_windows

from . import arena, loads
from .options import Options
from .report import Findings, Row

COUNTS = (1, 10, 1000)
BUSY = "60000000/60;1000000/1"
"""As many windows as a real limit has, so high that they never bind."""
CALLERS = 64
MEMORY = ((1000, 50), (100, 1))
"""Saturated buckets, and how many permits each grant has: many as one, or one by one."""
_ASKS = 50
_ROUND_SECONDS = 1.5
_GATEWAY_CALLS = 3000


async def cost(options: Options) -> Findings:
    """The limiter called directly and through one gateway, over 1, 10 and 1,000 busy buckets."""
    findings = Findings("cost")
    seconds = options.lasting(5)
    limits = {f"GET {_path(number)}": BUSY for number in range(max(COUNTS))}
    async with arena.arena(limits) as fleet:
        redis: Redis = Redis.from_url(fleet.stack.redis_url)
        async with redis:
            limiter = Limiter(connect(fleet.stack.redis_url), Metrics())
            await limiter.start()
            for count in COUNTS:
                findings.rows.append(await _direct(limiter, redis, fleet, count, seconds))
            for buckets, together in MEMORY:
                findings.remarks.append(await _memory(limiter, redis, buckets, together))
            await limiter.close()
            await redis.flushall()
            gateway = await fleet.start_gateway()
            async with Producer(fleet.stack.rabbitmq_url) as producer:
                for count in COUNTS:
                    figures = await _through(fleet, gateway.pid, producer, redis, count)
                    findings.rows.append(figures)
    findings.remarks.append(
        f"Directly: {CALLERS} tasks that each ask for one permit at a time. Round trips are reads "
        "from Redis's sockets, whoever asked."
    )
    return findings


def _path(number: int) -> str:
    return f"/open-apis/sim/bucket-{number}"


async def _direct(limiter: Limiter, redis: Redis, fleet: Fleet, count: int, seconds: float) -> Row:
    windows = parse_windows(BUSY)
    buckets = [Bucket(f"cost|{number}", windows) for number in range(count)]
    done = 0

    async def caller(first: int) -> None:
        nonlocal done
        number = first
        while time.monotonic() < until:
            grant = (await limiter.acquire([Ask((buckets[number % count],))]))[0]
            done += grant.granted
            number += CALLERS

    scripts, reads = await _counted(redis)
    used, of_redis = time.process_time(), _redis_cpu(fleet)
    until = time.monotonic() + seconds
    await asyncio.gather(*(caller(first) for first in range(CALLERS)))
    used, of_redis = time.process_time() - used, _redis_cpu(fleet) - of_redis
    more_scripts, more_reads = await _counted(redis)
    return _row(
        "directly", count, done, seconds, used, of_redis,
        more_scripts - scripts, more_reads - reads,
    )  # fmt: skip


async def _through(fleet: Fleet, pid: int, producer: Producer, redis: Redis, count: int) -> Row:
    bodies = [{"method": "GET", "path": _path(n % count)} for n in range(_GATEWAY_CALLS)]
    warm = await producer.publish(bodies[:100], lane="interactive", seconds=60)
    await producer.answered(warm, 30)
    scripts, reads = await _counted(redis)
    used, of_redis, began = cpu_seconds([pid]), _redis_cpu(fleet), time.monotonic()
    lines = await producer.publish(bodies, lane="interactive", seconds=60)
    await producer.answered(lines, 60)
    took = time.monotonic() - began
    used, of_redis = cpu_seconds([pid]) - used, _redis_cpu(fleet) - of_redis
    more_scripts, more_reads = await _counted(redis)
    done = len(loads.waits(lines))
    return _row(
        "gateway", count, done, took, used, of_redis,
        more_scripts - scripts, more_reads - reads,
    )  # fmt: skip


def _row(
    what: str,
    buckets: int,
    done: int,
    seconds: float,
    used: float,
    of_redis: float,
    scripts: int,
    reads: int,
) -> Row:
    done = done or 1
    return {
        "what": what,
        "buckets": buckets,
        "permits": done,
        "permits/s": round(done / seconds),
        "scripts/permit": round(scripts / done, 3),
        "round trips/permit": round(reads / done, 3),
        "CPU us/permit": round(used / done * 1e6, 1),
        "Redis CPU us/permit": round(of_redis / done * 1e6, 1),
    }


_SCRIPTS = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_fcall")


def _redis_cpu(fleet: Fleet) -> float:
    process = fleet.stack.redis.process
    return cpu_seconds([process.pid]) if process is not None else 0.0


async def _counted(redis: Redis) -> tuple[int, int]:
    """Scripts that Redis has carried out, and reads from its sockets: round trips."""
    scripts: dict[str, Any] = await redis.info("commandstats")
    ran = sum(scripts[name]["calls"] for name in _SCRIPTS if name in scripts)
    reads: dict[str, Any] = await redis.info("stats")
    return ran, int(reads["total_reads_processed"])


async def _memory(limiter: Limiter, redis: Redis, buckets: int, together: int) -> str:
    """Fill buckets as fast as they take it, so many permits at once; see what Redis holds."""
    windows = (Window(1000, 60), Window(50, 1))
    rounds, times = windows[0].limit // windows[1].limit, windows[1].limit // together
    some = [Bucket(f"memory|{together}|{number}", windows) for number in range(buckets)]
    before = int((await redis.info("memory"))["used_memory"])
    granted = 0
    for _ in range(rounds):
        began = time.monotonic()
        asks = [Ask((bucket,), together) for bucket in some for _ in range(times)]
        for first in range(0, len(asks), _ASKS):
            grants = await limiter.acquire(asks[first : first + _ASKS])
            granted += sum(grant.granted for grant in grants)
        await asyncio.sleep(max(0.0, began + _ROUND_SECONDS - time.monotonic()))
    used = int((await redis.info("memory"))["used_memory"]) - before
    return (
        f"Redis memory of {buckets:,} buckets of 1000/60;50/1, {granted:,} permits granted by "
        f"{together}: {used / 1e6:.1f} MB, {used / buckets / 1000:.1f} kB each."
    )
