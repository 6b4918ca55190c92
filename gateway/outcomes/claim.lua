-- Writes a claim where there is no record.
--
-- KEYS   1 record   2 epoch   3 owners
-- ARGV   1 fingerprint   2 owner   3 state to write, or '' to look only   4 seconds to keep
-- Reply  epoch, the record that is there or '', 1 when its owner is alive, its age in ms;
--        an empty epoch: it is not known which life of the server this is

local epoch = epoch_of(KEYS[2])
if not epoch then
  return {''}
end
local record = read(KEYS[1])
if record then
  local since = tonumber(record.since) or 0
  local age = since > 0 and math.max(0, now - since) or 0
  return {epoch, record.value, lives(KEYS[3], record.owner) and 1 or 0, age}
end
if ARGV[3] ~= '' then
  write(KEYS[1], ARGV[3], ARGV[1], ARGV[2], epoch, stamp(now), ARGV[4])
end
return {epoch, '', 0, 0}
