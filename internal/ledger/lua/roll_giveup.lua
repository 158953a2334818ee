-- The reading that has the turn ends it, and has failed.
if S.turn ~= A.reading then return '' end
drop(A.reading)
redis.call('HDEL', state, 'turn', 'till', 'hold', 'turnSize', 'expected')
set('failed', whole(now), 'again', whole(A.again))
return ''
