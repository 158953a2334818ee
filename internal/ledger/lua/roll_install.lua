-- The reading that has the turn ends it: it takes the roll's place, or has
-- refreshed the roll. An older one takes the place of none.
if S.turn ~= A.reading or newer(S.at, A.at) then return 'turn' end
if A.whole then
  if newer(S.whole, A.whole) then return 'turn' end
  if not intact(A.reading, S.turnSize) then return 'lost' end
  drop(S.reading)
  set('reading', A.reading, 'whole', whole(A.whole), 'size', S.turnSize or '0 0')
  stay(A.reading, A.stays)
elseif not roll then
  return 'lost'
end
set('at', whole(A.at), 'heard', whole(A.heard), 'newest', whole(A.newest))
redis.call('HDEL', state, 'turn', 'till', 'hold', 'turnSize', 'expected', 'failed', 'again')
return ''
