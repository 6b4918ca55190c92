-- What the scripts share: how a record reads, and which life of the server this is.
--
-- A record is a string: state (1), fingerprint (32), owner (16), epoch (16), Unix ms since when the
-- call is claimed (13), and the end of a recorded one. What is no such string counts as missing.
-- The epoch's key holds its name (16) and the server's own names at that time.

local HEAD = 78

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function read(key)
  local value = redis.pcall('GET', key)
  if type(value) ~= 'string' or #value < HEAD or not string.find(value, '^[CSKR]') then
    return nil
  end
  return {
    value = value,
    state = string.sub(value, 1, 1),
    fingerprint = string.sub(value, 2, 33),
    owner = string.sub(value, 34, 49),
    epoch = string.sub(value, 50, 65),
    since = string.sub(value, 66, 78),
  }
end

local function write(key, state, fingerprint, owner, epoch, since, seconds, rest)
  local head = state .. fingerprint .. owner .. epoch .. since
  redis.call('SET', key, head .. (rest or ''), 'EX', seconds)
end

local function stamp(milliseconds)
  return string.format('%013.0f', milliseconds)
end

local function epoch_of(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and #value >= 16 and string.sub(value, 1, 16) or nil
end

-- The names that a restarted server, and one that was a replica, do not have.
local function names()
  local server = redis.pcall('INFO', 'server')
  local run = type(server) == 'string' and string.match(server, 'run_id:(%x+)') or ''
  local replication = redis.pcall('INFO', 'replication')
  local id = type(replication) == 'string' and string.match(replication, 'master_replid:(%x+)')
  return run .. ' ' .. (id or '')
end

local function lives(key, owner)
  local ends = redis.pcall('ZSCORE', key, owner)
  return type(ends) == 'string' and tonumber(ends) > now
end
