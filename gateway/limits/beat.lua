-- Says that a process is alive and learns the epoch and who else is.
--
-- KEYS   1 fence   2 processes by the time they were last heard   3 the margins they ask for
-- ARGV   1 this process   2 microseconds after which a silent one counts as gone
--        3 an epoch to end, or '': the store may have lost something, or its clock was moved
--        4 '1' when this process leaves   5, 6 the margins in microseconds that this process asks
--        for, of short windows and of long ones; 0 when it has seen too little
-- Reply  epoch, now, processes alive, how many of them come before this one by name, the server's
--        run id, which another server or a restarted one does not have, and the longest margins that
--        any process alive asks for, 0 when none does. All take the same: whoever took a shorter
--        one would find every slot first, and the others none.

local BACK = 2000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function plain(number)
  return string.format('%.0f', number)
end

local fence = tonumber((redis.pcall('GET', KEYS[1])))
if not fence or fence > now + BACK or fence == tonumber(ARGV[3]) then
  -- An epoch that is ended in the microsecond it began in still gets another name.
  fence = fence == now and now + 1 or now
  redis.call('SET', KEYS[1], plain(fence))
end

local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'zset' and kind ~= 'none' then
  redis.call('DEL', KEYS[2])
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', plain(now - tonumber(ARGV[2])))
redis.call('ZREMRANGEBYSCORE', KEYS[2], plain(now + BACK), '+inf')
if ARGV[4] == '1' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], plain(now), ARGV[1])
end

local alive = redis.call('ZRANGE', KEYS[2], 0, -1)
local before = 0
for _, process in ipairs(alive) do
  if process < ARGV[1] then
    before = before + 1
  end
end
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
if redis.call('TYPE', KEYS[3]).ok ~= 'hash' then
  redis.call('DEL', KEYS[3])
end
if ARGV[4] ~= '1' and tonumber(ARGV[5]) > 0 then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[5] .. ' ' .. ARGV[6])
else
  redis.call('HDEL', KEYS[3], ARGV[1])
end
local short, long = 0, 0
local asked = redis.call('HGETALL', KEYS[3])
for i = 1, #asked, 2 do
  local one, other = string.match(asked[i + 1], '^(%d+) (%d+)$')
  if one and redis.call('ZSCORE', KEYS[2], asked[i]) then
    short, long = math.max(short, tonumber(one)), math.max(long, tonumber(other))
  else
    redis.call('HDEL', KEYS[3], asked[i])
  end
end
return {fence, now, #alive, before, run, short, long}
