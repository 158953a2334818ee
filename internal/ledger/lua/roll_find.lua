-- The state of a roll, and the devices on it that bear one of some traits. Of a
-- trait that too many bear it is only said which it is.
local crowded = {}
for i, t in ipairs(roll and A.traits or {}) do
  if string.sub(t, 1, 1) == 'i' then
    give({string.sub(t, 2)})
  else
    local ids = bearers(t, A.most + 1)
    if #ids > A.most then crowded[#crowded + 1] = whole(i - 1) else give(ids) end
  end
end
return answer(0, table.concat(crowded, ','))
