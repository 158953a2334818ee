package policy

import "time"

// Open reports whether deletes are allowed at now, and if not how long until
// they are. Day and hour are read from one instant in the window's zone. No
// window is always open; one without a day or a zone never is, and one that would
// reach over midnight (From not before To) neither: the policy's reader refuses it.
func (w *Window) Open(now time.Time) (bool, time.Duration) {
	switch {
	case w == nil:
		return true, 0
	case w.Location == nil: // nobody can say what time it is there
		return false, 7 * day
	}
	local := now.In(w.Location)
	if minute := local.Hour()*60 + local.Minute(); w.Days[local.Weekday()] && minute >= w.From && minute < w.To {
		return true, 0
	}
	for ahead := range 8 {
		y, m, d := local.Date()
		start := time.Date(y, m, d+ahead, w.From/60, w.From%60, 0, 0, w.Location)
		if w.Days[start.Weekday()] && start.After(now) {
			return false, start.Sub(now)
		}
	}
	return false, 7 * day
}
