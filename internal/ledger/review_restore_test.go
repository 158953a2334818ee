package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
)

// other is a tenant that comes after dev's.
const other = "d1b9e2c3-68cf-4b4a-9f25-3caef081b6d2"

// A restore that breaks off and is run again restores the global pause.
func TestReviewARestoreThatBrokeOffAndIsRunAgainRestoresTheGlobalPause(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.note(t, action.Note{})
		if _, err := r.Pause(t.Context(), action.Switch{Reason: "incident", By: "ann"}); err != nil {
			t.Fatal(err)
		}
		r.noteOf(t, action.Ref{TenantID: other, EndpointID: dev.EndpointID}, action.Note{}) // a tenant that came later
		text := r.exported(t)
		r.rdb.FlushAll(t.Context())
		meta := "rollcall:{" + other + "}:meta"
		r.rdb.Set(t.Context(), meta, "in the way", 0) // as good as a kill before the second tenant
		if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err == nil {
			t.Fatal("it did not break off")
		}
		r.rdb.Del(t.Context(), meta)
		if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
			t.Fatal(err)
		}
		if why, err := r.Paused(t.Context(), dev.TenantID); why == "" || err != nil {
			t.Errorf("paused %q %v: deletes go on", why, err)
		}
	})
}

// The global pause is in the trail of a tenant that is first seen while
// it is on; else nothing that is exported tells of it.
func TestReviewAGlobalPauseThrownBeforeAnyTenantIsKnownIsRestored(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		if _, err := r.Pause(t.Context(), action.Switch{Reason: "not live yet", By: "ann"}); err != nil {
			t.Fatal(err)
		}
		r.note(t, action.Note{})
		text := r.exported(t)
		r.rdb.FlushAll(t.Context())
		if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
			t.Fatal(err)
		}
		if why, err := r.Paused(t.Context(), dev.TenantID); why == "" || err != nil {
			t.Errorf("paused %q %v: deletes go on", why, err)
		}
	})
}

// cutting is a pipe whose writer was killed in the middle of a line.
type cutting struct {
	bytes.Buffer
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	if c.left < 0 || len(b) <= c.left {
		return c.Buffer.Write(b)
	}
	n, _ := c.Buffer.Write(b[:c.left])
	c.left = -1
	return n, errors.New("no space left on device")
}

// A line that was cut when the disk was full or the process was killed
// is written again whole; the piece of it does not spoil the trail for good.
func TestReviewACutLineDoesNotSpoilTheTrail(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for range 3 {
			r.note(t, action.Note{})
		}
		out := &cutting{left: 900}
		if err := r.Export(t.Context(), out); err == nil {
			t.Fatal("it was not cut")
		}
		if err := r.Export(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		if n, err := checked(out.String()); err != nil || n != 3 {
			t.Errorf("audit verify: %d %v", n, err)
		}
	})
}

// A store that is lost twice, and rebuilt twice from the same lines,
// leaves a trail that verifies and can be restored from.
func TestReviewTwoRestoresFromTheSameLinesLeaveATrailThatVerifies(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.note(t, action.Note{})
		text := r.exported(t)
		all := text
		for range 2 {
			r.rdb.FlushAll(t.Context())
			if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
				t.Fatal(err)
			}
			all += r.exported(t)
		}
		if n, err := checked(all); err != nil {
			t.Errorf("audit verify: %d %v\n%s", n, err, strings.TrimSpace(all))
		}
	})
}

// What an acceptance of a rollback leaves out
// is not left out in silence: whoever can only append a line to the file of audit
// lines, and needs no key for it, takes back a person's keep and a pause.
func TestReviewAnAppendedAcceptanceDoesNotEraseWhatCameBefore(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.noteOf(t, device(0), action.Note{})
		r.askOf(t, device(1), "INC-1")
		r.decideOf(t, device(1), "INC-1", "keep")
		if _, err := r.Pause(t.Context(), action.Switch{TenantID: dev.TenantID, Reason: "incident", By: "ann"}); err != nil {
			t.Fatal(err)
		}
		text := r.exported(t)
		first, _, _ := strings.Cut(text, "\n")
		_, digest, _ := strings.Cut(first, `"digest":"`)
		forged, err := ledger.Link(strings.TrimSuffix(digest, `"}`), []byte(
			`{"seq":2,"at":"2030-01-01T00:00:00.000Z","action":"state-init","outcome":"rollback-accepted","tenantId":"`+dev.TenantID+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		text += string(forged) + "\n"
		if r, err := lines(t, text).Check(); err == nil && (len(r.GivenUp) != 1 || !strings.Contains(r.GivenUp[0], "after entry 1 was given up at 2030")) {
			t.Errorf("audit verify: whole, %d entries, and not a word of what is left out: %q", r.Entries, r.GivenUp)
		}
		r.rdb.FlushAll(t.Context())
		if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
			return // refused: as it should be, unless the operator says which branch holds
		}
		st, err := r.Standing(t.Context(), device(1), "")
		if err != nil || st.State != ledger.StateKept || st.Paused == "" {
			t.Errorf("restored: state %s, paused %q %v", st.State, st.Paused, err)
		}
	})
}

