-- Newer records take the place of those on the roll. The index of names follows:
-- each record is kept behind its short name.
local devices, names = KEYS[1], KEYS[2]
local n = 0
for _, d in ipairs(cjson.decode(ARGV[1])) do
  local was = redis.call('HGET', devices, d.id)
  local old = was and string.match(was, '^([^\n]*)\n')
  if old and old ~= d.name then
    local ids = redis.call('HGET', names, old) or ''
    ids = string.gsub(',' .. ids .. ',', ',' .. string.gsub(d.id, '%-', '%%-') .. ',', ',')
    ids = string.gsub(ids, '^,+', '')
    ids = string.gsub(ids, ',+$', '')
    if ids == '' then redis.call('HDEL', names, old) else redis.call('HSET', names, old, ids) end
  end
  if old ~= d.name then
    local ids = redis.call('HGET', names, d.name)
    redis.call('HSET', names, d.name, ids and (ids .. ',' .. d.id) or d.id)
  end
  redis.call('HSET', devices, d.id, d.name .. '\n' .. d.record)
  if not was then n = n + 1 end
end
return n
