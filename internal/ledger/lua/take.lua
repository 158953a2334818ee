-- Takes the reads that were asked for first, unless it is another's turn, and keeps the
-- taker's: it may have ended while a call was waited for.
local reads, turn = KEYS[1], KEYS[2]
local whose = redis.call('GET', turn)
if whose and whose ~= ARGV[1] then return {} end
redis.call('SET', turn, ARGV[1], 'PX', ARGV[3])
return redis.call('LPOP', reads, ARGV[2]) or {}
