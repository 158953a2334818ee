-- What was found beside the roll is put on it, and on the reading that is under way;
-- but for a device that was seen later by what is there: then the search was made
-- before. Times are in UTC, and compare as texts without the sign for it.
local function seen(record)
  local at = cjson.decode(record).lastSeenAt
  return type(at) == 'string' and (string.gsub(at, 'Z$', '')) or ''
end
local function older(reading, d)
  local kept, at = redis.call('HGET', devicesOf(reading), d.id), seen(d.record)
  return kept and at ~= '' and at < seen(record(kept))
end
for _, into in ipairs({{roll, 'size', A.stays}, {S.turn, 'turnSize', A.readingStays}}) do
  local reading, field, stays = into[1], into[2], into[3]
  if reading and intact(reading, S[field]) then
    for _, d in ipairs(A.devices) do
      if not older(reading, d) then put(reading, d) end
    end
    set(field, size(reading))
    stay(reading, stays)
  end
end
return ''
