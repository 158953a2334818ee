-- A person has seen the failures of a device.
local gone = redis.call('HDEL', FAILURES, 'verify:' .. A.endpoint, 'delete:' .. A.endpoint, 'come-back:' .. A.endpoint)
if gone > 0 then audit(ENTRY) end
return answer({gone = gone})
