"""Where this process stands with the store: whom it shares with, and whether to believe it."""

from __future__ import annotations

from collections import deque

from .local import Place

_AWAY = 1.0
_DOUBT = 2.0
_STEP = 0.1
_READINGS = 20


class Standing:
    """Pure bookkeeping; times are monotonic seconds unless named otherwise.

    An epoch is the time since which the store remembers. A new one begins when the store was
    found empty, and is begun on purpose when its logs may not be whole: when another server
    answers or a restarted one, after an outage in which processes granted by themselves, and when
    its clock was moved. Then nothing is granted for `settle` seconds, in which every process tells
    the store what it was granted: the logs are whole again, and no window gets its limit twice.

    What a process that is dead by then was granted stays unknown, and so does all that a fleet
    was granted that ended together with its store. There the limit is kept by Feishu's own refusal
    and the pause after it: a first start on an empty store looks the same, and must not crawl
    through its first minute.
    """

    def __init__(self, *, assumed: int, rank: int, settle: float) -> None:
        self.epoch: int | None = None
        self.place = Place(assumed, rank % assumed)
        self.probe_at = 0.0
        """When an acquire may look for the store itself, should no beat have found it."""
        self._settle = settle
        self._settled_at = 0.0
        self._unsettled_since: float | None = None
        self._away_since: float | None = None
        self._doubtful = False
        self._offset: tuple[float, float] | None = None
        self._run = b""
        self._lives: deque[int] = deque(maxlen=_READINGS)

    @property
    def is_away(self) -> bool:
        """Whether the store failed and has not answered since."""
        return self._away_since is not None

    @property
    def is_doubtful(self) -> bool:
        """Whether the store may have lost something, or had its clock moved."""
        return self._doubtful

    def leave(self, now: float) -> None:
        """The store failed."""
        if self._away_since is None:
            self._away_since = now
        self.probe_at = now + _AWAY

    def back(self) -> None:
        """The store answers and has been told everything."""
        self._away_since = None

    def epoch_to_end(self, now: float) -> int | None:
        """The epoch not to be believed any more, if it is not."""
        long = self._away_since is not None and now - self._away_since >= _AWAY
        return self.epoch if self._doubtful or long else None

    def adopt(self, epoch: int, store_now: int, now: float) -> bool:
        """Take over the store's epoch; true when it is another. Store times in microseconds."""
        if epoch == self.epoch:
            return False
        if self._unsettled_since is None or now > self._settled_at:
            self._unsettled_since = now
        self.epoch = epoch
        self._doubtful = False
        self._settled_at = now + self._settle - (store_now - epoch) / 1e6
        return True

    def settles_in(self, now: float) -> float:
        """Seconds until the logs of this epoch are whole."""
        return max(0.0, self._settled_at - now)

    def is_lost(self, now: float) -> bool:
        """Whether epochs follow one another so fast that the store is as good as away."""
        since = self._unsettled_since
        return since is not None and self._settled_at > now and now - since > _DOUBT

    def hear(self, sent: float, received: float, store_now: int) -> None:
        """Compare the store's clock with ours; a step larger than a margin casts doubt.

        The answer was made between sending and receiving, so only what no delay explains counts.
        """
        low, high = store_now / 1e6 - received, store_now / 1e6 - sent
        before, self._offset = self._offset, (low, high)
        if before is not None and (low > before[1] + _STEP or high < before[0] - _STEP):
            self._doubtful = True

    def recognise(self, run: bytes) -> None:
        """Another server than before casts doubt: a restart or a failover loses the last moment."""
        self._doubtful |= self._run not in (b"", run)
        self._run = run

    def shared_clock(self, now: float) -> float:
        """The store's clock as last seen, which is the same in all processes."""
        low, high = self._offset or (0.0, 0.0)
        return now + (low + high) / 2

    def count(self, live: int, rank: int) -> None:
        """Who is alive. A falling number is believed late: an emptied store counts from one."""
        self._lives.append(max(live, 1))
        self.place = Place(max(self._lives), rank)
