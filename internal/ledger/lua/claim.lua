-- Takes the turn to read what was asked for, or keeps it: one process has it as long as
-- it comes back in time. Where nothing is asked there is no turn. Returns whether it is
-- the claimer's, and how many reads wait.
local reads, turn = KEYS[1], KEYS[2]
local whose = redis.call('GET', turn)
if whose and whose ~= ARGV[1] then return {0, 0} end
local n = redis.call('LLEN', reads)
if n == 0 then
  redis.call('DEL', turn)
else
  redis.call('SET', turn, ARGV[1], 'PX', ARGV[2])
end
return {1, n}
