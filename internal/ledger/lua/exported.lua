-- The trail was written out from one place to another. Who was overtaken says
-- nothing, nor does who wrote what the store has lost since.
local at = redis.call('HGET', KEYS[1], 'seq') or redis.call('HGET', KEYS[1], 'baseSeq') or '0'
if tonumber(at) ~= tonumber(ARGV[1]) then return 0 end
if tonumber(redis.call('HGET', KEYS[2], 'seq') or '0') < tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'digest', ARGV[3])
return 1
