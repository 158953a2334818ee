-- The reading that has the turn ends it: it is committed, or abandoned. After one that
-- failed nobody has the turn for a while.
if S.turn ~= A.reading then return 'turn' end
local lost = not intact(into, S[field])
if A.rest or lost then
  if not S.refresh then drop(A.reading) end
  set('turn', '', 'till', whole(now + (A.rest or 0)), 'hold', whole(A.rest or 0), 'failed', whole(now))
  redis.call('HDEL', state, 'begun', 'turnSize', 'left', 'refresh')
  return A.rest and '' or 'lost'
end
if not S.refresh then
  drop(S.id)
  set('id', A.reading, 'size', S.turnSize or '0 0', 'whole', S.begun)
  stay(A.reading, A.stays)
end
if S.groups then redis.call('UNLINK', prefix .. S.groups .. ':groups') end
redis.call('HDEL', state, 'groups')
if A.groups then
  redis.call('SET', prefix .. A.reading .. ':groups', A.groups, 'PX', whole(A.stays))
  set('groups', A.reading)
end
set('at', S.begun, 'central', whole(A.central), 'newest', whole(A.newest))
redis.call('HDEL', state, 'turn', 'till', 'hold', 'refresh', 'begun', 'turnSize', 'left', 'failed')
return ''
