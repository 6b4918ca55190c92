-- Records how a call ended, unless an end is recorded.
--
-- KEYS   1 record   2 epoch
-- ARGV   1 fingerprint   2 owner   3 the end   4 seconds to keep
-- Reply  the record with another end that stands, or ''

local record = read(KEYS[1])
if record and record.fingerprint ~= ARGV[1] then
  return ''
end
if record and record.state == 'R' then
  return record.value
end
local epoch = epoch_of(KEYS[2]) or string.rep('0', 16)
local since = record and record.since or stamp(now)
write(KEYS[1], 'R', ARGV[1], ARGV[2], epoch, since, ARGV[4], ARGV[3])
return ''
