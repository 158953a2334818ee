-- A reading takes the turn, unless another has it, one failed a moment ago, or the
-- snapshot is another than the reading has seen.
if held or at ~= A.seen then return 'turn' end
drop(S.turn) -- its process ended, or sleeps
redis.call('HDEL', state, 'turnSize', 'left', 'refresh')
set('turn', A.reading, 'begun', whole(now), 'till', whole(now + A.turn), 'hold', whole(A.turn))
if A.refresh then set('refresh', '1') end
return ''
