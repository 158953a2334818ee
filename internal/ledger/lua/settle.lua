-- The end of an intent, and of the lease under which it was written. One that is
-- not this token's is not touched.
if A.owner ~= '' and redis.call('GET', LEASE) == A.owner then redis.call('DEL', LEASE) end
-- But one that was called failed and is gone after all is put right.
local late = D.state == 'failed' and A.as == 'deleted' and D.lastToken == A.token
if not late and (D.state ~= 'deleting' or D.intentToken ~= A.token) then return answer({}) end
-- That a DELETE never left is known only to the one who would have sent it: a
-- process that slept must not say so of another's.
if A.as == 'unsent' and D.intentOwner ~= A.owner then return answer({}) end

local function spent(outcome)
  set({['spent:' .. A.token] = cjson.encode({outcome = outcome, at = NOW, text = A.text})})
end

local function over(by, outcome)
  step(by)
  spent(outcome)
  set({intentToken = false, intentOwner = false, intentApproval = false, intentAt = false, settleAfter = false})
  redis.call('ZREM', INFLIGHT, A.endpoint)
end

local approval = D.intentApproval
if A.as == 'deleted' then
  over('confirm', 'deleted')
  -- It is gone since its DELETE, which may be long ago when this is settled late.
  set({deletedAt = D.lastIntentAt or ms(NOW), restoreBy = A.restoreBy > 0 and ms(A.restoreBy), approval = false, approvalTill = false, vfails = false, vfailAt = false})
  redis.call('ZADD', DELETED, ms(NOW), A.endpoint)
  redis.call('HDEL', FAILURES, 'delete:' .. A.endpoint, 'verify:' .. A.endpoint)
  redis.call('HSET', META, 'failRow', 0)
  if tonumber(redis.call('HGET', META, 'lastBad') or '-1') ~= DAY then redis.call('HSET', META, 'lastOk', DAY) end
elseif A.as == 'failed' then
  over('fail', 'failed')
  set({approval = false, approvalTill = false})
  failure('delete:' .. A.endpoint, A.failed)
  if redis.call('HINCRBY', META, 'failRow', 1) >= 3 then trip('three deletes failed in a row') end
  fall()
elseif A.as == 'limited' then
  over('limit', 'limited')
  set({approval = false, approvalTill = false})
elseif A.as == 'unsent' then
  if approval ~= '' and D.approval == approval then
    over('restore', 'unsent')
    if A.ticket ~= '' then redis.call('HSET', TICKET, 'approvalUsed', '') end
  else
    over('unsend', 'unsent')
  end
elseif A.as == 'pending' then
  failure('delete:' .. A.endpoint, A.failed)
end
return answer({seq = audit(ENTRY)})
