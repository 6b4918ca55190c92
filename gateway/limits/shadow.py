"""Which window model fits what Feishu answers: three predictions for every call, and their score.

Only the calls of one process are seen. Where several processes or other programs spend the same
limit, no prediction can be right: measure with one process.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from schemas.apis import Window

from .buckets import Bucket
from .shadow_windows import FixedMeter, Meter, SlidingMeter

MODELS: Final[Mapping[str, Callable[[Window], Meter]]] = {
    "aligned": partial(FixedMeter, aligned=True),
    "first_hit": partial(FixedMeter, aligned=False),
    "sliding": SlidingMeter,
}
"""Windows that begin at multiples of their length by the clock, at the first call, or anywhere."""
UNDECIDED = "undecided"

_ENOUGH = 10
_ORDER_SECONDS = 2.0
_MOST_WAITING = 20_000
_MOST_BUCKETS = 128


class Answered(NamedTuple):
    """One request as seen from here; Unix times. `reset` is what a rejection told, in seconds."""

    bucket: Bucket
    sent_at: float
    answered_at: float
    rejected: bool
    reset: float = 0.0

    @property
    def counted_at(self) -> float:
        """When Feishu is taken to have counted it: half-way between request and answer."""
        return (self.sent_at + self.answered_at) / 2

    @property
    def doubt(self) -> float:
        """How far that may be from the truth, in seconds."""
        return (self.answered_at - self.sent_at) / 2


@dataclass(slots=True)
class Score:
    """How one model did. `margin`: the seconds after the model's window opens that would have had
    to pass before the next request, so that no rejection came unforeseen; `unexplained` are
    rejections that no margin shorter than the window would have avoided."""

    foreseen: int = 0
    """Rejections that were predicted (true positives)."""
    false_alarms: int = 0
    """Calls that Feishu took although a rejection was predicted (false positives)."""
    missed: int = 0
    """Rejections that were not predicted (false negatives)."""
    unsure: int = 0
    """Calls for which either answer would fit: so close to an edge were they."""
    unexplained: int = 0
    resets_right: int = 0
    """Foreseen rejections whose reset, within a second, is the one that the model gives."""
    margin: float = 0.0

    @property
    def errors(self) -> int:
        """Calls of which the model said the wrong thing."""
        return self.false_alarms + self.missed


@dataclass(slots=True)
class Tier:
    """All calls of the buckets with the same windows."""

    calls: int = 0
    rejections: int = 0
    scores: dict[str, Score] = field(default_factory=lambda: {name: Score() for name in MODELS})

    @property
    def fits(self) -> str:
        """The model with the fewest errors, where it is clearly ahead; else `undecided`."""
        best, second, *_ = sorted(
            self.scores, key=lambda name: (self.scores[name].errors, -self.scores[name].foreseen)
        )
        ahead = 2 * self.scores[best].errors + 2 <= self.scores[second].errors
        return best if ahead and self.rejections >= _ENOUGH else UNDECIDED


class Shadow:
    """Scores the models by tier. O(log n) a call; what it remembers is bounded."""

    def __init__(self) -> None:
        self.tiers: dict[str, Tier] = {}
        self._meters: OrderedDict[str, dict[str, list[Meter]]] = OrderedDict()
        self._waiting: list[tuple[float, int, Answered]] = []
        self._fed = 0

    def feed(self, answered: Answered) -> None:
        """Take an answer in. It is judged two seconds later, in the order of arrival at Feishu."""
        if not answered.bucket.windows:
            return
        self._fed += 1
        heapq.heappush(self._waiting, (answered.counted_at, self._fed, answered))
        due = answered.answered_at - _ORDER_SECONDS
        while self._waiting[0][0] <= due or len(self._waiting) > _MOST_WAITING:
            self._judge(heapq.heappop(self._waiting)[2])
            if not self._waiting:
                break

    def finish(self) -> None:
        """Judge what waits for its order."""
        while self._waiting:
            self._judge(heapq.heappop(self._waiting)[2])

    def _judge(self, answered: Answered) -> None:
        tier = self.tiers.setdefault(tier_of(answered.bucket), Tier())
        tier.calls += 1
        tier.rejections += answered.rejected
        for name, meters in self._meters_of(answered.bucket).items():
            _score(tier.scores[name], meters, answered)
            for meter in meters:
                if answered.rejected:
                    meter.refuse(answered.counted_at)
                else:
                    meter.take(answered.counted_at, answered.doubt)

    def _meters_of(self, bucket: Bucket) -> dict[str, list[Meter]]:
        meters = self._meters.get(bucket.key)
        if meters is None:
            meters = self._meters[bucket.key] = {
                name: [make(window) for window in bucket.windows] for name, make in MODELS.items()
            }
            if len(self._meters) > _MOST_BUCKETS:
                self._meters.popitem(last=False)
        self._meters.move_to_end(bucket.key)
        return meters


def tier_of(bucket: Bucket) -> str:
    """The bucket's windows as the catalogue writes them, such as `1000/60;50/1`."""
    return ";".join(str(window) for window in bucket.windows)


def _score(score: Score, meters: list[Meter], answered: Answered) -> None:
    now = answered.counted_at
    predicted = _predict(meters, now, answered.doubt)
    if predicted is None:
        score.unsure += 1
    elif not answered.rejected:
        score.false_alarms += predicted
    elif predicted:
        opens = max(meter.opens for meter in meters)
        score.foreseen += 1
        score.resets_right += abs(math.ceil(opens - now) - answered.reset) <= 1
    else:
        score.missed += 1
    if answered.rejected and not predicted:
        # Any window in which it would have waited long enough spares the rejection.
        late = [now - m.opens for m in meters if now - m.opens < m.window.seconds]
        if late:
            score.margin = max(score.margin, min(late))
        else:
            score.unexplained += 1


def _predict(meters: list[Meter], now: float, doubt: float) -> bool | None:
    """Refused where any window is full, taken where none is or may be."""
    found = [meter.is_full(now, doubt) for meter in meters]
    if True in found:
        return True
    return None if None in found else False
