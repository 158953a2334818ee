-- Old entries leave the trail; the place where it begins then is kept, so that
-- what follows can still be chained. Nothing goes that was not exported.
if tonumber(redis.call('HGET', KEYS[1], 'baseSeq') or '0') ~= tonumber(ARGV[1]) then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'seq') or '0') < tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'baseSeq', ARGV[2], 'baseDigest', ARGV[3])
return redis.call('XTRIM', KEYS[2], 'MINID', tostring(tonumber(ARGV[2]) + 1) .. '-0')
