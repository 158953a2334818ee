-- A page is added to the reading that has the turn, or refreshes the roll in it.
-- Newer records take the place of those that are there, and the index follows.
if S.turn ~= A.reading then return 'turn' end
local into, field = A.reading, 'turnSize'
if A.refresh then into, field = roll, 'size' end
if not intact(into, S[field]) then return 'lost' end
for _, d in ipairs(A.devices) do put(into, d) end
set(field, size(into), 'till', whole(now + tonumber(S.hold)))
stay(into, A.refresh and A.stays or A.readingStays)
return ''
