-- Keeps or frees places of calls that are under way.
--
-- KEYS   1 fence   2 the places of one bucket
-- ARGV   1 the caller's epoch   2 microseconds to keep them, 0 to free them   3.. holders
-- Reply  0, epoch, now; or 3, epoch, now when the epoch is another and nothing was done

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local fence = tonumber((redis.pcall('GET', KEYS[1])))
if fence ~= tonumber(ARGV[1]) then
  return {3, fence or 0, now}
end
local lease = tonumber(ARGV[2])
for i = 3, #ARGV do
  if lease > 0 then
    redis.call('ZADD', KEYS[2], string.format('%.0f', now + lease), ARGV[i])
  else
    redis.call('ZREM', KEYS[2], ARGV[i])
  end
end
if lease > 0 then
  redis.call('PEXPIRE', KEYS[2], math.ceil(lease / 500))
end
return {0, fence, now}
