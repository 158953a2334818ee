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
  local why = A.why
  if why == '' then why = 'Deleted, and Central has it again: it is probably in use and unprotected.' end
  set({cameBackAt = ms(NOW), cameBackBy = A.byDirectory and 'directory'})
  redis.call('ZREM', DELETED, A.endpoint)
  failure('come-back:' .. A.endpoint, {class = 'permanent', text = why, correlation = ''})
  trip('a deleted device came back')
  fall()
  add('cameBack', why)
end

-- A fleet that fell silent is not believed at once when it is heard again: what
-- Central shows of the time between may be missing still. As long as it was
-- silent, it must be heard.
if A.fleet == 'silent' then
  if redis.call('HSETNX', META, 'silentSince', ms(NOW - A.within)) == 1 then add('silentSince', ms(NOW - A.within)) end
elseif A.fleet == 'heard' then
  local since = redis.call('HGET', META, 'silentSince')
  if since then
    redis.call('HDEL', META, 'silentSince')
    local till = math.max(2 * NOW - tonumber(since), tonumber(redis.call('HGET', META, 'silentUntil') or '0'))
    redis.call('HSET', META, 'silentUntil', ms(till))
    add('silentUntil', ms(till))
  end
end

-- A day on which far more devices are found eligible than on any of the week
-- before is more likely a fault in what we are told than so many dead devices.
if A.eligible then
  local today, busiest = eligible(A.endpoint, NOW)
  local seen = redis.call('HGET', META, 'jumpSeen') == tostring(DAY)
  if A.live and not seen and busiest > 0 and today > 20 and today > 3 * busiest then
    trip(today .. ' devices were found eligible today, and at most ' .. busiest .. ' on a day of the week before')
  end
end
return answer({seq = audit(ENTRY)})
