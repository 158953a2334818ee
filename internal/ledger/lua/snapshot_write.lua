-- A page is added to the reading that has the turn. Newer records take the place of
-- those that are there, and the index follows.
if S.turn ~= A.reading then return 'turn' end
if not intact(into, S[field]) then return 'lost' end
for _, d in ipairs(A.devices) do put(into, d) end
set(field, size(into), 'till', whole(now + tonumber(S.hold)), 'left', whole(A.left))
stay(into, stays)
return ''
