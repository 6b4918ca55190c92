-- Marks a claim as started.
--
-- KEYS   1 record   2 epoch
-- ARGV   1 fingerprint   2 owner   3 epoch of the claim, or '' when it was not written here
--        4 '1': another may have taken it over in an epoch that is past   5 seconds to keep
-- Reply  epoch, 1 marked, 0 another has it, 2 not marked: it may have been taken over and forgotten

local epoch = epoch_of(KEYS[2])
if not epoch then
  return {''}
end
local record = read(KEYS[1])
if record then
  local open = record.state == 'C' or record.state == 'S'
  if not open or record.fingerprint ~= ARGV[1] or record.owner ~= ARGV[2] then
    return {epoch, 0}
  end
end
if ARGV[4] == '1' and (record and record.epoch or ARGV[3]) ~= epoch then
  return {epoch, 2}
end
local since = record and record.since or stamp(now)
write(KEYS[1], 'S', ARGV[1], ARGV[2], epoch, since, ARGV[5])
return {epoch, 1}
