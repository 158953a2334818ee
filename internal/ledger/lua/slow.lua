-- Nobody calls Central with a credential until then; a longer pause stays,
-- but for one that is too long to be any: a clock that was ahead has left it behind.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2])
local till, stands = now + tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or '0')
if stands < till or stands > now + tonumber(ARGV[3]) then
  redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.max(1, tonumber(ARGV[1])) + 60000)
end
return 1
