-- A ticket is opened for a device, and the device kept out of the next run.
local function out(outcome, code, ticket)
  return answer({outcome = outcome, code = code or '', ticket = ticket or ''})
end
-- The claim of the id is good for a while only, after which another may take it
-- over: a caller that slept longer must not write. And a record that is another
-- device's is never written over.
local T = hash(TICKET)
if T.id and T.endpoint ~= A.endpoint then return out('conflict') end
if not T.id and NOW - A.claimed >= A.fresh then return out('stale') end
if D.state == 'ticket_open' then return out('already_open', '', D.ticket) end
-- A question that was asked already is not asked again by sending it again, and
-- what a person has decided since the token was sealed stands.
if A.token ~= '' and D['asked:' .. A.token] then
  if A.ticket == D.ticket then return out('already_open', '', D.ticket) end
  local code = ({kept = 'TICKET_DECIDED_KEEP', approved = 'APPROVAL_PENDING', deleted = 'ALREADY_DELETED', deleting = 'IN_FLIGHT'})[D.state]
  return out('refused', code or 'TICKET_UNDECIDED')
end
if D.state == 'kept' and A.seq < tonumber(D.decidedSeq or '0') then return out('refused', 'TICKET_DECIDED_KEEP') end
if D.state == 'approved' and A.seq < tonumber(D.decidedSeq or '0') then return out('refused', 'APPROVAL_PENDING') end
if D.state == 'deleted' then return out('refused', 'ALREADY_DELETED') end
if not step('open') then return out('refused', 'IN_FLIGHT') end
set({ticket = A.ticket, approval = false, approvalTill = false, keep = false, keepUntil = false, hostname = A.hostname})
redis.call('ZREM', KEPT, A.endpoint)
redis.call('DEL', TICKET)
redis.call('HSET', TICKET, 'id', A.ticket, 'endpoint', A.endpoint, 'hostname', A.hostname, 'state', 'open',
  'openedAt', ms(NOW), 'openedBy', A.openedBy, 'openedKey', A.openedKey, 'system', A.system, 'url', A.url, 'two', A.two, 'claims', STORED)
if A.token ~= '' then set({['asked:' .. A.token] = '1'}) end
redis.call('ZADD', OPEN, ms(NOW), A.endpoint)
redis.call('ZADD', TICKETS, ms(NOW), A.ticket)
return answer({outcome = 'opened', code = '', ticket = A.ticket, seq = audit(ENTRY)})
