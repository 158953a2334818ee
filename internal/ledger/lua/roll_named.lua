-- The state of a roll, and the devices on it of one short name. Who asks for the
-- state alone is counted, by the minute.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2])
local minute = math.floor(now / 60000)
local state = redis.call('HGETALL', KEYS[1])
local s = {}
for i = 1, #state, 2 do s[state[i]] = state[i + 1] end
local asked, before = tonumber(s.asked or '0'), tonumber(s.before or '0')
if s.minute ~= tostring(minute) then
  before = s.minute == tostring(minute - 1) and asked or 0
  asked = 0
end
if ARGV[1] == '' then
  asked = asked + 1
  redis.call('HSET', KEYS[1], 'minute', tostring(minute), 'asked', asked, 'before', before)
end
local lately = asked + before
local out = {cjson.encode({
  at = s.at or '', whole = s.whole or '', count = s.count or '', newest = s.newest or '', asked = lately,
  expected = s.expected or '', failed = s.failed or '', now = string.format('%.0f', now),
})}
if s.reading then
  local devices, names = KEYS[2] .. s.reading .. ':devices', KEYS[2] .. s.reading .. ':names'
  for _, name in ipairs({ARGV[1], ''}) do
    local ids = redis.call('HGET', names, name)
    if ids and not (name == '' and ARGV[1] == '') then
      for id in string.gmatch(ids, '[^,]+') do
        local d = redis.call('HGET', devices, id)
        if d then out[#out + 1] = string.sub(d, string.find(d, '\n') + 1) end
      end
    end
  end
end
return out
