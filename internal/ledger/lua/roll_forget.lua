-- A device goes from the roll, and from the reading that is under way.
if roll and take(roll, A.id) then set('size', size(roll)) end
if S.turn and intact(S.turn, S.turnSize) and take(S.turn, A.id) then set('turnSize', size(S.turn)) end
return ''
