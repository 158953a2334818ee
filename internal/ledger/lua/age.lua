-- What has outlived its retention goes, a piece at a time.
local function before(set, age)
  return redis.call('ZRANGEBYSCORE', set, '-inf', ms(NOW - age), 'LIMIT', 0, A.piece)
end
local gone = 0
for _, endpoint in ipairs(before(DECIDED, A.decisions)) do
  redis.call('ZREM', DECIDED, endpoint)
  redis.call('HDEL', DECISIONS, endpoint)
  gone = gone + 1
end
for _, endpoint in ipairs(before(DELETED, A.deleted)) do
  redis.call('ZREM', DELETED, endpoint)
  redis.call('HDEL', RECORDS, endpoint)
  gone = gone + 1
end
return answer({gone = gone})
