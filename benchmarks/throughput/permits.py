"""The loops' rate limit: the shortest script that does the job, a generic cell rate."""

from __future__ import annotations

SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wanted = tonumber(ARGV[2])
local at = math.max(now, tonumber(redis.call('GET', KEYS[1])) or 0)
if at - now > 1000000 then
  return 0
end
redis.call('SET', KEYS[1], string.format('%.0f', at + wanted * ARGV[1]), 'PX', 60000)
return wanted
"""
"""Grants what is wanted, or nothing while a second's worth is taken already."""
MICROSECONDS_EACH = 1
"""A million a second: the limit is asked for, and never binds."""


def arguments(permits: int) -> tuple[int, int]:
    """The script's arguments."""
    return (MICROSECONDS_EACH, permits)
