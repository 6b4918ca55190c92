"""Defects put into the scripts on purpose, as slips of the pen leave them: of logs and windows."""

from __future__ import annotations

from typing import NamedTuple


class Defect(NamedTuple):
    """One place of a script as it is, and as a mistake would have it."""

    name: str
    file: str
    right: str
    wrong: str


LOG_DEFECTS = (
    Defect(
        "a permit leaves a window one microsecond late",
        "bucket.lua",
        "return self:entry(middle) <= at - span",
        "return self:entry(middle) < at - span",
    ),
    Defect(
        "a permit of the same script leaves a window one microsecond late",
        "bucket.lua",
        "(added.stamp > at - span and",
        "(added.stamp >= at - span and",
    ),
    Defect(
        "permits of the same script do not count",
        "bucket.lua",
        "used = used + (added.stamp > at - span and added.permits or 0)",
        "used = used + 0",
    ),
    Defect(
        "the learnt margin is dropped",
        "bucket.lua",
        "window.span = window.span + self.extra",
        "window.span = window.span",
    ),
    Defect(
        "the learnt factor is dropped",
        "bucket.lua",
        "math.floor(window.limit * self.factor + 1e-9)",
        "math.floor(window.limit)",
    ),
    Defect(
        "a learnt limit is rounded up",
        "bucket.lua",
        "math.floor(window.limit * self.factor + 1e-9)",
        "math.ceil(window.limit * self.factor)",
    ),
    Defect(
        "a limit can be learnt down to none",
        "bucket.lua",
        "window.limit = math.max(1, ",
        "window.limit = math.max(0, ",
    ),
    Defect(
        "what was learnt does not fade",
        "bucket.lua",
        " + RECOVERY * clean",
        " + 0 * clean",
    ),
    Defect(
        "the learnt margin does not fade",
        "bucket.lua",
        "* 0.5 ^ (since / HALF_LIFE)",
        "* 1",
    ),
    Defect(
        "one window decides how long a log remembers",
        "bucket.lua",
        "self.span = math.max(self.span, window.span)",
        "self.span = window.span",
    ),
    Defect(
        "trimming forgets entries that still count",
        "bucket.lua",
        "tonumber(tail[#tail - 3]) <= horizon do",
        "tonumber(tail[#tail - 3]) <= horizon + self.span do",
    ),
    Defect(
        "trimming takes one entry too many",
        "acquire.lua",
        "-2 * self.expired - 1)",
        "-2 * self.expired - 3)",
    ),
    Defect(
        "the horizon of the log runs from the clock, not from the newest entry",
        "bucket.lua",
        "local horizon = math.max(now, self.newest) - self.span",
        "local horizon = now + BACK - self.span",
    ),
    Defect(
        "the search stops one entry too soon",
        "bucket.lua",
        "first(0, math.min(self.size - 1, limit)",
        "first(0, math.min(self.size - 1, limit - 1)",
    ),
    Defect(
        "the wait is for the entry after the one in the way",
        "bucket.lua",
        "return after < keep",
        "return after <= keep",
    ),
    Defect(
        "the wait does not see permits of the same script",
        "bucket.lua",
        "if sum >= keep then",
        "if sum > keep then",
    ),
    Defect(
        "a clock that was set far back is believed",
        "bucket.lua",
        "if self.newest > now + BACK then",
        "if false then",
    ),
    Defect(
        "a new epoch keeps what the old one had",
        "acquire.lua",
        "if fence ~= tonumber(ARGV[1]) then",
        "if false then",
    ),
    Defect(
        "a limit may be filled to one above it",
        "acquire.lua",
        "math.max(0, limit - used), 0",
        "math.max(0, limit - used + 1), 0",
    ),
    Defect(
        "the shortcut for an empty log lets one too many through",
        "acquire.lua",
        "if self.total - self.base + want <= freely then",
        "if self.total - self.base + want <= freely + 1 then",
    ),
    Defect(
        "the total is not kept up within a script",
        "acquire.lua",
        "self.total, self.newest = self.total + permits, ",
        "self.total, self.newest = self.total, ",
    ),
    Defect(
        "the total of a log is not carried on",
        "acquire.lua",
        "local total = self.logged\n",
        "local total = 0\n",
    ),
    Defect(
        "stamps are not monotone",
        "acquire.lua",
        "at, latest = bucket.newest, place",
        "latest = place",
    ),
    Defect(
        "a stamp of a grain steps back",
        "acquire.lua",
        "stamp = math.max(self.newest, math.floor(",
        "stamp = math.max(0, math.floor(",
    ),
    Defect(
        "two entries of one time",
        "acquire.lua",
        "redis.call('LSET', self.log, 1, plain(total))",
        "redis.call('LPUSH', self.log, plain(total + 1), plain(added.stamp))",
    ),
)
