-- Takes permits from all buckets of each ask at once, or says when to ask again.
--
-- KEYS   as in bucket.lua
-- ARGV   2 microseconds that a permit may lie ahead   3 microseconds that a place is kept unless it
--        is renewed   4 whether permits may be booked that hold later, 1 or 0: whoever just came
--        would else always be before those who wait   5 the number of buckets, then each of them as
--        in bucket.lua
--        then the number of asks, and for each: permits wanted, 1 for bulk, holder, number of its
--        buckets, and the numbers of these buckets
-- Reply  3 when the epoch is another, else 0; epoch; now; then for every ask six numbers: permits,
--        microseconds until they hold, microseconds until asking for the rest makes sense, reason,
--        the place in the ask of the bucket in the way (0 none), places of canaries as bits
--        reason: 0 none, 1 a window is full, 2 paused, 4 no place

local SHORT = 5000000 -- windows up to this length leave bulk four fifths, longer ones 95 of 100
local PIECES = 30 -- bulk uses the second half of a long window evenly, by so many pieces
local CANARY_POLL, PLACE_POLL = 50000, 25000

-- What one window lets through at `at`, at most `want`, and when it lets through one if it is full.
function Bucket:room_of(window, bulk, want, at)
  local limit = window.limit
  if bulk and self.seen > now - SEEN then
    limit = math.max(1, math.floor(limit * (window.length <= SHORT and 0.8 or 0.95) + 1e-9))
  end
  local paced = bulk and window.length > SHORT
  local freely = paced and math.floor(limit / 2) or limit
  -- The whole log is an upper bound, which spares an unsaturated bucket the search.
  if self.total - self.base + want <= freely then
    return want
  end
  local used = self:used(window.span, limit, at)
  local room, opens = math.max(0, limit - used), 0
  if room == 0 then
    opens = self:falls_to(limit - 1, window.span)
  end
  if paced and used + want > freely then
    local piece, span = math.ceil(limit / PIECES), math.floor(window.length / PIECES)
    local evenly = math.max(freely - used, piece - self:used(span, piece, at), 0)
    room = math.min(room, evenly)
    if evenly == 0 then
      local next_piece = self:falls_to(piece - 1, span)
      if freely > 0 then
        next_piece = math.min(next_piece, self:falls_to(freely - 1, window.span))
      end
      opens = math.max(opens, next_piece)
    end
  end
  return math.min(room, want), opens
end

-- What keeps everybody out: a reason and the microseconds until it may be gone.
function Bucket:barred(holder)
  if self.paused > now then
    return 2, self.paused - now
  end
  if self.paused > 0 and self.canary > now - CANARY then
    return 2, math.min(CANARY_POLL, self.canary + CANARY - now)
  end
  if self.at_once > 0 then
    self.taken = self.taken or redis.call('ZCOUNT', self.places, plain(now + 1), '+inf')
    -- The holder's own place lets it in again, unless it has run out and is only not yet swept.
    local mine = self.taken >= self.at_once and redis.call('ZSCORE', self.places, holder)
    if self.taken >= self.at_once and not (mine and tonumber(mine) > now) then
      return 4, PLACE_POLL
    end
  end
end

