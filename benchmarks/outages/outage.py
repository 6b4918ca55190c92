"""One component fails for a while under a steady load of four fifths of what the limits allow."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from benchmarks.limits.report import Findings, Row, at_least, at_most, exactly
from benchmarks.proof import calls
from benchmarks.proof.fleet import Fleet, Gateway
from benchmarks.proof.ledger import Line, Producer
from sandbox.stack.server import Server

from .gate import Gate

SHARES = {calls.USERS: 0.4, calls.MESSAGES: 0.4, calls.DOCUMENTS: 0.2}
"""Of the APIs in what `calls.mixed` makes."""
LOAD = 0.8
"""Of what the limits allow."""
AROUND_SECONDS = 5.0
MINUTE = 60.0
LEAST_GOODPUT = 0.95
MOST_AMPLIFICATION = 1.1
FEW_REQUESTS = 100
"""Requests of a minute of which no share is told."""
_EVERYTHING = {"count": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Options:
    """Seconds of an outage, of the time before it and of the time after it; processes."""

    rate: float = 60.0
    """Calls a second."""
    seconds: float = 30.0
    before: float = 20.0
    after: float = 60.0
    gateways: int = 2


@dataclass(frozen=True, slots=True)
class Site:
    """What can fail."""

    fleet: Fleet
    gate: Gate
    producer: Producer


Outage = Callable[[Site, float], Awaitable[None]]


async def refusing(site: Site, seconds: float) -> None:
    """Feishu takes no connections."""
    site.gate.shut()
    await asyncio.sleep(seconds)
    await site.gate.open()


async def unavailable(site: Site, seconds: float) -> None:
    """Feishu answers everything with 503."""
    await _faulty(site, seconds, status=503)


async def hanging(site: Site, seconds: float) -> None:
    """Feishu answers nothing."""
    await _faulty(site, seconds, wire="hang")


async def _faulty(site: Site, seconds: float, **how: str | int) -> None:
    await site.fleet.sandbox("faults", _EVERYTHING | how)
    await asyncio.sleep(seconds)
    await site.fleet.sandbox("reset", {"tokens": False})


def stopped(name: str) -> Outage:
    """The server of this name is stopped."""

    async def outage(site: Site, seconds: float) -> None:
        server: Server = getattr(site.fleet.stack, name)
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.start)

    return outage


@dataclass(slots=True)
class Watch:
    """What the processes have counted: the time, their requests to Feishu, their repeats."""

    gateways: Sequence[Gateway]
    seen: list[tuple[float, float, float]] = field(default_factory=list)

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            try:
                pages = await asyncio.gather(*(gateway.metrics() for gateway in self.gateways))
            except aiohttp.ClientError:
                # They are being stopped.
                return
            self.seen.append(
                (
                    time.monotonic(),
                    sum(_total(page, "lark_service_feishu_requests") for page in pages),
                    sum(_total(page, "lark_service_retries") for page in pages),
                )
            )
            await asyncio.sleep(1)

    def amplification(self) -> float:
        """Requests for each that is no repeat, in the worst minute."""
        worst = math.nan
        for began, requests, repeats in self.seen:
            last = max((seen for seen in self.seen if seen[0] <= began + MINUTE), default=None)
            if last is None or last[1] - requests < FEW_REQUESTS:
                continue
            sent, again = last[1] - requests, last[2] - repeats
            worst = max(sent / (sent - again), 0.0 if math.isnan(worst) else worst)
        return worst


def _total(page: str, family: str) -> float:
    return sum(
        sample.value
        for metric in text_string_to_metric_families(page)
        if metric.name == family
        for sample in metric.samples
        if sample.name == f"{family}_total"
    )


@asynccontextmanager
async def _site(options: Options) -> AsyncIterator[Site]:
    limits = {api: f"{math.ceil(options.rate * share / LOAD)}/1" for api, share in SHARES.items()}
    async with Fleet(site_limits=limits, sandbox_options=("--no-limits",)) as fleet:
        url = URL(fleet.sandbox_url)
        async with Gate(url.host or "", url.port or 0) as gate:
            await fleet.start_gateways(options.gateways, LARK_DOMAIN=gate.url)
            async with Producer(fleet.stack.rabbitmq_url) as producer:
                yield Site(fleet, gate, producer)


async def measure(name: str, outage: Outage, options: Options) -> Findings:
    """Run one outage on ground of its own."""
    findings = Findings(name)
    async with _site(options) as site:
        watch = Watch(site.fleet.gateways)
        watching = asyncio.create_task(watch.run())
        enough = asyncio.Event()
        load = asyncio.create_task(_offer(site.producer, options.rate, enough))
        await asyncio.sleep(options.before)
        broken = time.monotonic()
        await outage(site, options.seconds)
        healed = time.monotonic()
        await asyncio.sleep(options.after)
        enough.set()
        lines = await load
        await site.producer.answered(lines, 75)
        watching.cancel()
        alive = sum(gateway.alive for gateway in site.fleet.gateways)
    usual = _goodput(lines, broken - options.before / 2, broken)
    at = healed + min(30.0, options.after - AROUND_SECONDS)
    share = _goodput(lines, at - AROUND_SECONDS, at + AROUND_SECONDS) / usual
    amplification = watch.amplification()
    findings.rows.append(_row(name, lines, usual, share, amplification))
    findings.gates += [
        at_least(f"{name}: goodput 30 s after, of before", share, LEAST_GOODPUT),
        exactly(f"{name}: calls without an answer", _lost(lines), 0),
        exactly(f"{name}: processes that live on", alive, options.gateways),
    ]
    if not math.isnan(amplification):
        gate = at_most(
            f"{name}: requests for each call, worst minute", amplification, MOST_AMPLIFICATION
        )
        findings.gates.append(gate)
    return findings


async def _offer(producer: Producer, rate: float, enough: asyncio.Event) -> list[Line]:
    """Offer mixed calls at a steady rate, whatever becomes of them or of the broker."""
    mixed, began = random.Random(1), time.monotonic()
    tasks: list[asyncio.Task[Line]] = []
    while not enough.is_set():
        await asyncio.sleep(max(0.0, began + len(tasks) / rate - time.monotonic()))
        tasks.append(asyncio.create_task(producer.call(calls.mixed(mixed))))
    return list(await asyncio.gather(*tasks))


def _goodput(lines: Sequence[Line], since: float, until: float) -> float:
    """Successes a second that arrived in this time."""
    good = [line for line in lines if line.outcome == "ok" and line.answered]
    return sum(since <= (line.answered or 0.0) < until for line in good) / (until - since)


def _lost(lines: Sequence[Line]) -> int:
    return sum(line.outcome in ("lost", "unconfirmed") for line in lines)


def _row(name: str, lines: Sequence[Line], usual: float, share: float, amplification: float) -> Row:
    outcomes = Counter(line.outcome for line in lines)
    failures = ", ".join(f"{word} {n}" for word, n in outcomes.most_common() if word != "ok")
    return {
        "outage": name,
        "calls": len(lines),
        "goodput before /s": round(usual, 1),
        "30 s after, share": round(share, 3),
        "requests per call, worst minute": round(amplification, 3),
        "ok": outcomes["ok"],
        "others": failures,
    }
