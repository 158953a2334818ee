-- A reading takes the turn, unless another has it, one failed a moment ago, or the
-- roll is another than who wants to begin has seen.
local held = S.turn and now < tonumber(S.till) and tonumber(S.till) - now <= tonumber(S.hold)
local rests = S.failed and now >= tonumber(S.failed) and now < tonumber(S.failed) + tonumber(S.again or '0')
if at ~= A.seen or held or rests then return '' end
if S.turn then -- its process ended, or sleeps
  drop(S.turn)
  set('failed', whole(now))
end
redis.call('HDEL', state, 'expected', 'again', 'turnSize')
set('turn', A.reading, 'till', whole(now + A.turn), 'hold', whole(A.turn))
return whole(now)
