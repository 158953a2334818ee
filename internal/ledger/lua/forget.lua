-- A closed ticket that has outlived its retention goes, unless it was opened
-- again, or what was decided on it still holds.
local T = hash(TICKET)
local rests = D.ticket == A.ticket and (D.state == 'approved' or D.state == 'deleting' or D.state == 'kept')
if rests or T.state ~= 'closed' or tonumber(T.closedAt) > NOW - A.age then return answer({gone = 0}) end
redis.call('DEL', TICKET)
redis.call('ZREM', TICKETS, A.ticket)
return answer({gone = 1})
