-- What the scripts of a tenant's roll share. KEYS[1] is its state; the names of its
-- readings' keys begin with KEYS[2], and lie in the tenant's slot like all others.
local A = cjson.decode(ARGV[1])
local state, prefix = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + A.offset

local S = {}
local flat = redis.call('HGETALL', state)
for i = 1, #flat, 2 do S[flat[i]] = flat[i + 1] end

local function whole(n) return string.format('%.0f', n) end
local function devicesOf(reading) return prefix .. reading .. ':devices' end
local function indexOf(reading) return prefix .. reading .. ':index' end

-- Nothing of a roll stays for ever, whatever was written of it last.
local function set(...)
  redis.call('HSET', state, ...)
  redis.call('PEXPIRE', state, whole(A.stays))
end
local function stay(reading, ms)
  redis.call('PEXPIRE', devicesOf(reading), whole(ms))
  redis.call('PEXPIRE', indexOf(reading), whole(ms))
end
local function drop(reading)
  if reading then redis.call('UNLINK', devicesOf(reading), indexOf(reading)) end
end

-- A reading that is not as large as it was when it was last written has lost a
-- part, by eviction or by hand, and answers for nothing.
local function size(reading)
  return redis.call('HLEN', devicesOf(reading)) .. ' ' .. redis.call('ZCARD', indexOf(reading))
end
local function intact(reading, was) return reading and size(reading) == (was or '0 0') end
local roll = intact(S.reading, S.size) and S.reading
local at = roll and S.at or ''

-- A time ahead of the clock is of another clock, and newer than nothing.
local function newer(kept, than)
  local t = tonumber(kept or '0')
  return t > than and t <= now
end

-- A device is kept as its entries in the index, and its record behind them.
local function entries(kept) return string.gmatch(string.match(kept, '^[^\n]*'), '[^\t]+') end
local function record(kept) return string.sub(kept, string.find(kept, '\n', 1, true) + 1) end
local function unlist(reading, id, kept)
  for e in entries(kept) do redis.call('ZREM', indexOf(reading), e .. '\t' .. id) end
end
local function put(reading, d)
  local kept, list = redis.call('HGET', devicesOf(reading), d.id), d.entries .. '\n'
  if not kept or string.sub(kept, 1, #list) ~= list then
    if kept then unlist(reading, d.id, kept) end
    for e in entries(list) do redis.call('ZADD', indexOf(reading), 0, e .. '\t' .. d.id) end
  end
  redis.call('HSET', devicesOf(reading), d.id, list .. d.record)
end
local function take(reading, id)
  local kept = redis.call('HGET', devicesOf(reading), id)
  if not kept then return false end
  unlist(reading, id, kept)
  redis.call('HDEL', devicesOf(reading), id)
  return true
end

-- The ids behind an entry of the index, at most so many.
local function bearers(entry, most)
  local ids = redis.call('ZRANGEBYLEX', indexOf(roll), '[' .. entry .. '\t', '(' .. entry .. '\n', 'LIMIT', 0, most)
  for i, member in ipairs(ids) do ids[i] = string.sub(member, #entry + 2) end
  return ids
end

-- Answers: the state, then what was asked for, each device once.
local out, given = {''}, {}
local function give(ids)
  for _, id in ipairs(ids) do
    local kept = not given[id] and redis.call('HGET', devicesOf(roll), id)
    given[id] = true
    if kept then out[#out + 1] = record(kept) end
  end
end
local function answer(asked, crowded)
  out[1] = cjson.encode({
    now = whole(now), at = at, whole = S.whole or '', heard = S.heard or '', newest = S.newest or '', asked = asked,
    expected = S.expected or '', failed = S.failed or '', crowded = crowded,
  })
  return out
end
