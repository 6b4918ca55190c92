-- Puts another owner in the place of exactly the record that was seen.
--
-- KEYS   1 record   2 epoch
-- ARGV   1 the record as seen   2 new owner   3 new state   4 seconds to keep
-- Reply  epoch, 1 when done; an empty epoch: this may be another life of the server

local epoch = epoch_of(KEYS[2])
-- Looked at once more here, where a mark that was lost would let a call be sent twice.
if not epoch or string.sub(redis.call('GET', KEYS[2]), 18) ~= names() then
  return {''}
end
local record = read(KEYS[1])
if not record or record.value ~= ARGV[1] then
  return {epoch, 0}
end
local since = tonumber(record.since) == 0 and stamp(now) or record.since
write(KEYS[1], ARGV[3], record.fingerprint, ARGV[2], epoch, since, ARGV[4])
return {epoch, 1}
