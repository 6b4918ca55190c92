"""What Redis does in one step. Keys: the token, or the token and its failure; or the lock."""

from __future__ import annotations

# A script, and not a transaction, since a full Redis refuses to open one of those. Keys of another
# type are answered by an error in their place.
LOOK = """
local time = redis.call('TIME')
return {
    time[1] * 1000 + math.floor(time[2] / 1000),
    redis.pcall('HMGET', KEYS[1], 'issued', 'expires', 'sealed'),
    redis.pcall('GET', KEYS[2]),
    redis.call('PTTL', KEYS[2])
}
"""
# A value that says it comes from the future is damaged, and must not keep newer ones out.
PUT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local issued = now - tonumber(ARGV[1])
local held = redis.pcall('HGET', KEYS[1], 'issued')
local held_issued = type(held) == 'string' and tonumber(held) or 0
if held_issued > issued and held_issued <= now then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'issued', string.format('%.0f', issued),
    'expires', string.format('%.0f', now + tonumber(ARGV[2])),
    'fingerprint', ARGV[4], 'sealed', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
DROP = """
if redis.pcall('HGET', KEYS[1], 'fingerprint') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
# A lock that lasts longer than ours do was not made here; nobody may ever open it.
# Whoever has it may take it again: its first answer was late.
LOCK = """
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
local left = redis.call('PTTL', KEYS[1])
if left == -1 or left > tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
UNLOCK = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
