-- Takes permits of one bucket from all its windows at once, or says when to ask again.
--
-- KEYS   1 fence: the epoch, the time in microseconds at which this store began to remember
--        2 log of this epoch   3 pause of this epoch: until when, in microseconds
-- ARGV   1 the caller's epoch   2 permits wanted   3 milliseconds to keep the log
--        then for every window its limit and its span in microseconds
-- Reply  permits, wait in microseconds, reason, epoch, now
--        reason: 0 none, 1 a window is full, 2 paused, 3 the epoch is another
--
-- The log has one entry for each grant, newest first. An entry is two elements: its time, and how
-- many permits were ever granted up to and with it. What a window has used is the difference of
-- two totals, so one log serves every window and its cost does not grow with the limits. The last
-- entry is older than every window: only its total counts.

local BACK = 2000000 -- a clock that is further behind than this was set back

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function plain(number)
  return string.format('%.0f', number)
end

-- What cannot be trusted is forgotten as a whole: under a new epoch every process tells again
-- what it was granted, with ages from its own clock.
local function begin_epoch()
  redis.call('SET', KEYS[1], plain(now))
  return {0, 0, 3, now, now}
end

local function entry(index)
  local pair = redis.call('LRANGE', KEYS[2], 2 * index, 2 * index + 1)
  return tonumber(pair[1]), tonumber(pair[2])
end

-- The first index from `low` for which the test holds; it must hold for `high`.
local function first(low, high, test)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if test(entry(middle)) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local wanted = tonumber(ARGV[2])
local longest = 0
for i = 5, #ARGV, 2 do
  longest = math.max(longest, tonumber(ARGV[i]))
end

local size, newest, total, base, expired

local function read_ends()
  size, newest, total, base, expired = redis.call('LLEN', KEYS[2]) / 2, 0, 0, 0, 0
  if size == 0 then
    return
  end
  newest, total = entry(0)
  local tail = redis.call('LRANGE', KEYS[2], -6, -1)
  local at = math.max(now, newest)
  while tail[#tail - 3] and tonumber(tail[#tail - 3]) <= at - longest do
    tail[#tail], tail[#tail - 1] = nil, nil
    expired = expired + 1
  end
  base = tonumber(tail[#tail])
end

-- The first entry that a window does not count any more. Every entry is a permit or more: as many
-- entries as the limit fill the window, so nothing beyond them changes the answer.
local function boundary(limit, span, at)
  return first(0, math.min(size - 1, limit), function(stamp)
    return stamp <= at - span
  end)
end

-- When the window has room for one more: the entry leaves whose permits stand in the way.
local function opens(window, granted)
  local keep = total + granted - window.limit + 1
  if keep > total then
    return now + window.span
  end
  local past = window.boundary
  if window.used + granted > window.limit then
    past = first(0, size - 1, function(_, after)
      return after < keep
    end)
  end
  local stamp = entry(past - 1)
  return stamp + window.span
end

local function decide()
  read_ends()
  local at = math.max(now, newest)
  local granted, full = wanted, {}
  for i = 4, #ARGV, 2 do
    local window = {limit = tonumber(ARGV[i]), span = tonumber(ARGV[i + 1]), used = 0}
    -- The whole log is an upper bound, which spares an unsaturated bucket the search.
    if total - base + wanted > window.limit then
      if size > 0 then
        window.boundary = boundary(window.limit, window.span, at)
        local _, before = entry(window.boundary)
        window.used = total - before
      end
      granted = math.min(granted, math.max(0, window.limit - window.used))
      full[#full + 1] = window
    end
  end
  local open = now
  for _, window in ipairs(full) do
    if granted < wanted and window.used + granted >= window.limit then
      open = math.max(open, opens(window, granted))
    end
  end
  return granted, open - now, at
end

local fence = tonumber((redis.pcall('GET', KEYS[1])))
if not fence or fence > now + BACK then
  return begin_epoch()
end
if fence ~= tonumber(ARGV[1]) then
  return {0, 0, 3, fence, now}
end
local paused = tonumber((redis.pcall('GET', KEYS[3])))
if paused and paused > now then
  return {0, paused - now, 2, fence, now}
end

-- Reading fails only on a log that is not ours: of another type, or with strange elements.
local sound, granted, wait, at = pcall(decide)
if not sound or newest > now + BACK then
  redis.call('DEL', KEYS[2])
  return begin_epoch()
end
if granted > 0 then
  if size == 0 then
    redis.call('LPUSH', KEYS[2], '0', '0')
  elseif expired > 0 then
    redis.call('LTRIM', KEYS[2], 0, -2 * expired - 1)
  end
  redis.call('LPUSH', KEYS[2], plain(total + granted), plain(at))
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return {granted, wait, granted < wanted and 1 or 0, fence, now}
