package policy

import "time"

// Open reports whether deletes are allowed at now, and if not how long until
// they are. Day and hour are read from one instant in the window's zone. No
// window is always open; one without a day never is.
func (w *Window) Open(now time.Time) (bool, time.Duration) {
	if w == nil {
		return true, 0
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
