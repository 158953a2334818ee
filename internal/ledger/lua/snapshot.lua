-- What the scripts of a tenant's snapshot share. KEYS[1] is its state; the names of its
-- readings' keys begin with KEYS[2], and lie in the tenant's slot like all others.
local A = cjson.decode(ARGV[1])
local state, prefix = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + A.offset

local S = {}
local flat = redis.call('HGETALL', state)
for i = 1, #flat, 2 do S[flat[i]] = flat[i + 1] end

local function whole(n) return string.format('%.0f', n) end
local function devicesOf(id) return prefix .. id .. ':devices' end
local function indexOf(id) return prefix .. id .. ':index' end

-- Nothing of a snapshot stays for ever, whatever was written of it last.
local function set(...)
  redis.call('HSET', state, ...)
  redis.call('PEXPIRE', state, whole(A.stays))
end
local function stay(id, ms)
  redis.call('PEXPIRE', devicesOf(id), whole(ms))
  redis.call('PEXPIRE', indexOf(id), whole(ms))
end
local function drop(id)
  if id then redis.call('UNLINK', devicesOf(id), indexOf(id)) end
end

-- What is not as large as it was when it was last written has lost a part, by eviction
-- or by hand, and answers for nothing.
local function size(id) return redis.call('HLEN', devicesOf(id)) .. ' ' .. redis.call('ZCARD', indexOf(id)) end
local function intact(id, was) return id and size(id) == (was or '0 0') end
local snapshot = intact(S.id, S.size) and S.id
local at = snapshot and S.at or ''

-- Whether a reading has the turn, or must wait after one that failed.
local held = S.turn and now < tonumber(S.till) and tonumber(S.till) - now <= tonumber(S.hold)

-- Where the reading under way writes: a refresh into the snapshot.
local into, field, stays = A.reading, 'turnSize', A.readingStays
if S.refresh then into, field, stays = S.id, 'size', A.stays end

-- A device is kept as its entries in the index, and its record behind them.
local function entries(kept) return string.gmatch(string.match(kept, '^[^\n]*'), '[^\t]+') end
local function record(kept) return string.sub(kept, string.find(kept, '\n', 1, true) + 1) end
local function take(id, device)
  local kept = redis.call('HGET', devicesOf(id), device)
  if not kept then return end
  for e in entries(kept) do redis.call('ZREM', indexOf(id), e .. '\t' .. device) end
  redis.call('HDEL', devicesOf(id), device)
end
local function put(id, d)
  local kept, list = redis.call('HGET', devicesOf(id), d.id), d.entries .. '\n'
  if not kept or string.sub(kept, 1, #list) ~= list then
    take(id, d.id)
    for e in entries(list) do redis.call('ZADD', indexOf(id), 0, e .. '\t' .. d.id) end
  end
  redis.call('HSET', devicesOf(id), d.id, list .. d.record)
end
