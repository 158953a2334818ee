-- A step without an arrow of its own: audit, the row of failed verifications,
-- the latest decision, and a device that came back.
if A.hostname ~= '' then set({hostname = A.hostname}) end
if A.verified then
  set({vfails = false, vfailAt = false})
  redis.call('HDEL', FAILURES, 'verify:' .. A.endpoint, 'verify:')
end
if A.failed then
  if A.failed.outage then
    failure('verify:', A.failed)
  else
    failure('verify:' .. A.endpoint, A.failed)
  end
  local last = tonumber(D.vfailAt or '0')
  if A.count and (last == 0 or NOW - last >= A.apart) then
    set({vfails = tonumber(D.vfails or '0') + 1, vfailAt = ms(NOW)})
  end
end
if STORED ~= '' then
  redis.call('HSET', DECISIONS, A.endpoint, STORED)
  redis.call('ZADD', DECIDED, ms(NOW), A.endpoint)
end
if A.cameBack and step('come_back') then
  set({cameBackAt = ms(NOW)})
  redis.call('ZREM', DELETED, A.endpoint)
  failure('come-back:' .. A.endpoint, {class = 'permanent', text = 'Deleted, and Central has it again: it is probably in use and unprotected.', correlation = ''})
  trip('a deleted device came back')
  fall()
end
return answer({seq = audit(ENTRY)})
