package policy

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// FuzzDecisions evaluates facts, policies and times of every shape, beginning
// with the decisions on record.
func FuzzDecisions(f *testing.F) {
	for _, path := range files(f) {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var g golden
		if json.Unmarshal(b, &g) != nil {
			return
		}
		d := Evaluate(g.Facts, g.Params, g.Now)
		if len(d.Reasons) == 0 || d.Verdict > Delete || d.Reasons[0].Verdict != d.Verdict {
			t.Fatalf("%v", d)
		}
		EvidenceDigest(g.Facts.Live)
		if v := Verify(g.Facts, g.Params, g.Now); len(v.Reasons) != 1 {
			t.Fatalf("%v", v)
		} else if d.Verdict == Delete {
			checkDelete(t, g, v)
		}
	})
}

// checkDelete holds a delete against what must be true of each, whatever the
// rules think of it.
func checkDelete(t *testing.T, g golden, v Verification) {
	t.Helper()
	f, live := g.Facts, g.Facts.Live.Device
	approved := func(c Code) bool { return waived(f.Approval, c) }
	days := time.Duration(g.Params.InactiveDays.Computer) * day
	old := func(at Field[time.Time]) bool { return at.Known() && g.Now.Sub(at.Value) >= days }
	excused := approved(NotInactiveLongEnough) || approved(LastSeenMissing) || approved(LastSeenInvalid)
	for what, ok := range map[string]bool{
		"it was found":                f.Live.Status == LiveFound,
		"it is the event's":           live.ID.Known() && live.ID == f.Event.Central.ID,
		"it is the tenant's":          live.TenantID.Known() && live.TenantID == f.Event.Central.TenantID,
		"nothing is paused":           f.Standing.Paused == "" && f.Standing.Unverified == "",
		"it was not deleted before":   f.Standing.DeletedAt.IsZero() && !f.Standing.InFlight && f.Standing.OpenTicket == "",
		"the account is not enabled":  !f.Event.Directory.Enabled.Value && f.Event.Directory.DistinguishedName.Known(),
		"the event is readable":       len(f.Event.Garbled) == 0,
		"it is offline":               !live.Online.Value || approved(ActiveInCentral),
		"Central saw it long ago":     old(live.LastSeenAt) || excused,
		"the event saw it long ago":   old(f.Event.Central.LastSeenAt) || excused,
		"verify-live does not object": f.Approval != nil || v.Outcome == "inactive",
	} {
		if !ok {
			t.Errorf("delete, though not: %s", what)
		}
	}
}
