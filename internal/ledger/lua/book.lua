-- Books one call to Central at the earliest time that every window allows. Calls
-- are booked in the order of their times, so the call that was the limit's number
-- before this one must lie a whole window back. Bulk calls also have a list of
-- their own, with smaller limits.
local A = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + A.offset
local all, bulk, days, pause = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- A clock that stepped back, here or with a failover, must not leave bookings of a
-- far future behind, which all others would have to wait for.
for _, list in ipairs({all, bulk}) do
  redis.call('ZREMRANGEBYSCORE', list, string.format('(%.0f', now + A.farthest), '+inf')
end

local at = now
local function after(list, nth, per)
  local e = redis.call('ZRANGE', list, -nth, -nth, 'WITHSCORES')
  if e[2] then at = math.max(at, tonumber(e[2]) + per) end
end

local till = redis.call('GET', pause)
if till and tonumber(till) <= now + A.longest then at = math.max(at, tonumber(till)) end
after(all, 1, 0)
local longest, pieces = 1000, nil
for _, w in ipairs(A.windows) do
  if w.per <= 7200000 then
    longest = math.max(longest, w.per)
    after(all, w.calls, w.per)
    if A.bulk then after(bulk, w.bulk, w.per) end
  else
    -- Too many to list: they are counted in pieces of a hundredth of the window,
    -- and a piece counts until the whole of it is past.
    local piece, sum, oldest = math.floor(w.per / 100), 0, nil
    local flat = redis.call('HGETALL', days)
    for i = 1, #flat, 2 do
      local n = tonumber(flat[i])
      if (n + 1) * piece + w.per <= now or n * piece > now + A.farthest then
        redis.call('HDEL', days, flat[i])
      else
        sum, oldest = sum + tonumber(flat[i + 1]), math.min(oldest or n, n)
      end
    end
    if sum >= (A.bulk and w.bulk or w.calls) then at = math.max(at, (oldest + 1) * piece + w.per) end
    pieces = {piece = piece, stays = 2 * w.per}
  end
end
if at - now > A.most then return {string.format('%.0f', at - now), 0} end
if pieces then
  redis.call('HINCRBY', days, math.floor(at / pieces.piece), 1)
  redis.call('PEXPIRE', days, pieces.stays)
end
local member = redis.call('INCR', KEYS[5])
for _, list in ipairs(A.bulk and {all, bulk} or {all}) do
  redis.call('ZADD', list, string.format('%.0f', at), member)
  redis.call('ZREMRANGEBYSCORE', list, '-inf', string.format('%.0f', now - longest - 1000))
  redis.call('PEXPIRE', list, 2 * longest + math.floor(at - now))
end
return {string.format('%.0f', at - now), 1}
