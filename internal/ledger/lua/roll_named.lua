-- The state of a roll, and the devices on it of one name, with those whose name
-- can't be read. Who asks for the state alone is counted, by the minute.
local minute = math.floor(now / 60000)
local asked, before = tonumber(S.asked or '0'), tonumber(S.before or '0')
if S.minute ~= whole(minute) then
  before = S.minute == whole(minute - 1) and asked or 0
  asked = 0
end
if A.name == '' then
  asked = asked + 1
  set('minute', whole(minute), 'asked', asked, 'before', before)
elseif roll then
  give(bearers('n' .. A.name, -1))
  give(bearers('u', -1))
end
return answer(asked + before, '')
