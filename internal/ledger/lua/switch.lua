-- A tenant's kill switch, or its circuit.
if A.what == 'pause' then
  redis.call('HSET', META, 'paused', A.reason, 'pausedBy', A.by)
elseif A.what == 'resume' then
  redis.call('HDEL', META, 'paused', 'pausedBy')
elseif A.what == 'circuit-reset' then
  redis.call('HDEL', META, 'circuit')
  redis.call('HSET', META, 'failRow', 0, 'jumpSeen', tostring(DAY)) -- a person has seen today's jump
end
return answer({seq = audit(ENTRY)})
