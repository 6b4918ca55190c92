"""The limiter that a good engineer writes first: GCRA in Redis with a burst of a second's quota.

The script takes a permit of both windows or of none and says how long to wait before asking again.
"""

from __future__ import annotations

import asyncio
import os

import aiohttp
from redis.asyncio import Redis

from .feishu import run, send
from .windows import intervals, windows

TAKE = """
local t = redis.call('TIME')
local now, wait, next = t[1] * 1000000 + t[2], 0, {}
for i, key in ipairs(KEYS) do
  local every, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local due = math.max(tonumber(redis.call('GET', key) or 0), now)
  wait = math.max(wait, due - (burst - 1) * every - now)
  next[i] = due + every
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', next[i]), 'PX', 3600000)
end
return 0
"""


def main() -> None:
    """Send until time is up."""
    take = Redis.from_url(os.environ["REDIS_URL"]).register_script(TAKE)
    keys = [f"gcra:{window.seconds}" for window in windows()]
    burst = windows()[0].limit
    arguments = [number for every in intervals() for number in (every, burst)]

    async def call(session: aiohttp.ClientSession) -> None:
        wait = int(await take(keys=keys, args=arguments)) / 1_000_000
        await asyncio.sleep(wait or await send(session))

    run(call)


if __name__ == "__main__":
    main()
