"""The buckets of a call in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.apps import App
from gateway.catalogue import DOCUMENTED
from gateway.dimensions import TOTAL, Share
from gateway.limit_rules import API
from schemas.apis import Window

TIERS: Final = {
    "10/60": "1",
    "20/60": "2",
    "100/60": "3",
    "1000/60;50/1": "4",
    "1/1": "5",
    "5/1": "6",
    "10/1": "7",
    "20/1": "8",
    "50/1": "9 or 10",
    "100/1": "11",
    "3/1": "21",
}
"""Feishu's tiers by their windows; two of them differ for business tenants alone."""

SHORT: Final = 5
"""Seconds; of windows up to this length bulk gets the smaller share (`acquire.lua` decides)."""
BULK_SHORT: Final = 0.8
BULK_LONG: Final = 0.95


@dataclass(frozen=True, slots=True)
class WindowWords:
    """One window: `held` is the seconds for which a permit really counts against it."""

    limit: int
    seconds: int
    held: float

    @property
    def bulk(self) -> int:
        """What bulk calls may use of it while interactive calls use the bucket."""
        share = BULK_SHORT if self.seconds <= SHORT else BULK_LONG
        return max(1, math.floor(self.limit * share + 1e-9))

    def text(self) -> str:
        """The window as a sentence."""
        return (
            f"{self.limit} in {self.seconds} s, each held {self.held:g} s; "
            f"bulk {self.bulk} while interactive calls use it"
        )


@dataclass(frozen=True, slots=True)
class BucketWords:
    """One bucket of a call as an app would use it."""

    share: Share
    app: App

    @property
    def key(self) -> str:
        """The key of the bucket in Redis, and in logs."""
        return self.share.bucket.key

    @property
    def at_once(self) -> int:
        """Calls under way together; 0 is any number."""
        return self.share.bucket.at_once

    @property
    def kind(self) -> str:
        """What kind of thing is protected: api, chat, table and so on."""
        name = self.share.bucket.name
        return API if self.share.ids == (name,) else name

    @property
    def of(self) -> str:
        """What the bucket is of."""
        ids = self.share.ids
        match self.kind:
            case "api" | "tenant":
                return "calls of this API"
            case "app":
                return "all calls"
            case "drive":
                return "uploads, new folders, copies, moves and deletions in drive"
            case "chat" | "user" as kind:
                return f"messages to {kind} {ids[1]} ({ids[0]})"
            case "table" if len(ids) > 1:
                return f"writes to table {ids[1]} of base {ids[0]}"
            case "table":
                return f"writes to base {ids[0]} as a whole"
            case kind:
                return f"changes of {kind} {ids[0]}"

    @property
    def shared_by(self) -> str:
        """Whose calls take from it."""
        return {
            TOTAL: f"app {self.app.alias} alone",
            "tenant": "all apps of the tenant together",
            "cloud": "all apps together",
        }[self.share.across]

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        if self.share.source == DOCUMENTED:
            tier = TIERS.get(";".join(map(str, self.share.bucket.windows)))
            return f"{DOCUMENTED}, tier {tier}" if tier else f"{DOCUMENTED}, its page"
        return self.share.source

    def windows(self) -> Iterator[WindowWords]:
        """All its windows."""
        bucket = self.share.bucket
        window: Window
        for window, held in zip(bucket.windows, bucket.spans(), strict=True):
            yield WindowWords(window.limit, window.seconds, held)


@dataclass(frozen=True, slots=True)
class Explanation:
    """All buckets of one call; `known` says whether its API is documented or the site's."""

    app: str
    api: str
    known: bool
    buckets: tuple[BucketWords, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can carry."""
        return {
            "app": self.app,
            "api": self.api,
            "known": self.known,
            "buckets": [
                {
                    "kind": bucket.kind,
                    "of": bucket.of,
                    "shared_by": bucket.shared_by,
                    "key": bucket.key,
                    "windows": [
                        {"limit": w.limit, "seconds": w.seconds}
                        | {"held_seconds": round(w.held, 3), "bulk_limit": w.bulk}
                        for w in bucket.windows()
                    ],
                    "at_once": bucket.at_once,
                    "from": bucket.source,
                }
                for bucket in self.buckets
            ],
        }
