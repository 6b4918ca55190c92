-- A bucket as its keys hold it: log, state and places. Stands before acquire.lua and report.lua.
--
-- KEYS   1 fence: the epoch, the time in microseconds at which this store began to remember
--        then for every bucket its log, its state and its places, all of this epoch
-- ARGV   1 the caller's epoch, then what the script behind says
--
-- A log has one entry for each grant, newest first. An entry is two elements: its time, and how many
-- permits were ever granted up to and with it. What a window has used is the difference of two
-- totals, so one log serves every window and its cost does not grow with the limits. The last entry
-- is older than every window: only its total counts.
--
-- A state is a hash: `until` when a pause ends, `canary` when the one request that tests it was let
-- go, `factor` and `extra` what refusals taught (a part of the limit, a longer margin) and `at` when,
-- `seen` when an interactive call last asked. What was learnt fades with time.
--
-- Places are a sorted set: the calls under way by when they are forgotten.

local BACK = 2000000 -- a clock that is further behind than this was set back
local CANARY = 5000000 -- a canary that is not heard of by then is lost
local SEEN = 60000000 -- so long after an interactive call the rest is kept for the next one
local RECOVERY, HALF_LIFE = 0.02, 600000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local cursor = 1

local function argument()
  cursor = cursor + 1
  return ARGV[cursor]
end

local function number()
  return tonumber(argument())
end

local function plain(value)
  return string.format('%.0f', value)
end

-- The first index from `low` for which the test holds; it must hold for `high`.
local function first(low, high, test)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if test(middle) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local Bucket = {}
Bucket.__index = Bucket

-- ARGV of a bucket: calls at once (0 any number), milliseconds to keep its log, grain of the log in
-- microseconds (0 none), number of windows, and for each window its limit, its span with the margin
-- and its length in microseconds.
function Bucket.read(index)
  local self = setmetatable({}, Bucket)
  self.log, self.state, self.places = KEYS[3 * index - 1], KEYS[3 * index], KEYS[3 * index + 1]
  self.at_once, self.ttl, self.grain = number(), number(), number()
  self.windows, self.longest, self.span, self.added = {}, 0, 0, {}
  for i = 1, number() do
    self.windows[i] = {limit = number(), span = number(), length = number()}
    self.longest = math.max(self.longest, self.windows[i].length)
  end
  self:read_state()
  self:read_log()
  if self.newest > now + BACK then
    error('the clock was set back')
  end
  return self
end

local function known(value, unset)
  return tonumber(value or unset) or error('not a number of ours')
end

function Bucket:read_state()
  local read = redis.call('HMGET', self.state, 'until', 'canary', 'factor', 'extra', 'at', 'seen')
  self.paused, self.canary = known(read[1], 0), known(read[2], 0)
  self.learnt, self.seen = known(read[5], 0), known(read[6], 0)
  local since = math.max(0, now - self.learnt)
  local clean = self.longest > 0 and math.floor(since / self.longest) or 0
  self.factor = math.min(1, known(read[3], 1) + RECOVERY * clean)
  self.extra = math.floor(known(read[4], 0) * 0.5 ^ (since / HALF_LIFE))
  for _, window in ipairs(self.windows) do
    window.limit = math.max(1, math.floor(window.limit * self.factor + 1e-9))
    window.span = window.span + self.extra
    self.span = math.max(self.span, window.span)
  end
end

function Bucket:entry(index)
  local pair = redis.call('LRANGE', self.log, 2 * index, 2 * index + 1)
  return tonumber(pair[1]), tonumber(pair[2])
end

function Bucket:read_log()
  self.size = redis.call('LLEN', self.log) / 2
  self.newest, self.logged, self.base, self.expired = 0, 0, 0, 0
  if self.size > 0 then
    self.newest, self.logged = self:entry(0)
    local horizon = math.max(now, self.newest) - self.span
    local tail = redis.call('LRANGE', self.log, -6, -1)
    while tail[#tail - 3] and tonumber(tail[#tail - 3]) <= horizon do
      tail[#tail], tail[#tail - 1] = nil, nil
      self.expired = self.expired + 1
    end
    self.base = tonumber(tail[#tail])
  end
  self.total, self.written = self.logged, self.newest
end

-- Permits of the last `span` before `at`; above `limit` it need not be exact.
function Bucket:used(span, limit, at)
  local used = 0
  for _, added in ipairs(self.added) do
    used = used + (added.stamp > at - span and added.permits or 0)
  end
  if self.size > 0 then
    -- Every entry is a permit or more: as many entries as the limit fill the window.
    local index = first(0, math.min(self.size - 1, limit), function(middle)
      return self:entry(middle) <= at - span
    end)
    local _, before = self:entry(index)
    used = used + self.logged - before
  end
  return used
end

-- When no more than `most` permits are left in a window of `span`; 0 when it never held more.
function Bucket:falls_to(most, span)
  local keep = self.total - most
  if keep <= self.base then
    return 0
  end
  local stamp
  if keep <= self.logged then
    stamp = self:entry(first(0, self.size - 1, function(middle)
      local _, after = self:entry(middle)
      return after < keep
    end) - 1)
  else
    local sum = self.logged
    for _, added in ipairs(self.added) do
      sum = sum + added.permits
      if sum >= keep then
        stamp = added.stamp
        break
      end
    end
  end
  return stamp and stamp + span or math.huge
end

function Bucket:keep_state(milliseconds, ...)
  redis.call('HSET', self.state, ...)
  if redis.call('PTTL', self.state) < milliseconds then
    redis.call('PEXPIRE', self.state, math.ceil(milliseconds))
  end
end

-- What cannot be trusted is forgotten as a whole: under a new epoch every process tells again
-- what it was granted, with ages from its own clock.
local function begin_epoch()
  for i = 2, #KEYS do
    redis.call('DEL', KEYS[i])
  end
  redis.call('SET', KEYS[1], plain(now))
  return {3, now, now}
end

local fence = tonumber((redis.pcall('GET', KEYS[1])))
