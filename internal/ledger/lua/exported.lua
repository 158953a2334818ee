-- The trail was written out as far as this. Who was overtaken says nothing.
if tonumber(redis.call('HGET', KEYS[1], 'seq') or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'digest', ARGV[3])
return 1
