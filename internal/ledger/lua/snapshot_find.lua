-- The state of a snapshot, and the devices that are asked for, each once: by entries of
-- the index ("i" and an id is one, too), or those beside a device that is on it. Of an
-- entry that too many bear it is only said which it is.
if A.count then -- over two to four minutes
  local span = math.floor(now / 120000)
  if S.span ~= whole(span) then
    S.before = S.span == whole(span - 1) and S.asked or '0'
    S.span, S.asked = whole(span), '0'
  end
  S.asked = whole(tonumber(S.asked) + 1)
  set('span', S.span, 'asked', S.asked, 'before', S.before)
end

local out, given, crowded = {''}, {}, {}
local function give(id)
  local kept = not given[id] and redis.call('HGET', devicesOf(snapshot), id)
  given[id] = true
  if kept then out[#out + 1] = record(kept) end
  return kept
end
local function bearers(entry, most)
  local found = redis.call('ZRANGEBYLEX', indexOf(snapshot), '[' .. entry .. '\t', '(' .. entry .. '\n', 'LIMIT', 0, most)
  for i, member in ipairs(found) do found[i] = string.sub(member, #entry + 2) end
  return found
end
if snapshot then
  local wanted = A.entries
  local kept = A.id and give(A.id)
  if kept and #wanted == 0 then
    for e in entries(kept) do
      local kind = string.sub(e, 1, 1)
      if kind == 'n' then wanted[#wanted + 1] = e end
      if kind == 's' or kind == 'm' then wanted[#wanted + 1] = 'u' .. e end
    end
  end
  for i, e in ipairs(wanted) do
    if string.sub(e, 1, 1) == 'i' then
      give(string.sub(e, 2))
    else
      local ids = bearers(e, A.most)
      if #ids == A.most then
        crowded[#crowded + 1] = whole(i - 1)
      else
        for _, id in ipairs(ids) do give(id) end
      end
    end
  end
end
out[1] = cjson.encode({
  now = whole(now), at = at, whole = S.whole or '', central = S.central or '', newest = S.newest or '', failed = S.failed or '',
  groups = S.groups or '',
  asked = tonumber(S.asked or '0') + tonumber(S.before or '0'), left = held and tonumber(S.left or '0') or 0, reading = held and S.turn ~= '' or false, crowded = table.concat(crowded, ','),
})
return out
