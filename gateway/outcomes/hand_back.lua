-- Gives up a claim, and keeps the content alone where it is to be remembered.
--
-- KEYS   1 record   2 epoch
-- ARGV   1 fingerprint   2 owner   3 '1' to remember   4 '1' to keep since when   5 seconds to keep
-- Reply  1

local record = read(KEYS[1])
if record then
  local open = record.state == 'C' or record.state == 'S'
  if not open or record.fingerprint ~= ARGV[1] or record.owner ~= ARGV[2] then
    return 1
  end
end
if ARGV[3] == '1' then
  local epoch = epoch_of(KEYS[2]) or string.rep('0', 16)
  local since = record and ARGV[4] == '1' and record.since or stamp(0)
  write(KEYS[1], 'K', ARGV[1], string.rep('-', 16), epoch, since, ARGV[5])
elseif record then
  redis.call('DEL', KEYS[1])
end
return 1