// during does something while a page of lines is being written.
type during struct {
	bytes.Buffer
	do func()
}

func (d *during) Write(b []byte) (int, error) {
	if d.do != nil {
		d.do()
		d.do = nil
	}
	return d.Buffer.Write(b)
}

// Where the store is set back while a page is being written, what it
// writes from then on is exported, the acceptance of the rollback first of all.
func TestReviewAStoreSetBackWhileItIsExportedLosesNoLine(t *testing.T) {
	r := marked(t, realRedis(t))
	r.note(t, action.Note{})
	var out during
	if err := r.Export(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	dump := map[string]string{}
	for _, key := range r.rdb.Keys(t.Context(), "*").Val() {
		if !strings.HasSuffix(key, ":exporter") {
			dump[key] = r.rdb.Dump(t.Context(), key).Val()
		}
	}
	for range 3 {
		r.note(t, action.Note{})
	}
	out.do = func() { // a failover to a replica that lacks the last entries
		for key, value := range dump {
			r.rdb.RestoreReplace(t.Context(), key, 0, value)
		}
	}
	if err := r.Export(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AcceptRollback(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.note(t, action.Note{})
	}
	if err := r.Export(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	n, err := checked(out.String())
	if !strings.Contains(out.String(), "rollback-accepted") {
		t.Errorf("the acceptance was never exported; audit verify: %d entries, %v", n, err)
	}
}

// Over an older backup a restore does not leave the ramp higher than the
// lost store had it: it begins at its first level, as it is told.
func TestReviewARestoreOverAnOlderBackupBeginsTheRampAnew(t *testing.T) {
	r := marked(t, realRedis(t))
	meta := "rollcall:{" + dev.TenantID + "}:meta"
	r.noteOf(t, device(0), action.Note{})
	r.rdb.HSet(t.Context(), meta, "level", 3, "top", 4) // climbed in weeks
	text := r.exported(t)
	dump := map[string]string{}
	for _, key := range r.rdb.Keys(t.Context(), "*").Val() {
		dump[key] = r.rdb.Dump(t.Context(), key).Val()
	}
	in := intent("t1")
	in.Limits.PerDay, in.Outcome = []int{100, 101, 102, 103, 104}, "intent"
	r.begin(t, in)
	r.settle(t, "t1", action.SettleFailed) // it fell
	if level := r.rdb.HGet(t.Context(), meta, "level").Val(); level != "2" {
		t.Fatalf("level %s", level)
	}
	text += r.exported(t)
	r.rdb.FlushAll(t.Context())
	for key, value := range dump {
		r.rdb.Restore(t.Context(), key, 0, value)
	}
	if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
		t.Fatal(err)
	}
	if level := r.rdb.HGet(t.Context(), meta, "level").Val(); level != "" && level != "0" {
		t.Errorf("level %s", level)
	}
}

// A day on which something failed is not clean in a restored store either.
func TestReviewADayWithAFailureIsNotCleanAfterARestoreEither(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.deleteOf(t, device(1), action.SettleFailed)
		text := r.exported(t)
		r.rdb.FlushAll(t.Context())
		if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
			t.Fatal(err)
		}
		r.deleteOf(t, device(2), action.SettleDeleted)
		if day := r.rdb.HGet(t.Context(), "rollcall:{"+dev.TenantID+"}:meta", "lastOk").Val(); day != "" {
			t.Errorf("day %s counts as clean", day)
		}
	})
}

