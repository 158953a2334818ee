-- The intent of a delete. Everything that may have changed since the decision
-- is looked at again here; what can't be read is an error, never a yes.
local function no(code, text, after)
  return answer({code = code, text = text, retry = after or 0})
end

local spent = D['spent:' .. A.token]
if D.state == 'deleted' then return no('ALREADY_DELETED', 'The device was already deleted.') end
if D.state == 'deleting' then return no('IN_FLIGHT', 'A delete of the device is under way.', 15000) end
if spent and cjson.decode(spent).outcome ~= 'unsent' then
  if A.approval ~= '' then return no('APPROVAL_USED', 'The approval was already used.') end
  return no('DELETE_FAILED', 'This token has sent its DELETE.')
end
if redis.call('GET', LEASE) ~= A.owner then return no('IN_FLIGHT', 'Another delete of the device is under way.', 15000) end

local M = hash(META)
if tonumber(M.seq or '0') < A.seq then
  local why = "it was set back while the device was looked at: run `rollcall state restore --audit FILE`, or `rollcall state init --accept-rollback`"
  redis.call('HSETNX', META, 'distrusted', why)
  return no('STATE_UNVERIFIED', "The store can't be trusted: " .. why .. '.', 300000)
end
if M.paused then return no('KILL_SWITCH', 'Deletes are paused: ' .. M.paused .. '.', 300000) end
if D.cameBackAt then return no('CAME_BACK', 'The device was deleted before and came back.') end
if D.state == 'ticket_open' then return no('TICKET_OPEN', 'A ticket is open for the device.') end
if D.state == 'kept' then return no('TICKET_DECIDED_KEEP', 'A person decided that the device stays.') end
if D.state == 'lapsed' then return no('KEEP_LAPSED', 'A decision to keep the device no longer holds.') end
if D.state == 'undecided' then return no('TICKET_UNDECIDED', 'The last ticket was closed without a decision.') end
if A.approval ~= '' and D.approval ~= A.approval then return no('APPROVAL_USED', 'The approval was used, revoked or has expired.') end
if A.approval == '' and D.approval then return no('APPROVAL_PENDING', 'An approval is waiting to be used.') end
if M.circuit then return no('CIRCUIT_OPEN', 'The circuit is open: ' .. M.circuit .. '.', 3600000) end

-- The ramp: a day that is over counts as clean if something was deleted on it
-- and nothing went wrong.
local level, clean = tonumber(M.level or '0'), tonumber(M.clean or '0')
redis.call('HSET', META, 'top', #A.perDay - 1)
if M.lastOk and tonumber(M.lastOk) < DAY then
  clean = clean + 1
  if clean >= A.cleanDays then level, clean = math.min(level + 1, #A.perDay - 1), 0 end
  redis.call('HSET', META, 'level', level, 'clean', clean)
  redis.call('HDEL', META, 'lastOk')
end

-- The limits count attempts of the last 24 hours.
redis.call('ZREMRANGEBYSCORE', ATTEMPTS, '-inf', ms(NOW - 86400000))
local used = redis.call('ZCARD', ATTEMPTS)
local oldest = redis.call('ZRANGE', ATTEMPTS, 0, 0, 'WITHSCORES')
local free = 3600000
if oldest[2] then free = math.max(1000, tonumber(oldest[2]) + 86400000 - NOW) end
local most = A.perDay[math.min(level, #A.perDay - 1) + 1] or 0
if used >= most then return no('LIMIT_DAY', used .. ' of ' .. most .. ' deletes of the last 24 hours are used.', free) end
local share = 0
if A.percent > 0 and A.population > 0 then
  share = math.max(1, math.floor(A.population * A.percent / 100))
end
if used >= share then
  return no('LIMIT_PERCENT', used .. ' of ' .. share .. ' deletes that the percentage allows in 24 hours are used.', free)
end
local last = redis.call('ZRANGE', ATTEMPTS, -1, -1, 'WITHSCORES')
if last[2] and NOW - tonumber(last[2]) < A.spacing then
  return no('SPACING', 'The last delete was too short a time ago.', tonumber(last[2]) + A.spacing - NOW)
end

local by = 'begin'
if A.approval ~= '' then by = 'spend' end
if not step(by) then return no('IN_FLIGHT', 'The state ' .. D.state .. ' allows no delete.', 15000) end
set({
  lastIntentAt = ms(NOW), intentToken = A.token, intentOwner = A.owner, lastToken = A.token, intentApproval = A.approval, intentAt = ms(NOW), settleAfter = ms(NOW + A.settle),
  ['spent:' .. A.token] = cjson.encode({outcome = 'pending', at = NOW}),
})
if A.approval ~= '' and A.ticket ~= '' then redis.call('HSET', TICKET, 'approvalUsed', '1') end
if A.hostname ~= '' then set({hostname = A.hostname}) end
redis.call('ZADD', ATTEMPTS, ms(NOW), A.token .. ':' .. ms(NOW))
redis.call('ZADD', INFLIGHT, ms(NOW + A.settle), A.endpoint)
if STORED ~= '' then redis.call('HSET', RECORDS, A.endpoint, STORED) end
return answer({code = '', seq = audit(ENTRY)})
