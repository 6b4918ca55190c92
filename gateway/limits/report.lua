-- Tells the store of one bucket what a process was granted that the log may lack, and what Feishu
-- said: it refused, so that the bucket is paused, or it took the canary, so that the pause is over.
--
-- KEYS   as in bucket.lua, of one bucket
-- ARGV   2.. the bucket as in bucket.lua, then microseconds to pause (0 none, -1 the canary passed),
--        microseconds since the refused request was sent (-1: nothing to be learnt), and for every
--        grant its age in microseconds and its permits
-- Reply  0, epoch, now; or 3, epoch, now when the epoch is another and nothing was done

local FULL = 0.95 -- so much of a window used up by ourselves: our margin was too short
local LONGER, LONGEST = 25000, 250000
local LESS, LEAST = 0.8, 0.3
local DAY = 86400000

function Bucket:add(grants)
  local found, log = {}, redis.call('LRANGE', self.log, 0, -1)
  for i = 1, #log - 2, 2 do
    local permits = tonumber(log[i + 1]) - tonumber(log[i + 3])
    found[#found + 1] = {stamp = tonumber(log[i]) + 0, permits = permits}
  end
  for _, grant in ipairs(grants) do
    found[#found + 1] = grant
  end
  table.sort(found, function(a, b)
    return a.stamp < b.stamp
  end)
  redis.call('DEL', self.log)
  local total, elements = 0, {'0', '0'}
  for i, grant in ipairs(found) do
    total = total + grant.permits
    elements[#elements + 1] = plain(total)
    elements[#elements + 1] = plain(grant.stamp)
    if #elements > 4000 or i == #found then
      redis.call('LPUSH', self.log, unpack(elements))
      elements = {}
    end
  end
  redis.call('PEXPIRE', self.log, self.ttl)
  self:read_log() -- what was just told counts in what is learnt
end

-- Where our own log was full, requests met on the way: they are held longer. Where it was not,
-- somebody else spends from the same limit: we take less. Both fade by themselves.
function Bucket:learn(sent)
  local fullest = 0
  for _, window in ipairs(self.windows) do
    local used = self:used(window.span, window.limit, sent)
    fullest = math.max(fullest, used / window.limit)
  end
  if fullest >= FULL then
    self.extra = math.min(LONGEST, self.extra + LONGER)
  else
    self.factor = math.max(LEAST, self.factor * LESS)
  end
  self:keep_state(DAY, 'factor', tostring(self.factor), 'extra', plain(self.extra), 'at', plain(now))
end

function Bucket:pause(microseconds, age)
  -- Requests that were under way when it was paused are refused too and teach nothing more.
  if age >= 0 and now - age > math.max(self.learnt, self.paused) then
    self:learn(now - age)
  end
  if now + microseconds > self.paused then
    self:keep_state(microseconds / 1000 + 60000, 'until', plain(now + microseconds))
    redis.call('HDEL', self.state, 'canary')
  end
end

if fence ~= tonumber(ARGV[1]) then
  return {3, fence or 0, now}
end
local read, bucket = pcall(Bucket.read, 1)
if not read then
  return begin_epoch()
end
local pause, age, grants = number(), number(), {}
while cursor < #ARGV do
  grants[#grants + 1] = {stamp = now - number(), permits = number()}
end
if #grants > 0 and #bucket.windows > 0 then
  bucket:add(grants)
end
if pause > 0 then
  bucket:pause(pause, age)
elseif pause < 0 then
  redis.call('HDEL', bucket.state, 'until', 'canary')
end
return {0, fence, now}
