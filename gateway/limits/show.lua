-- Says how one bucket stands, as the limiter would count it; changes nothing.
--
-- KEYS   as in bucket.lua, of one bucket
-- ARGV   1 any epoch: it is not compared; 2.. the bucket as in bucket.lua
-- Reply  microseconds of pause left, 1 while a canary tests it, factor in millionths, microseconds
--        until the factor is 1 again, extra margin in microseconds, microseconds until all that was
--        learnt is forgotten, calls under way, 1 where interactive calls were seen lately, then for
--        every window its limit now and the permits it holds. Nothing where the keys are not ours.

local read, bucket = pcall(Bucket.read, 1)
if not read then
  return {}
end
local clean = math.max(bucket.longest, 1)
local steps = math.ceil((1 - bucket.factor) / RECOVERY - 1e-6)
local whole = steps > 0 and steps * clean - (now - bucket.learnt) % clean or 0
local forgotten = 0
if bucket.factor < 1 or bucket.extra > 0 then
  forgotten = math.max(0, redis.call('PTTL', bucket.state)) * 1000
end
local reply = {
  math.max(0, bucket.paused - now),
  bucket.paused > 0 and bucket.canary > now - CANARY and 1 or 0,
  math.floor(bucket.factor * 1000000 + 0.5),
  math.min(whole, forgotten),
  bucket.extra,
  forgotten,
  redis.call('ZCOUNT', bucket.places, plain(now + 1), '+inf'),
  bucket.seen > now - SEEN and 1 or 0,
}
for _, window in ipairs(bucket.windows) do
  reply[#reply + 1] = window.limit
  reply[#reply + 1] = bucket:used(window.span, window.limit, math.max(now, bucket.newest))
end
return reply
