-- Takes the reads that were asked for first, unless it is another process's turn.
-- A turn lasts until its process finds nothing, or for so long.
local reads, turn = KEYS[1], KEYS[2]
local whose = redis.call('GET', turn)
if whose and whose ~= ARGV[1] then return {0} end
local out = {1}
for _, read in ipairs(redis.call('LPOP', reads, ARGV[2]) or {}) do out[#out + 1] = read end
if #out == 1 then
  redis.call('DEL', turn)
else
  redis.call('SET', turn, ARGV[1], 'PX', ARGV[3])
end
return out
