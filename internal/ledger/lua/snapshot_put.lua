-- Devices are corrected on the snapshot and on the reading that is under way, or a
-- device is taken off both. A record that was seen later stays. Times are in UTC, and
-- compare as texts without the sign for it.
local function seen(record)
  local at = cjson.decode(record).lastSeenAt
  return type(at) == 'string' and (string.gsub(at, 'Z$', '')) or ''
end
local function older(id, d)
  local kept, at = redis.call('HGET', devicesOf(id), d.id), seen(d.record)
  return kept and at ~= '' and at < seen(record(kept))
end
local places = {{snapshot, 'size', A.stays}}
if held and S.turn ~= '' and not S.refresh then places[2] = {S.turn, 'turnSize', A.readingStays} end
for _, to in pairs(places) do
  local id, field, stays = to[1], to[2], to[3]
  if id and intact(id, S[field]) then
    for _, d in ipairs(A.devices or {}) do
      if not older(id, d) then put(id, d) end
    end
    if A.gone then take(id, A.gone) end
    set(field, size(id))
    stay(id, stays)
  end
end
return ''
