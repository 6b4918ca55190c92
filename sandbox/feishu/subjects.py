"""Limits of what calls act upon: chats, users, messages, documents, tables, an app's drive."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from schemas.apis import Window

from .answers import Answer, failure, rate_limited
from .api_limits import Limits
from .limits import Bucket, Rejection, read_windows
from .request import ApiRequest
from .series import Refusals, Refused

RECEIVERS = ("chat", "user", "message")
_DOCUMENTED = {
    **dict.fromkeys(RECEIVERS, "5/1"),
    "document": "3/1",
    "table": "",
    "drive": "5/1;10000/86400",
}
KINDS = tuple(_DOCUMENTED)
SERIAL = frozenset({"table", "drive"})
"""Kinds that take one write at a time."""


@dataclass(slots=True, eq=False)
class Subject:
    """One chat, user, … `under_way` is its writes being executed, `shown` its name to callers."""

    kind: str
    shown: str
    bucket: Bucket
    under_way: int = 0
    busy: int = 0

    def idle(self, now: float) -> bool:
        """Whether nothing of it can refuse a call any more."""
        longest = max(self.bucket.logs, default=0.0)
        return not self.under_way and self.bucket.last() + longest <= now


class Subjects:
    """All subjects of the last while; those of `RECEIVERS` are limited even where APIs are not.

    Their limits hold over all apps and APIs. `windows` and `serial` are what each kind is held to.
    """

    _KEPT = 10_000

    def __init__(
        self,
        limits: Limits,
        refusals: Refusals,
        *,
        receiver_limit: int | None = 5,
        clock: Callable[[], float],
    ) -> None:
        self.serial = set(SERIAL)
        self.windows = {kind: documented_windows(kind) for kind in KINDS}
        self._limits = limits
        self._refusals = refusals
        self._clock = clock
        self._subjects: dict[tuple[str, str], Subject] = {}
        self._room = self._KEPT
        self._held: dict[int, Subject] = {}
        self._totals: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.limit_receivers(receiver_limit)

    def refusal(self, request: ApiRequest, kind: str, key: str, shown: str = "") -> Answer | None:
        """Why a call may not act upon a subject now, None when it may and is counted."""
        now = self._clock()
        subject = self._subject(kind, key, shown or key, now)
        enforce = kind in RECEIVERS or self._limits.enabled
        rejection = None
        busy = enforce and kind in self.serial and subject.under_way > 0
        if busy:
            subject.busy += 1
            subject.bucket.reject(now)
            self._totals[kind]["busy"] += 1
        else:
            rejection = subject.bucket.admit(now, enforce=enforce)
        if not busy and rejection is None:
            self._totals[kind]["accepted"] += 1
            return None
        self._totals[kind]["rejected"] += 1
        answer = _answer(kind, rejection, self._limits.statuses.get(kind))
        self._refusals.add(
            Refused(
                *(now, request.number, request.app_id, request.api.name),
                *(kind, subject.shown, answer.code),
            )
        )
        return answer

    def hold(self, request: ApiRequest, kind: str, key: str) -> None:
        """Say that a write is being executed, until `release` is called for the same request."""
        subject = self._subjects.get((kind, key))
        if subject is not None and kind in SERIAL:
            subject.under_way += 1
            self._held[request.number] = subject

    def holds(self, request: ApiRequest) -> bool:
        """Whether the request is a write that is being executed."""
        return request.number in self._held

    def release(self, request: ApiRequest) -> None:
        """Say that the write has been executed; more than once does nothing."""
        subject = self._held.pop(request.number, None)
        if subject is not None:
            subject.under_way -= 1

    def limit_receivers(self, limit: int | None) -> None:
        """Set the calls a second that one chat, user or message takes; None is any number."""
        for kind in RECEIVERS:
            self.limit(kind, () if limit is None else (Window(limit, 1),))

    def limit(self, kind: str, windows: tuple[Window, ...] | None) -> None:
        """Set a kind's windows (none: unlimited; None: as documented) and begin anew with it."""
        self.windows[kind] = documented_windows(kind) if windows is None else windows
        for key in [key for key in self._subjects if key[0] == kind]:
            del self._subjects[key]

    def watch_windows(self, lengths: Iterable[float]) -> None:
        """Tell the most in windows of these lengths from now on."""
        for subject in self._subjects.values():
            subject.bucket.watch(lengths)

    def clear(self) -> None:
        """Forget what was counted; configuration stays."""
        self._subjects.clear()
        self._held.clear()
        self._room = self._KEPT
        for total in self._totals.values():
            total.clear()

    def clear_statistics(self) -> None:
        """Forget what is told, not what fills windows and places."""
        for total in self._totals.values():
            total.clear()
        for subject in self._subjects.values():
            subject.busy = 0
            subject.bucket.begin_anew()

    def rejected(self, kinds: Iterable[str]) -> int:
        return sum(self._totals[kind]["rejected"] for kind in kinds)

    def statistics(self, top: int = 20) -> dict[str, Any]:
        """Per kind the totals, and the subjects of most use."""
        return {kind: self._kind(kind, top) for kind in KINDS if self._totals[kind]}

    def _kind(self, kind: str, top: int) -> dict[str, Any]:
        subjects = [subject for subject in self._subjects.values() if subject.kind == kind]
        most = heapq.nlargest(top, subjects, key=lambda s: s.bucket.accepted + s.bucket.rejected)
        rows = [{"id": s.shown, "busy": s.busy} | s.bucket.statistics() for s in most]
        totals = self._totals[kind]
        return {name: totals[name] for name in ("accepted", "rejected", "busy")} | {"top": rows}

    def _subject(self, kind: str, key: str, shown: str, now: float) -> Subject:
        subject = self._subjects.get((kind, key))
        if subject is None:
            if len(self._subjects) >= self._room:
                self._forget_idle(now)
            bucket = Bucket(self.windows[kind], self._limits.model, watch=self._limits.watch)
            subject = self._subjects[kind, key] = Subject(kind, shown, bucket)
        return subject

    def _forget_idle(self, now: float) -> None:
        kept = {key: subject for key, subject in self._subjects.items() if not subject.idle(now)}
        self._subjects = kept
        # Where all are busy, the next look is far off: each one costs a pass over all of them.
        self._room = max(self._KEPT, 2 * len(kept))


def documented_windows(kind: str) -> tuple[Window, ...]:
    """What Feishu's pages say of a kind; a table has no figure, only one write at a time."""
    return read_windows(_DOCUMENTED[kind])


def _answer(kind: str, rejection: Rejection | None, status: int | None) -> Answer:
    if kind == "document" and rejection is not None:
        return rate_limited(status or 429, rejection.limit, rejection.reset)
    if kind == "drive":
        return failure(status or 400, 1061045, "can retry")
    if kind == "table" and rejection is None:
        return failure(status or 200, 1254291, "Write conflict")
    if kind == "table":
        return failure(status or 200, 1254290, "TooManyRequest")
    text = "This operation triggers the frequency limit, ext=chat rate limit."
    return failure(status or 400, 230020, text)
