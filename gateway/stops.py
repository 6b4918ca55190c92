"""What a used-up quota stops, until when, and where the fleet keeps it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from redis.asyncio import Redis

from .codes import Action, CodeRow, Scope, meaning_of
from .jobs import Job
from .limits.buckets import key_of

_FEISHU_TIME: Final = timezone(timedelta(hours=8))
"""Days and months are China's; Feishu does not document it for tenants elsewhere."""
_UNCOUNTED: Final = frozenset(
    {
        *("auth", "authen", "event", "contact"),
        *("corehr", "ehr", "hire", "performance", "compensation", "payroll", "apaas"),
        *("aily", "document_ai", "optical_char_recognition", "speech_to_text", "translation"),
    }
)
"""Services that the monthly quota leaves out: platform-updates-/custom-app-api-call-limit."""
_MAILBOX: Final = re.compile(r"/user_mailboxes/([^/]+)")
_STORED: Final = re.compile(rb"(\d{1,10}) (\d{1,12}) (\d{1,12})")
_TIMEOUT: Final = 0.25


@dataclass(frozen=True, slots=True)
class Stop:
    """A quota that is used up, by the code that said so; Unix times of its end and of that."""

    code: int
    until: float
    since: float


def until(row: CodeRow, now: float) -> float:
    """When the quota is renewed: at the end of the month or of the day. Unix time."""
    if row.action is Action.DAILY_QUOTA:
        return (_today(now) + timedelta(days=1)).timestamp()
    return _month_end(now)


def _month_end(now: float) -> float:
    return (_today(now).replace(day=1) + timedelta(days=32)).replace(day=1).timestamp()


def _today(now: float) -> datetime:
    moment = datetime.fromtimestamp(now, _FEISHU_TIME)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def shown(moment: float) -> str:
    """A Unix time for people, in the zone in which quotas are renewed."""
    return f"{datetime.fromtimestamp(moment, _FEISHU_TIME):%Y-%m-%d %H:%M} (UTC+8)"


def stopped_by(row: CodeRow, job: Job) -> str | None:
    """What this answer stops, of the job's app and tenant; None where the call alone."""
    match row.scope:
        case Scope.TENANT:
            return _app(job)
        case Scope.API:
            return _api(job)
        case Scope.MAILBOX:
            return _mailbox(job)
    return None


def keys_of(job: Job) -> Iterator[str]:
    """Everything whose stop would hold this call."""
    if job.route.template.removeprefix("/open-apis/").partition("/")[0] not in _UNCOUNTED:
        yield _app(job)
    yield _api(job)
    mailbox = _mailbox(job)
    if mailbox is not None:
        yield mailbox


def _app(job: Job) -> str:
    return f"app {_owner(job)}"


def _api(job: Job) -> str:
    return f"api {_owner(job)} {job.route.name}"


def _owner(job: Job) -> str:
    """Whose quota it is: the app's, or that of one tenant of a store app."""
    app_id = job.app.app_id
    return app_id if job.tenant is None else key_of(app_id, job.tenant)


def _mailbox(job: Job) -> str | None:
    if not job.route.template.endswith("/send"):
        return None
    found = _MAILBOX.search(job.request.url.path)
    # "me" is another mailbox for every user.
    if found is None or found[1] == "me":
        return None
    # An address is nobody's business in Redis or in a log.
    return f"mailbox {job.app.app_id} {hashlib.sha256(found[1].encode()).hexdigest()[:16]}"


class QuotaStops:
    """The stops in Redis: a hash of all, and per stop a key of whoever probed it last.

    Raises RedisError, OSError or TimeoutError, the last after 250 ms.
    """

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._redis = redis
        self._all = f"{{{prefix}:quota}}:stops"
        self._probe = f"{{{prefix}:quota}}:probe:"

    async def read(self, now: float) -> dict[str, Stop]:
        """All stops that have not ended; those that have are dropped."""
        held: dict[bytes, bytes] = await self._bounded(self._redis.hgetall(self._all))
        read = {key.decode(errors="replace"): _read(text) for key, text in held.items()}
        found = {key: stop for key, stop in read.items() if stop and stop.until > now}
        if ended := read.keys() - found.keys():
            await self._bounded(self._redis.hdel(self._all, *ended))
        return found

    async def write(self, key: str, stop: Stop | None, probe_seconds: float) -> None:
        """Share a stop, with its first probe so many seconds away, or its end."""
        pipeline = self._redis.pipeline(transaction=False)
        if stop is None:
            pipeline.hdel(self._all, key)
            pipeline.delete(self._probe + key)
        else:
            pipeline.hset(self._all, key, f"{stop.code} {stop.until:.0f} {stop.since:.0f}")
            # No stop outlives the month.
            pipeline.expireat(self._all, int(_month_end(stop.since)))
            pipeline.set(self._probe + key, 1, px=int(probe_seconds * 1000))
        await self._bounded(pipeline.execute())

    async def claim_probe(self, key: str, seconds: float) -> float:
        """0: this process probes, nobody else for so long; else the seconds until somebody may."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(self._probe + key, 1, px=int(seconds * 1000), nx=True)
        pipeline.pttl(self._probe + key)
        claimed, left = await self._bounded(pipeline.execute())
        return 0.0 if claimed else max(1.0, left / 1000)

    async def _bounded(self, answer: Awaitable[Any]) -> Any:
        async with asyncio.timeout(_TIMEOUT):
            return await answer


def _read(text: bytes) -> Stop | None:
    parts = _STORED.fullmatch(text)
    if parts is None or meaning_of(int(parts[1])) is None:
        return None
    return Stop(int(parts[1]), float(parts[2]), float(parts[3]))
