"""What this process knows of the apps that serve pools: their lines, pauses and failures."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator

import structlog

from gateway.apps import App, AppKind, Apps, Pool
from gateway.dimensions import Dimensions
from gateway.errors import GatewayError, Refused
from gateway.jobs import Job
from gateway.limits.buckets import Bucket
from schemas.call import Call
from schemas.names import Lane
from schemas.reply import ErrorType, Outcome

from .backlog import Backlog
from .choice import OF_API, OF_APP, Standing, choose, line_of

FAILING_SECONDS = 30.0
"""How long a member is passed over for what somebody has to put right."""

log = structlog.get_logger()


class Members:
    """Chooses members for calls, by what tries of all calls have told."""

    def __init__(
        self,
        apps: Apps,
        dimensions: Dimensions,
        backlog: Backlog,
        paused: Callable[[], Iterable[Bucket]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._apps = apps
        self._dimensions = dimensions
        self._backlog = backlog
        self._paused = paused
        self._clock = clock
        self._turns = itertools.count(1)
        self._turn_of: dict[str, int] = {}
        self._trying: Counter[str] = Counter()
        """Calls in line and under way, by the key of their API's bucket."""
        self._failing: dict[tuple[App, str], float] = {}
        """Until when an app is passed over, for one API or, without a name, for all.

        One whose secret was changed is another one.
        """

    def choose(self, pool: Pool, call: Call, lane: Lane, asked: Container[str] = ()) -> App | None:
        """The member to ask; None where all that take calls were asked."""
        path = call.filled_path()
        route = self._dimensions.catalogue.route(call.method, path)
        paused = {bucket.key for bucket in self._paused()}
        found: dict[str, App] = {}
        standings = []
        for app in self._present(pool, asked):
            buckets = self._dimensions.buckets(app, None, route, path, call.query, call.body)
            found[app.alias] = app
            standings.append(
                Standing(
                    app.alias,
                    self._line(buckets[0], lane),
                    paused=any(bucket.key in paused for bucket in buckets),
                    failing=app.unreadable is not None
                    or self._is_failing(app, route.name, buckets[0]),
                    turn=self._turn_of.get(app.alias, 0),
                )
            )
        if not standings:
            return None
        chosen = choose(standings).alias
        self._turn_of[chosen] = next(self._turns)
        return found[chosen]

    def entered(self, job: Job) -> None:
        """A call gets in line for its app."""
        self._trying[job.buckets[0].key] += 1

    def left(self, job: Job) -> None:
        """Its try has ended."""
        key = job.buckets[0].key
        self._trying[key] -= 1
        if not self._trying[key]:
            del self._trying[key]

    def heard(self, job: Job, error: GatewayError | None) -> bool:
        """Learn from how a try ended; True where the app has just turned out not to work at all."""
        app, api = job.app, job.route.name
        if error is None or error.outcome is Outcome.EXECUTED:
            self._failing.pop((app, ""), None)
            self._failing.pop((app, api), None)
            return False
        if error.outcome is Outcome.UNKNOWN or error.type not in OF_APP | OF_API:
            return False
        of_app = error.type in OF_APP
        now, key = self._clock(), (app, "" if of_app else api)
        known = self._failing.get(key, 0.0) > now
        self._failing[key] = now + FAILING_SECONDS
        if not known and job.pool is not None:
            what = {"app": app.alias, "api": None if of_app else api, "why": error.type.value}
            log.warning("member of a pool passed over", pool=job.pool, **what)
        return of_app and not known

    def _present(self, pool: Pool, asked: Container[str]) -> Iterator[App]:
        for alias in pool.members:
            if alias in asked:
                continue
            try:
                app = self._apps.find(alias)
            except Refused:
                continue
            # A store app is called for a tenant, which is of that app alone.
            if app.kind is AppKind.SELF_BUILT:
                yield app

    def _line(self, bucket: Bucket, lane: Lane) -> float:
        return line_of(bucket, self._trying[bucket.key] + self._backlog.depth(bucket.key, lane))

    def _is_failing(self, app: App, api: str, bucket: Bucket) -> bool:
        for key in ((app, ""), (app, api)):
            until = self._failing.get(key)
            # Afterwards one call at a time finds out whether it is well again.
            if until is not None and (until > self._clock() or self._trying[bucket.key]):
                return True
        return False


def none_left(pool: Pool) -> GatewayError:
    """The answer where no member takes calls."""
    return Refused(
        ErrorType.APP_UNAVAILABLE,
        f"no app of the pool {pool.alias!r} takes calls: each is disabled, removed or of the store",
        hint=f"lark-service pool show {pool.alias}",
    )
