-- What was found beside the roll is put on it, and on the reading that is under way.
for _, into in ipairs({{roll, 'size', A.stays}, {S.turn, 'turnSize', A.readingStays}}) do
  local reading, field, stays = into[1], into[2], into[3]
  if reading and intact(reading, S[field]) then
    for _, d in ipairs(A.devices) do put(reading, d) end
    set(field, size(reading))
    stay(reading, stays)
  end
end
return ''
