-- What every script shares. It is put before each of them, after the table of
-- arrows and the names of the keys. One JSON argument comes in, with the audit
-- entry and one more text that is only stored; one JSON answer goes out.
local A, ENTRY, STORED = cjson.decode(ARGV[1]), ARGV[2], ARGV[3]

-- A store that was set back is written to by nobody until an operator has said
-- what holds: what is written now would stand where other entries stood.
local DISTRUSTED = redis.call('HGET', META, 'distrusted')
if DISTRUSTED and not A.trust then return cjson.encode({untrusted = true}) end

local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000) + A.offset
local DAY = math.floor(NOW / 86400000)

local function hash(key)
  local flat, h = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do h[flat[i]] = flat[i + 1] end
  return h
end

local function ms(n) return string.format('%.0f', n) end

local D = hash(DEVICE)
D.state = D.state or 'none'

-- set writes fields of the device, both in the store and in D; false removes.
local function set(fields)
  for k, v in pairs(fields) do
    if v == false then
      redis.call('HDEL', DEVICE, k)
      D[k] = nil
    else
      redis.call('HSET', DEVICE, k, v)
      D[k] = v
    end
  end
end

-- step takes an arrow; it answers false, and changes nothing, where the table
-- has none.
local function step(by)
  local to = ARROWS[D.state] and ARROWS[D.state][by]
  if not to then return false end
  set({state = to})
  return true
end

-- What time alone does comes first: an approval that nobody used is no approval,
-- and a keep that ran out is a person's matter again.
if D.state == 'approved' and tonumber(D.approvalTill) <= NOW then
  step('expire')
  set({approval = false, approvalTill = false})
elseif D.state == 'kept' and tonumber(D.keepUntil) <= NOW then
  step('lapse')
  redis.call('ZREM', KEPT, A.endpoint)
end

-- add adds what only the script knows to the audit entry of this step.
local ADDED = ''
local function add(name, value)
  ADDED = ADDED .. ',' .. cjson.encode(name) .. ':' .. cjson.encode(value)
end

-- audit appends an entry under the next number; entries have no gaps.
local function audit(entry)
  if ADDED ~= '' then entry = string.sub(entry, 1, -2) .. ADDED .. '}' end
  local seq = redis.call('HINCRBY', META, 'seq', 1)
  redis.call('XADD', AUDIT, seq .. '-0', 'at', ms(NOW), 'e', entry)
  return seq
end

-- eligible counts a device that was found eligible, once a day, and answers how
-- many there were on its day, and at most on one of the week before.
local function eligible(endpoint, at)
  local day = math.floor(at / 86400000)
  local last = tonumber(redis.call('ZSCORE', ELIGIBLE, endpoint) or '0')
  redis.call('ZADD', ELIGIBLE, ms(at), endpoint)
  if math.floor(last / 86400000) < day then
    redis.call('ZREMRANGEBYSCORE', ELIGIBLE, '-inf', ms((day - 1) * 86400000))
    redis.call('HINCRBY', ELIGIBLE_DAYS, day, 1)
  end
  local today, busiest = 0, 0
  for d, n in pairs(hash(ELIGIBLE_DAYS)) do
    d, n = tonumber(d), tonumber(n)
    if d < day - 7 then
      redis.call('HDEL', ELIGIBLE_DAYS, d)
    elseif d < day then
      busiest = math.max(busiest, n)
    elseif d == day then
      today = n
    end
  end
  return today, busiest
end

-- failure puts a failed step on record, or adds to one that is there.
local function failure(field, f)
  local was = redis.call('HGET', FAILURES, field)
  local r = {count = 0, first = NOW}
  if was then r = cjson.decode(was) end
  r.count, r.last = r.count + 1, NOW
  r.class, r.text, r.hostname, r.correlation = f.class, f.text, A.hostname, f.correlation
  redis.call('HSET', FAILURES, field, cjson.encode(r))
end

-- fall takes the ramp down a level, from one that the policy still has: a list
-- that was made shorter must not soften the fall.
local function fall()
  local level = tonumber(redis.call('HGET', META, 'level') or '0')
  level = math.min(level, tonumber(redis.call('HGET', META, 'top') or level))
  redis.call('HSET', META, 'level', math.max(0, level - 1), 'clean', 0, 'lastBad', DAY)
  redis.call('HDEL', META, 'lastOk') -- a day that was not counted yet is not clean any more
end

local function trip(why)
  if redis.call('HSETNX', META, 'circuit', why) == 1 then add('circuitOpened', why) end
end

local function answer(t)
  t.seq = t.seq or tonumber(redis.call('HGET', META, 'seq') or '0')
  t.state = D.state
  t.now = NOW
  t.fails = tonumber(D.vfails or '0')
  return cjson.encode(t)
end
