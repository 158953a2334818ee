-- Nobody calls Central with a credential until then; a longer pause stays.
local time = redis.call('TIME')
local till = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2]) + tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[1]) or '0') < till then
  redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.max(1, tonumber(ARGV[1])) + 60000)
end
return 1
