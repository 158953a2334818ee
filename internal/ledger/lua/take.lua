-- Takes the reads that were asked for first, on the taker's turn alone, and renews it.
local reads, turn = KEYS[1], KEYS[2]
if redis.call('GET', turn) ~= ARGV[1] then return {} end
redis.call('PEXPIRE', turn, ARGV[3])
return redis.call('LPOP', reads, ARGV[2]) or {}
