"""GCRA that books: the script always takes the next slot and says how long to sleep until it.

Nobody asks twice and nobody is overtaken. The burst is 2 for the shortest window, 1 for the rest.
"""

from __future__ import annotations

import asyncio
import os

import aiohttp
from redis.asyncio import Redis

from .feishu import run, send
from .windows import intervals, windows

BOOK = """
local t = redis.call('TIME')
local now, due, slot = t[1] * 1000000 + t[2], {}, 0
for i, key in ipairs(KEYS) do
  local every, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  due[i] = math.max(tonumber(redis.call('GET', key) or 0), now)
  slot = math.max(slot, due[i] - (burst - 1) * every, now)
end
for i, key in ipairs(KEYS) do
  local taken = math.max(due[i], slot) + tonumber(ARGV[2 * i - 1])
  redis.call('SET', key, string.format('%.0f', taken), 'PX', 3600000)
end
return slot - now
"""


def main() -> None:
    """Send until time is up."""
    book = Redis.from_url(os.environ["REDIS_URL"]).register_script(BOOK)
    keys = [f"booked:{window.seconds}" for window in windows()]
    bursts = (2, *(1 for _ in keys[1:]))
    arguments = [n for pair in zip(intervals(), bursts, strict=True) for n in pair]

    async def call(session: aiohttp.ClientSession) -> None:
        await asyncio.sleep(int(await book(keys=keys, args=arguments)) / 1_000_000)
        # Rejected all the same: as long as Feishu asks, then another slot.
        await asyncio.sleep(await send(session))

    run(call)


if __name__ == "__main__":
    main()