// A restore that is refused half-way, since a replica was still writing,
// changes nothing; at the least it leaves a store that live mode does not trust.
func TestReviewARestoreRefusedHalfWayLeavesNoStoreThatIsTrusted(t *testing.T) {
	r := marked(t, realRedis(t))
	last := action.Ref{TenantID: other, EndpointID: dev.EndpointID}
	r.noteOf(t, last, action.Note{})
	dump := map[string]string{} // an older backup, with the mark
	for _, key := range r.rdb.Keys(t.Context(), "*").Val() {
		dump[key] = r.rdb.Dump(t.Context(), key).Val()
	}
	for range 300 {
		r.note(t, action.Note{})
	}
	r.askOf(t, last, "INC-1")
	r.decideOf(t, last, "INC-1", "keep")
	text := r.exported(t)
	r.rdb.FlushAll(t.Context())
	for key, value := range dump {
		r.rdb.Restore(t.Context(), key, 0, value)
	}
	replica, wrote, o := r.replica(t), false, r.at
	o.Offset = func() time.Duration { // each step asks for it: here it is another's turn in between
		if !wrote && r.rdb.Exists(t.Context(), "rollcall:{"+dev.TenantID+"}:audit").Val() == 1 {
			wrote = true
			_, _ = replica.Note(t.Context(), action.Note{Mark: markOf(last, "evaluate")})
		}
		return 0
	}
	restoring, err := ledger.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = restoring.Close() }()
	_, err = restoring.Restore(t.Context(), lines(t, text), "ann", false)
	if err == nil {
		t.Fatal("the replica's entry was passed over")
	}
	st, err2 := r.Standing(t.Context(), last, "")
	if err2 != nil {
		t.Fatal(err2)
	}
	if st.State != ledger.StateKept && st.Unverified == "" {
		t.Errorf("after %q the kept device is %s and the store is trusted", err, st.State)
	}
}

// A ticket id that aged out and was used again for another device leads
// to that device in a restored store.
func TestReviewATicketIDUsedAgainLeadsToItsLastDeviceAfterARestore(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.askOf(t, device(0), "INC-1")
		r.decideOf(t, device(0), "INC-1", "none")
		r.pass(401 * 24 * time.Hour)
		if err := r.Age(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.askOf(t, device(1), "INC-1")
		text := r.exported(t)
		r.rdb.FlushAll(t.Context())
		if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
			t.Fatal(err)
		}
		tk, err := r.Ticket(t.Context(), "INC-1")
		if err != nil || tk.EndpointID != device(1).EndpointID {
			t.Errorf("ticket of %q: %v", tk.EndpointID, err)
		}
	})
}

// Of two throws of the global switch in one millisecond the later one
// holds, by their numbers: resumed and paused again is paused.
func TestReviewOfTwoThrowsInOneMillisecondTheLaterHoldsAfterARestore(t *testing.T) {
	r := marked(t, realRedis(t))
	r.note(t, action.Note{})
	text := r.exported(t)
	prev := strings.TrimSuffix(text[strings.LastIndex(text, `"digest":"`)+10:], "\"}\n")
	for i, what := range []string{"resume", "pause"} { // as the exporter writes them
		line, err := ledger.Link(prev, fmt.Appendf(nil, `{"seq":%d,"at":"2030-01-01T00:00:00.000Z","action":%q,"outcome":"done","by":"ann","global":true,"reason":"x","tenantId":%q}`,
			i+2, what, dev.TenantID))
		if err != nil {
			t.Fatal(err)
		}
		text += string(line) + "\n"
		prev = prevOf(t, strings.Replace(strings.Replace(string(line), `"prev"`, `"was"`, 1), `"digest"`, `"prev"`, 1))
	}
	r.rdb.FlushAll(t.Context())
	if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
		t.Fatal(err)
	}
	if why, err := r.Paused(t.Context(), dev.TenantID); why == "" || err != nil {
		t.Errorf("paused %q %v", why, err)
	}
}

func TestReviewAFlushedStoreHasNoWholeTrail(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.note(t, action.Note{})
		r.rdb.FlushAll(t.Context())
		if own, err := r.VerifyAudit(t.Context()); err == nil || !strings.Contains(err.Error(), "state restore") {
			t.Errorf("%+v %v", own, err)
		}
	})
}

func TestReviewARestoreThatIsDoneMayBeRunAgain(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.history(t)
		text := r.exported(t)
		r.rdb.FlushAll(t.Context())
		for i, want := range []int{strings.Count(text, "\n"), 0} {
			if done, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil || done.Entries != want {
				t.Errorf("run %d: %+v %v", i+1, done, err)
			}
		}
		if _, err := r.VerifyAudit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
