package policy

import (
	"testing"
	"time"
)

// TestAWindowOpensWhenItsWaitIsOverAndNotBefore walks through both changes of the
// clocks, in steps that meet every minute of the hour.
func TestAWindowOpensWhenItsWaitIsOverAndNotBefore(t *testing.T) {
	days := [7]bool{time.Sunday: true, time.Monday: true, time.Wednesday: true}
	for _, name := range []string{"Europe/London", "Australia/Sydney", "Pacific/Honolulu"} {
		w := &Window{Location: zone(t, name), Days: days, From: 9 * 60, To: 16 * 60}
		start, opened := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC), 0
		for at := start; at.Before(start.AddDate(0, 8, 0)); at = at.Add(17 * time.Minute) {
			open, wait := w.Open(at)
			local := at.In(w.Location)
			if want := days[local.Weekday()] && local.Hour() >= 9 && local.Hour() < 16; open != want {
				t.Fatalf("%s: open is %v", local, open)
			}
			if open {
				opened++
				continue
			}
			if then, _ := w.Open(at.Add(wait)); !then {
				t.Fatalf("%s: still shut after %s", local, wait)
			}
			if before, _ := w.Open(at.Add(wait - time.Nanosecond)); before {
				t.Fatalf("%s: open before %s are over", local, wait)
			}
		}
		if opened < 1000 {
			t.Errorf("%s: open at %d steps only", name, opened)
		}
	}
}