-- Counts permits that hold from `at` on; true when one of them is the canary.
function Bucket:take(permits, at, holder)
  local stamp = at
  if self.grain > 0 then
    -- What a process told, or was granted before the grain changed, has times within a grain.
    stamp = math.max(self.newest, math.floor(at / self.grain) * self.grain)
  end
  local last = self.added[#self.added]
  if last and last.stamp == stamp then
    last.permits = last.permits + permits
  else
    self.added[#self.added + 1] = {stamp = stamp, permits = permits}
  end
  self.total, self.newest = self.total + permits, math.max(self.newest, stamp)
  if self.at_once > 0 then
    self.taken, self.holders = self.taken + 1, self.holders or {}
    self.held_from = at -- and not the stamp, which a coarse grain puts into the past
    self.holders[#self.holders + 1] = holder
  end
  if self.paused > 0 then
    self.canary, self.sets_canary = now, true
  end
  return self.paused > 0
end

function Bucket:write(lease)
  if self.saw_interactive and self.seen < now - 1000000 then
    self:keep_state(2 * SEEN / 1000, 'seen', plain(now))
  end
  if self.sets_canary then
    self:keep_state(2 * CANARY / 1000, 'canary', plain(self.canary))
  end
  if self.holders then
    redis.call('ZREMRANGEBYSCORE', self.places, '-inf', plain(now))
    for _, holder in ipairs(self.holders) do
      redis.call('ZADD', self.places, plain(self.held_from + lease), holder)
    end
    redis.call('PEXPIRE', self.places, math.ceil(2 * lease / 1000))
  end
  if #self.added > 0 and #self.windows > 0 then
    self:write_log()
  end
end

function Bucket:write_log()
  if self.size == 0 then
    redis.call('LPUSH', self.log, '0', '0')
  elseif self.expired > 0 then
    redis.call('LTRIM', self.log, 0, -2 * self.expired - 1)
  end
  local total = self.logged
  for _, added in ipairs(self.added) do
    total = total + added.permits
    if added.stamp == self.written then
      redis.call('LSET', self.log, 1, plain(total))
    else
      redis.call('LPUSH', self.log, plain(total), plain(added.stamp))
    end
  end
  redis.call('PEXPIRE', self.log, self.ttl)
end

local Ask = {}
Ask.__index = Ask

function Ask.read(buckets)
  local self = setmetatable({want = number(), bulk = number() == 1, holder = argument()}, Ask)
  self.buckets = {}
  for i = 1, number() do
    self.buckets[i] = buckets[number()]
  end
  return self
end

-- Permits that every bucket can give at `at`; when all can give one, and which is in the way.
function Ask:room(at)
  local room, opens, full = self.want, at, 0
  for place, bucket in ipairs(self.buckets) do
    for _, window in ipairs(bucket.windows) do
      local one, when = bucket:room_of(window, self.bulk, self.want, at)
      if one < room then
        room, full = one, place
      end
      if one == 0 and when > opens then
        opens, full = when, place
      end
    end
  end
  return room, opens, full
end

function Ask:earliest()
  local at, latest = now, 0
  for place, bucket in ipairs(self.buckets) do
    bucket.saw_interactive = bucket.saw_interactive or not self.bulk
    local reason, rest = bucket:barred(self.holder)
    if reason then
      return nil, {0, 0, rest, reason, place, 0}
    end
    if bucket.newest > at then
      at, latest = bucket.newest, place
    end
  end
  return at, nil, latest
end

function Ask:take(permits, at)
  local canaries, first_canary = 0, 0
  for place, bucket in ipairs(self.buckets) do
    if bucket:take(permits, at, self.holder) then
      canaries = canaries + 2 ^ (place - 1)
      first_canary = first_canary > 0 and first_canary or place
    end
  end
  return canaries, first_canary
end

function Ask:answer(ahead, books)
  local at, refusal, latest = self:earliest()
  if not at then
    return refusal
  end
  local room, opens, full = self:room(at)
  if at > now and at <= now + ahead and not books then
    if room > 0 then
      opens, full = at, latest
    end
    return {0, 0, opens - now, 1, full, 0}
  end
  if room == 0 and books and opens <= now + ahead then
    -- The next slot is so near that it is booked: nothing is lost between waking up and asking.
    at = opens
    room, opens, full = self:room(at)
  end
  for _, bucket in ipairs(self.buckets) do
    room = (bucket.paused > 0 or bucket.at_once > 0) and math.min(room, 1) or room
  end
  local canaries, canary, wait, reason = 0, 0, 0, 0
  if room > 0 then
    canaries, canary = self:take(room, at)
  end
  if canaries > 0 and room < self.want then
    wait, reason, full = CANARY_POLL, 2, canary
  elseif room < self.want then
    local _, again, place = self:room(at)
    opens, full = again, place
    wait, reason = math.max(1, opens - now), 1
  end
  -- Times further ahead than anybody books come from a clock that was set back: no reason to wait.
  local delay = at - now <= ahead and at - now or 0
  return {room, delay, wait, reason, reason > 0 and full or 0, canaries}
end

if not fence or fence > now + BACK then
  return begin_epoch()
end
if fence ~= tonumber(ARGV[1]) then
  return {3, fence, now}
end

local ahead, lease, books = number(), number(), number() == 1
local buckets, reply = {}, {0, fence, now}

local function decide()
  for i = 1, number() do
    buckets[i] = Bucket.read(i)
  end
  for _ = 1, number() do
    for _, value in ipairs(Ask.read(buckets):answer(ahead, books)) do
      reply[#reply + 1] = value
    end
  end
end

-- Reading fails on keys that are not ours, of another type or with strange elements.
if not pcall(decide) then
  return begin_epoch()
end
for _, bucket in ipairs(buckets) do
  bucket:write(lease)
end
return reply
