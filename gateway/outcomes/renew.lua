-- Says that an owner is alive, and begins a new epoch where the server may have forgotten something:
-- it was emptied, it was restarted, or it is a replica that was promoted.
--
-- KEYS   1 owners by the Unix ms when their lease ends   2 epoch
-- ARGV   1 owner   2 ms of its lease, 0 when it leaves   3 the name of an epoch that would begin
-- Reply  epoch

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' and kind ~= 'none' then
  redis.call('DEL', KEYS[1])
end
local lease = tonumber(ARGV[2])
if lease > 0 then
  redis.call('ZADD', KEYS[1], stamp(now + lease), ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', stamp(now - 60000))

local epoch, here = epoch_of(KEYS[2]), names()
if not epoch or string.sub(redis.call('GET', KEYS[2]), 18) ~= here then
  epoch = ARGV[3]
  redis.call('SET', KEYS[2], epoch .. ' ' .. here)
end
return epoch
