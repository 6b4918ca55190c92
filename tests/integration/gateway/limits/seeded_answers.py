"""Defects put into the scripts on purpose: of lanes, pauses, several buckets, waits and places."""

from __future__ import annotations

from tests.integration.gateway.limits.seeded import Defect

ANSWER_DEFECTS = (
    Defect(
        "the bulk share is ignored",
        "acquire.lua",
        "if bulk and self.seen > now - SEEN then",
        "if false then",
    ),
    Defect(
        "bulk leaves room for nobody",
        "acquire.lua",
        "if bulk and self.seen > now - SEEN then",
        "if bulk then",
    ),
    Defect(
        "a bulk call counts as interactive",
        "acquire.lua",
        "bucket.saw_interactive or not self.bulk",
        "true",
    ),
    Defect(
        "bulk is not paced",
        "acquire.lua",
        "local paced = bulk and window.length > SHORT",
        "local paced = false",
    ),
    Defect(
        "bulk waits for its piece although half of the window is free",
        "acquire.lua",
        "math.min(next_piece, self:falls_to(freely - 1, window.span))",
        "next_piece",
    ),
    Defect(
        "a pause is ignored",
        "acquire.lua",
        "if self.paused > now then",
        "if false then",
    ),
    Defect(
        "a pause can be shortened",
        "report.lua",
        "if now + microseconds > self.paused then",
        "if true then",
    ),
    Defect(
        "after a pause everybody goes at once",
        "acquire.lua",
        "if self.paused > 0 and self.canary > now - CANARY then",
        "if false then",
    ),
    Defect(
        "a lost canary closes a bucket for good",
        "acquire.lua",
        "self.canary > now - CANARY then",
        "self.canary > 0 then",
    ),
    Defect(
        "a canary is more than one permit",
        "acquire.lua",
        "(bucket.paused > 0 or bucket.at_once > 0) and",
        "(bucket.at_once > 0) and",
    ),
    Defect(
        "a canary that passed does not open its bucket",
        "report.lua",
        "redis.call('HDEL', bucket.state, 'until', 'canary')",
        "redis.call('HDEL', bucket.state, 'canary')",
    ),
    Defect(
        "refusals of what was under way teach again",
        "report.lua",
        "now - age > math.max(self.learnt, self.paused)",
        "now - age > 0",
    ),
    Defect(
        "what is told is not merged in order",
        "report.lua",
        "return a.stamp < b.stamp",
        "return a.permits < b.permits",
    ),
    Defect(
        "the second bucket is consumed on refusal",
        "acquire.lua",
        "  if room > 0 then\n    canaries, canary = self:take(room, at)",
        "  if room == 0 then\n    self.buckets[1]:take(1, at, self.holder)\n  end\n"
        "  if room > 0 then\n    canaries, canary = self:take(room, at)",
    ),
    Defect(
        "only the first bucket is consumed",
        "acquire.lua",
        "if bucket:take(permits, at, self.holder) then",
        "if place == 1 and bucket:take(permits, at, self.holder) then",
    ),
    Defect(
        "the last bucket decides alone",
        "acquire.lua",
        "      if one < room then\n        room, full = one, place",
        "      if one < room or place > 1 then\n        room, full = one, place",
    ),
    Defect(
        "the wait is for the first window to open, not for all",
        "acquire.lua",
        "if one == 0 and when > opens then",
        "if one == 0 and (opens == at or when < opens) then",
    ),
    Defect(
        "a slot is booked at any distance",
        "acquire.lua",
        "if room == 0 and books and opens <= now + ahead then",
        "if room == 0 and books then",
    ),
    Defect(
        "whoever just came books as well",
        "acquire.lua",
        "if room == 0 and books and opens",
        "if room == 0 and opens",
    ),
    Defect(
        "whoever just came takes what others booked",
        "acquire.lua",
        "and not books then",
        "and false then",
    ),
    Defect(
        "a booked slot is said to hold at once",
        "acquire.lua",
        "local delay = at - now <= ahead and at - now or 0",
        "local delay = 0",
    ),
    Defect(
        "a booked permit is stamped with the time of asking",
        "acquire.lua",
        "    at = opens\n",
        "    at = at\n",
    ),
    Defect(
        "the wait is 0 when nothing is granted",
        "acquire.lua",
        "wait, reason = math.max(1, opens - now), 1",
        "wait, reason = math.max(0, opens - now - 1), 1",
    ),
    Defect(
        "places are not taken",
        "acquire.lua",
        "redis.call('ZADD', self.places, plain(self.held_from + lease), holder)",
        "local _ = holder",
    ),
    Defect(
        "a place is kept from a stamp on that a grain puts into the past",
        "acquire.lua",
        "self.held_from = at",
        "self.held_from = stamp",
    ),
    Defect(
        "places taken in the same script do not count",
        "acquire.lua",
        "self.taken, self.holders = self.taken + 1, ",
        "self.taken, self.holders = self.taken, ",
    ),
    Defect(
        "places that ran out still count",
        "acquire.lua",
        "plain(now + 1), '+inf')",
        "'-inf', '+inf')",
    ),
    Defect(
        "a holder does not get its own place again",
        "acquire.lua",
        "not (mine and tonumber(mine) > now)",
        "true",
    ),
    Defect(
        "a place that ran out lets its holder in",
        "acquire.lua",
        "not (mine and tonumber(mine) > now)",
        "not mine",
    ),
    Defect(
        "a holder is not freed",
        "places.lua",
        "redis.call('ZREM', KEYS[2], ARGV[i])",
        "redis.call('ZSCORE', KEYS[2], ARGV[i])",
    ),
    Defect(
        "a place is not renewed",
        "places.lua",
        "redis.call('ZADD', KEYS[2], string.format('%.0f', now + lease), ARGV[i])",
        "redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now + lease), ARGV[i])",
    ),
)
