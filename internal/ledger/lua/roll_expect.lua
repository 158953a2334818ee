-- The reading that has the turn keeps it, and says when it will be done.
if S.turn ~= A.reading then return 'turn' end
set('expected', whole(now + A['in']), 'till', whole(now + tonumber(S.hold)))
return ''
