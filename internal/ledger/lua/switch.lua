-- A tenant's kill switch, or its circuit.
if A.what == 'pause' then
  redis.call('HSET', META, 'paused', A.reason, 'pausedBy', A.by)
elseif A.what == 'resume' then
  redis.call('HDEL', META, 'paused', 'pausedBy')
elseif A.what == 'circuit-reset' then
  redis.call('HDEL', META, 'circuit')
  redis.call('HSET', META, 'failRow', 0, 'jumpSeen', tostring(DAY)) -- a person has seen today's jump
end
-- An acceptance, or a restore: what the store holds now is what holds.
if A.what == 'trust' then
  redis.call('HDEL', META, 'distrusted')
  DISTRUSTED = false
end
if DISTRUSTED then return answer({}) end -- thrown, and not in a trail that may be replaced
return answer({seq = audit(ENTRY)})
