-- The state of a roll, and the devices on it of one name, with those whose name
-- can't be read. Who asks for the state alone is counted, for two to four minutes: as
-- long as a large inventory takes to be read, for which those who ask are told to wait.
local span = math.floor(now / 120000)
local asked, before = tonumber(S.asked or '0'), tonumber(S.before or '0')
if S.span ~= whole(span) then
  before = S.span == whole(span - 1) and asked or 0
  asked = 0
end
if A.name == '' then
  asked = asked + 1
  set('span', whole(span), 'asked', asked, 'before', before)
elseif roll then
  give(bearers('n' .. A.name, -1))
  give(bearers('u', -1))
end
return answer(asked + before, '')
