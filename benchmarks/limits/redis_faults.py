"""Redis is killed, emptied, or has its clock moved, under two saturated buckets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime

from redis.asyncio import Redis

from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet, Gateway
from benchmarks.proof.ledger import Producer
from schemas.apis import parse_windows

from . import arena, loads
from .figures import Sends, full_windows, most_in
from .moved_clock import MovedClock, compiler
from .options import Options
from .report import Findings, at_most, exactly

SHORT = "50/1"
"""The limit of the second bucket, whose rate shows a recovery to the second."""
DEPTH = 400
EMPTIED_EVERY = 5.0
MOVED_SECONDS = 2.0
OVERSHOOT = 1.05
RECOVERY_SECONDS = 2.0

Fault = Callable[[Fleet, float], Awaitable[None]]


async def _none(_: Fleet, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _killed(fleet: Fleet, seconds: float) -> None:
    await asyncio.to_thread(fleet.stack.redis.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(fleet.stack.redis.start)


async def _emptied(fleet: Fleet, seconds: float) -> None:
    async with Redis.from_url(fleet.stack.redis_url) as redis:
        for _ in range(max(1, int(seconds / EMPTIED_EVERY))):
            await redis.flushall()
            await asyncio.sleep(EMPTIED_EVERY)


def _moved(clock: MovedClock) -> Fault:
    async def fault(_: Fleet, seconds: float) -> None:
        for offset in (MOVED_SECONDS, 0.0, -MOVED_SECONDS, 0.0):
            clock.move(offset)
            await asyncio.sleep(seconds / 4)

    return fault


async def redis_faults(options: Options) -> Findings:
    """Feishu counts and rejects nothing here, so that its refusals hide no overshoot."""
    findings = Findings("redis-faults")
    await _under(options, "no fault", _none, findings)
    await _under(options, "killed", _killed, findings)
    await _under(options, f"emptied every {EMPTIED_EVERY:g} s", _emptied, findings)
    if compiler() is None:
        findings.remarks.append("The clock was not moved: there is no C compiler (cc).")
        return findings
    async with MovedClock() as clock:
        fault = _moved(clock)
        given = {"REDIS_URL": clock.url}
        await _under(options, "clock by ±2 s", fault, findings, given)
    return findings


@dataclass(slots=True)
class _Times:
    """Unix times of one run."""

    began: float
    broken: float
    mended: float
    ended: float


async def _under(
    options: Options,
    what: str,
    fault: Fault,
    findings: Findings,
    given: dict[str, str] | None = None,
) -> None:
    limits = {calls.MESSAGES: options.windows, calls.USERS: SHORT}
    async with arena.arena(limits, enforced=False, given=given) as fleet:
        gateways = await fleet.start_gateways(options.gateways)
        times = await _loaded(fleet, options, fault)
        alive = sum(gateway.alive for gateway in gateways)
        found = {api: await arena.sends(fleet, api) for api in limits}
        back = _store_back(gateways, times.mended)
    windows = {api: parse_windows(text) for api, text in limits.items()}
    first = times.began + max(window.seconds for some in windows.values() for window in some)
    worst = max(
        most_in(found[api].all, window.seconds, first) / window.limit
        for api, some in windows.items()
        for window in some
    )
    rates = _rates(found[calls.USERS], times)
    findings.rows.append(
        {
            "what": what,
            **{f"{api.split()[0]} {limits[api]}": _most(found[api], windows[api], first)
               for api in limits},
            "worst / limit": round(worst, 3),
            "rate before": rates[0],
            "rate during": rates[1],
            "rate back after s": rates[2],
            "store back after s": back,
            "alive": alive,
        }
    )  # fmt: skip
    findings.gates += [
        at_most(f"{what}: most in any window after the first, over the limit", worst, OVERSHOOT),
        exactly(f"{what}: processes that live on", alive, options.gateways),
        at_most(f"{what}: s until the rate is back", rates[2], RECOVERY_SECONDS),
    ]


async def _loaded(fleet: Fleet, options: Options, fault: Fault) -> _Times:
    """Both buckets saturated for a first window, the fault, and a window after it."""
    longest = options.longest.seconds
    outage = options.lasting(60)
    async with AsyncExitStack() as stack:
        url = fleet.stack.rabbitmq_url
        producers = [await stack.enter_async_context(Producer(url)) for _ in range(2)]
        began = time.time()
        demand = [
            asyncio.create_task(
                loads.standing(producer, body, lane="interactive", depth=DEPTH, seconds=86_400)
            )
            for producer, body in zip(producers, (calls.message, calls.read_user), strict=True)
        ]
        try:
            await asyncio.sleep(longest + 5)
            broken = time.time()
            await fault(fleet, outage)
            mended = time.time()
            await asyncio.sleep(longest + 10)
        finally:
            for task in demand:
                task.cancel()
            await asyncio.gather(*demand, return_exceptions=True)
        return _Times(began, broken, mended, time.time())


def _most(sends: Sends, windows: tuple[object, ...], first: float) -> str:
    counts = (f"{most_in(sends.all, int(str(w).split('/')[1]), first)}" for w in windows)
    return "; ".join(counts)


def _rates(sends: Sends, times: _Times) -> tuple[float, float, float]:
    """Calls a second before and during the fault, and the seconds until nine tenths are back."""
    everything = sends.all
    before = [at for at in everything if times.broken - 5 <= at < times.broken]
    during = [at for at in everything if times.broken <= at < times.mended]
    after = [at for at in everything if at >= times.mended]
    usual = len(before) / 5
    spans = full_windows([times.mended, *after], 1, times.ended)
    back = next((n for n, count in enumerate(spans) if count >= 0.9 * usual), None)
    seconds = float("nan") if back is None else float(back)
    return round(usual, 1), round(len(during) / (times.mended - times.broken), 1), seconds


def _store_back(gateways: list[Gateway], mended: float) -> float | None:
    """Seconds until the last gateway said that it has its store again; none where none lost it."""
    said = [
        [
            datetime.fromisoformat(line["timestamp"]).timestamp() - mended
            for line in map(_event, gateway.log.read_text(encoding="utf-8").splitlines())
            if line.get("event") == "limiter_store_back"
        ]
        for gateway in gateways
    ]
    firsts = [min(later) for some in said if (later := [at for at in some if at >= 0])]
    return round(max(firsts), 2) if firsts else None


def _event(line: str) -> dict[str, str]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
