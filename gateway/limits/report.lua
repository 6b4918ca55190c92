-- Tells the store what a process was granted that its log may lack, and lengthens the pause.
--
-- KEYS   as in acquire.lua
-- ARGV   1 the caller's epoch   2 milliseconds to keep the log   3 microseconds to pause, or 0
--        then for every grant its age in microseconds and its permits
-- Reply  0, 0, reason, epoch, now: reason 0, or 3 when the epoch is another and nothing was done

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function plain(number)
  return string.format('%.0f', number)
end

local function entries()
  local found = {}
  local log = redis.call('LRANGE', KEYS[2], 0, -1)
  for i = 1, #log - 2, 2 do
    local permits = tonumber(log[i + 1]) - tonumber(log[i + 3])
    found[#found + 1] = {stamp = tonumber(log[i]) + 0, permits = permits}
  end
  return found
end

local function write(found)
  table.sort(found, function(a, b)
    return a.stamp < b.stamp
  end)
  redis.call('DEL', KEYS[2])
  local total, elements = 0, {'0', '0'}
  for i, grant in ipairs(found) do
    total = total + grant.permits
    elements[#elements + 1] = plain(total)
    elements[#elements + 1] = plain(grant.stamp)
    if #elements > 4000 or i == #found then
      redis.call('LPUSH', KEYS[2], unpack(elements))
      elements = {}
    end
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end

local fence = tonumber((redis.pcall('GET', KEYS[1])))
if fence ~= tonumber(ARGV[1]) then
  return {0, 0, 3, fence or 0, now}
end

if #ARGV > 3 then
  local sound, found = pcall(entries)
  if not sound then
    found = {}
  end
  for i = 4, #ARGV, 2 do
    local stamp = now - tonumber(ARGV[i])
    found[#found + 1] = {stamp = stamp, permits = tonumber(ARGV[i + 1])}
  end
  write(found)
end

local pause = tonumber(ARGV[3])
local paused = tonumber((redis.pcall('GET', KEYS[3]))) or 0
if pause > 0 and now + pause > paused then
  -- The value says when the pause ends; the key may outlive it.
  redis.call('SET', KEYS[3], plain(now + pause), 'PX', math.ceil(pause / 1000) + 10000)
end
return {0, 0, 0, fence, now}
