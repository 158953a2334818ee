-- A ticket is closed with a person's decision, or the decision is changed.
local function out(outcome, code) return answer({outcome = outcome, code = code or ''}) end
local T = hash(TICKET)
if not T.id then return out('not_found') end

local changed = T.state == 'closed'
if changed and T.decision == A.decision then return out('already_closed') end
if D.ticket ~= A.ticket then return out('refused', 'TICKET_OPEN') end
if changed then
  if T.approvalUsed == '1' then return out('refused', 'APPROVAL_USED') end
  if not A.mayChange then return out('forbidden') end
end
if A.decision == 'delete' and T.two == '1' then
  -- Whose names are one is judged before; it must have been about this opener.
  if A.samePerson or (T.openedBy or '') ~= A.openedBy then
    return out('refused', 'SECOND_PERSON_NEEDED')
  end
end

local by = ({delete = 'approve', keep = 'keep', none = 'decline'})[A.decision]
if not step(by) then
  if D.state == 'deleted' then return out('refused', 'ALREADY_DELETED') end
  return out('refused', 'IN_FLIGHT')
end
set({approval = false, approvalTill = false, keep = false, keepUntil = false})
redis.call('HDEL', TICKET, 'approval', 'approvalTill', 'approvalUsed')
redis.call('ZREM', OPEN, A.endpoint)
redis.call('ZREM', KEPT, A.endpoint)
if A.decision == 'delete' then
  set({approval = A.approval, approvalTill = ms(NOW + A.approvalTTL)})
  redis.call('HSET', TICKET, 'approval', A.approval, 'approvalTill', ms(NOW + A.approvalTTL))
elseif A.decision == 'keep' then
  -- The person says that it lives: it is no longer one that we deleted.
  set({keep = A.keep, keepUntil = ms(A.keepUntil), deletedAt = false, cameBackAt = false, restoreBy = false})
  redis.call('ZADD', KEPT, ms(NOW), A.endpoint)
end
redis.call('HSET', TICKET, 'state', 'closed', 'closedAt', ms(NOW), 'decision', A.decision, 'decidedBy', A.decidedBy,
  'note', A.note, 'ticketState', A.ticketState)
local outcome = changed and 'changed' or 'closed'
local entry = string.gsub(ENTRY, '"outcome":"closed"', '"outcome":"' .. outcome .. '"', 1)
local seq = audit(entry)
set({decidedSeq = seq})
return answer({outcome = outcome, code = '', seq = seq})
