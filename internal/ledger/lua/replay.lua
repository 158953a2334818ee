-- One entry of the audit trail takes effect again in a store that has lost it.
-- What can't be known from the trail falls to the careful side: an approval that
-- was waiting is a person's matter again, the ramp begins anew.
local AT = A.at
if tonumber(redis.call('HGET', META, 'seq') or '0') ~= A.seq - 1 then return answer({code = 'gap'}) end

local function spend(outcome)
  set({['spent:' .. A.token] = cjson.encode({outcome = outcome, at = AT, text = A.failure})})
end
local function over(state, outcome)
  set({state = state, intentToken = false, intentOwner = false, intentApproval = false, intentAt = false, settleAfter = false})
  redis.call('ZREM', INFLIGHT, A.endpoint)
  spend(outcome)
end
local function unexcluded()
  redis.call('ZREM', OPEN, A.endpoint)
  redis.call('ZREM', KEPT, A.endpoint)
  set({keep = false, keepUntil = false, approval = false, approvalTill = false})
end

if A.hostname ~= '' then set({hostname = A.hostname}) end
if A.what == 'intent' then
  unexcluded()
  set({state = 'deleting', lastIntentAt = ms(AT), intentToken = A.token, lastToken = A.token, intentOwner = '', intentApproval = '',
    intentAt = ms(AT), settleAfter = ms(AT + A.settle)})
  spend('pending')
  if A.ticket ~= '' and redis.call('EXISTS', TICKET) == 1 then redis.call('HSET', TICKET, 'approvalUsed', '1') end
  redis.call('ZADD', ATTEMPTS, ms(AT), A.token .. ':' .. ms(AT))
  redis.call('ZADD', INFLIGHT, ms(AT + A.settle), A.endpoint)
  if STORED ~= '' then redis.call('HSET', RECORDS, A.endpoint, STORED) end
elseif A.what == 'settled' and A.as == 'deleted' and (D.intentToken == A.token or D.lastToken == A.token) then
  over('deleted', 'deleted')
  set({deletedAt = D.lastIntentAt or ms(AT), restoreBy = A.restoreBy > 0 and ms(A.restoreBy)})
  redis.call('ZADD', DELETED, ms(AT), A.endpoint)
  redis.call('HDEL', FAILURES, 'delete:' .. A.endpoint)
  redis.call('HSET', META, 'failRow', 0)
elseif A.what == 'settled' and D.intentToken == A.token and A.as == 'pending' then
  failure('delete:' .. A.endpoint, {class = 'ambiguous', text = A.failure, correlation = ''})
elseif A.what == 'settled' and D.intentToken == A.token then
  local waited = A.ticket ~= ''
  over(A.as == 'failed' and 'failed' or waited and 'undecided' or 'none', A.as)
  if A.as == 'unsent' and waited and redis.call('EXISTS', TICKET) == 1 then redis.call('HSET', TICKET, 'approvalUsed', '') end
  if A.as == 'failed' then
    failure('delete:' .. A.endpoint, {class = 'permanent', text = A.failure, correlation = ''})
    redis.call('HINCRBY', META, 'failRow', 1)
    redis.call('HSET', META, 'lastBad', math.floor(AT / 86400000))
  end
elseif A.what == 'opened' then
  unexcluded()
  set({state = 'ticket_open', ticket = A.ticket})
  redis.call('DEL', TICKET)
  redis.call('HSET', TICKET, 'id', A.ticket, 'endpoint', A.endpoint, 'hostname', A.hostname, 'state', 'open', 'openedAt', ms(AT),
    'openedBy', A.openedBy, 'openedKey', A.openedKey, 'system', A.system, 'url', A.url, 'two', A.two, 'claims', '')
  redis.call('ZADD', OPEN, ms(AT), A.endpoint)
  redis.call('ZADD', TICKETS, ms(AT), A.ticket)
elseif A.what == 'closed' then
  unexcluded()
  set({state = 'undecided', decidedSeq = A.seq})
  redis.call('HSET', TICKET, 'id', A.ticket, 'endpoint', A.endpoint, 'hostname', A.hostname, 'state', 'closed', 'closedAt', ms(AT),
    'decision', A.decision, 'decidedBy', A.decidedBy, 'note', A.note)
  redis.call('ZADD', TICKETS, 'NX', ms(AT), A.ticket)
  if A.decision == 'keep' and A.keepUntil > 0 then
    set({state = 'kept', keep = A.keep, keepUntil = ms(A.keepUntil), deletedAt = false, cameBackAt = false, restoreBy = false})
    redis.call('ZREM', DELETED, A.endpoint)
    redis.call('ZADD', KEPT, ms(AT), A.endpoint)
  end
elseif A.what == 'pause' then
  redis.call('HSET', META, 'paused', A.reason, 'pausedBy', A.by)
elseif A.what == 'resume' then
  redis.call('HDEL', META, 'paused', 'pausedBy')
elseif A.what == 'circuit-reset' then
  redis.call('HDEL', META, 'circuit')
  redis.call('HSET', META, 'failRow', 0)
elseif A.what == 'failure-ack' then
  redis.call('HDEL', FAILURES, 'verify:' .. A.endpoint, 'delete:' .. A.endpoint, 'come-back:' .. A.endpoint)
end
if A.cameBack ~= '' and D.state == 'deleted' then
  set({state = 'came_back', cameBackAt = ms(AT), cameBackBy = A.byDirectory and 'directory'})
  redis.call('HSET', META, 'lastBad', math.floor(AT / 86400000))
  redis.call('ZREM', DELETED, A.endpoint)
  failure('come-back:' .. A.endpoint, {class = 'permanent', text = A.cameBack, correlation = ''})
end
if A.eligible then eligible(A.endpoint, AT) end
if A.silentSince ~= '' then redis.call('HSET', META, 'silentSince', A.silentSince) end
if A.silentUntil ~= '' then
  redis.call('HSET', META, 'silentUntil', A.silentUntil)
  redis.call('HDEL', META, 'silentSince')
end
if A.circuit ~= '' then redis.call('HSETNX', META, 'circuit', A.circuit) end
if redis.call('HINCRBY', META, 'seq', 1) ~= A.seq then return redis.error_reply('sequence moved') end
redis.call('XADD', AUDIT, A.seq .. '-0', 'at', ms(AT), 'e', ENTRY)
return answer({})
