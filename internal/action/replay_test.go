package action_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

const (
	aTenant = "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"
	aDevice = "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"
	other   = "1a0b6f2c-5d3e-4a71-8c94-0e7f1b2d3a46"
)

// judged is when the decisions of these tests were made: long ago, by any clock
// that runs.
func judged() time.Time { return time.Date(2020, 6, 1, 12, 0, 0, 0, time.UTC) }

// aPolicy is a policy under which the device of aLine is deleted.
func aPolicy() policy.Params {
	p := policy.DefaultParams()
	p.Version = "candidate"
	p.DisabledOUs = []policy.DN{{{"ou=disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	p.Domains = map[string]string{"CORPEX": "corp.example.test"}
	return p
}

// aLine is a decision on record about a device that was last seen 100 days before.
func aLine(tb testing.TB, id, hostname, verdict, code string, edit ...func(map[string]any)) []byte {
	tb.Helper()
	dn := policy.DN{{"cn=" + hostname}, {"ou=disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}
	dev := policy.Device{
		ID: policy.Is(id), TenantID: policy.Is(aTenant), Hostname: policy.Is(hostname), Type: policy.Is("computer"),
		Platform: policy.Is("windows"), OSName: policy.Is("Windows 11 Pro"), IsServer: policy.Is(false), Build: policy.Is(22631),
		LastSeenAt: policy.Is(judged().AddDate(0, 0, -100)), Online: policy.Is(false), ViaLogin: policy.Is(`CORPEX\j.doe`),
	}
	line := map[string]any{
		"tenantId": aTenant, "endpointId": id, "at": judged(), "hostname": hostname, "verdict": verdict, "reasonCode": code,
		"reasons": []policy.Reason{{Code: policy.Code(code), Text: "x"}}, "mode": "dry-run", "policyVersion": "old", "evaluatedAt": judged(),
		"event": policy.Event{
			ObservedAt: policy.Is(judged().Add(-time.Hour)), Central: dev,
			Directory: policy.Directory{
				Present: true, Hostname: policy.Is(hostname), Domain: policy.Is("corp.example.test"), DistinguishedName: policy.Is(dn),
				OperatingSystem: policy.Is("Windows 11 Pro"), OperatingSystemVersion: policy.Is(22631), Enabled: policy.Is(false),
			},
		},
		"live": policy.Live{
			Status: policy.LiveFound, At: judged(), Device: dev, SameNamed: []policy.Device{dev}, NewestSeenAt: policy.Is(judged()),
		},
		"standing": policy.Standing{},
	}
	for _, f := range edit {
		f(line)
	}
	// The device comes first, as the ledger writes it.
	rest := maps.Clone(line)
	head := map[string]any{"tenantId": line["tenantId"], "endpointId": line["endpointId"], "at": line["at"]}
	for name := range head {
		delete(rest, name)
	}
	front, err := json.Marshal(head)
	if err != nil {
		tb.Fatal(err)
	}
	back, err := json.Marshal(rest)
	if err != nil {
		tb.Fatal(err)
	}
	return append(append(front[:len(front)-1], ','), back[1:]...)
}

func rows(lines ...[]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func replay(tb testing.TB, p policy.Params, lines ...[]byte) action.Replayed {
	tb.Helper()
	got, err := action.Replay(rows(lines...), p)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func TestReplayOfTheSamePolicyChangesNothing(t *testing.T) {
	got := replay(t, aPolicy(), aLine(t, aDevice, "WS-1", "delete", "ELIGIBLE"))
	want := action.Replayed{
		PolicyVersion: "candidate", Replayed: 1, Before: map[string]int{"delete": 1}, After: map[string]int{"delete": 1},
		Versions: map[string]int{"old": 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReplayNamesEveryFlipToDeleteAndAwayFromIt(t *testing.T) {
	p := aPolicy()
	p.VIP.Hostnames = []string{"ws-9*"}
	deletes, vip := action.Ruling{Verdict: "delete", Code: "ELIGIBLE"}, action.Ruling{Verdict: "manual", Code: "VIP"}
	keep := action.Ruling{Verdict: "keep", Code: "EXCLUDED"}
	const third = "2b1c7a3d-6e4f-4b82-9da5-1f8a2c3e4b57"
	got := replay(t, p,
		aLine(t, aDevice, "WS-2", "manual", "VIP"), aLine(t, other, "WS-1", "keep", "EXCLUDED"), aLine(t, third, "WS-90", "delete", "ELIGIBLE"))
	want := action.Replayed{
		PolicyVersion: "candidate", Replayed: 3, Versions: map[string]int{"old": 3},
		Before: map[string]int{"delete": 1, "manual": 1, "keep": 1}, After: map[string]int{"delete": 2, "manual": 1},
		Changes: []action.ReasonChange{{From: deletes, To: vip, Count: 1}, {From: keep, To: deletes, Count: 1}, {From: vip, To: deletes, Count: 1}},
		ToDelete: []action.Flip{
			{Ref: action.Ref{TenantID: aTenant, EndpointID: other}, Hostname: "WS-1", From: keep, To: deletes},
			{Ref: action.Ref{TenantID: aTenant, EndpointID: aDevice}, Hostname: "WS-2", From: vip, To: deletes},
		},
		FromDelete: []action.Flip{{Ref: action.Ref{TenantID: aTenant, EndpointID: third}, Hostname: "WS-90", From: deletes, To: vip}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReplayAsksAtTheTimeOfTheDecisionAndKeepsTheState(t *testing.T) {
	p := aPolicy()
	p.InactiveDays.Computer = 101
	got := replay(t, p,
		aLine(t, aDevice, "WS-1", "delete", "ELIGIBLE"), // 100 days then, years by now
		aLine(t, other, "WS-2", "skip", "TICKET_OPEN", func(m map[string]any) { m["standing"] = policy.Standing{OpenTicket: "INC-1"} }))
	if got.After["skip"] != 2 || len(got.FromDelete) != 1 || got.FromDelete[0].To.Code != policy.NotInactiveLongEnough || len(got.Changes) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestReplayCountsWhatItCannotRead(t *testing.T) {
	whole := aLine(t, aDevice, "WS-1", "delete", "ELIGIBLE")
	without := func(name string) []byte {
		return aLine(t, aDevice, "WS-1", "delete", "ELIGIBLE", func(m map[string]any) { delete(m, name) })
	}
	with := func(name string, value any) []byte {
		return aLine(t, aDevice, "WS-1", "delete", "ELIGIBLE", func(m map[string]any) { m[name] = value })
	}
	for name, line := range map[string][]byte{
		"no JSON":                         []byte("garbage"),
		"a line that is cut":              whole[:len(whole)-1],
		"a record of nothing":             []byte(`{"tenantId":"` + aTenant + `","endpointId":"` + aDevice + `","at":"2020-06-01T12:00:00Z",}`),
		"an older record without event":   without("event"),
		"one without the live read":       without("live"),
		"one without the device's state":  without("standing"),
		"one whose state is null":         with("standing", nil),
		"one without a time":              without("evaluatedAt"),
		"one without a verdict":           without("verdict"),
		"a verdict of a later version":    with("verdict", "archive"),
		"one without a reason":            without("reasonCode"),
		"an event of another device":      with("event", policy.Event{Central: policy.Device{ID: policy.Is(other), TenantID: policy.Is(aTenant)}}),
		"a fact of another shape":         with("live", map[string]any{"status": "found"}),
		"an array where an object stands": []byte("[]"),
	} {
		t.Run(name, func(t *testing.T) {
			got := replay(t, aPolicy(), line, aLine(t, other, "WS-2", "delete", "ELIGIBLE"))
			if got.Unreadable != 1 || got.Replayed != 1 || got.Before["delete"] != 1 || len(got.ToDelete) != 0 {
				t.Errorf("%+v, want one unreadable and one replayed", got)
			}
		})
	}
}

func TestWhatIsKnownOfAnUnreadableRecordIsItsDevice(t *testing.T) {
	line := []byte(`{"tenantId":"` + aTenant + `","endpointId":"` + aDevice + `","at":"2020-06-01T12:00:00Z",garbage`)
	got, ok := action.ReadDecision(line)
	if ok || got.TenantID != aTenant || got.EndpointID != aDevice || !got.At.Equal(judged()) || got.Verdict != "" {
		t.Errorf("%v %+v", ok, got)
	}
}

func TestADeviceThatComesTwiceCountsOnce(t *testing.T) {
	line := aLine(t, aDevice, "WS-1", "delete", "ELIGIBLE")
	cut := []byte(strings.Replace(string(line), `"event"`, `"evnt"`, 1))
	for _, lines := range [][][]byte{{line, line}, {cut, cut}, {cut, line}} {
		if got := replay(t, aPolicy(), lines...); got.Replayed+got.Unreadable != 1 {
			t.Errorf("%+v", got)
		}
	}
}

func TestHalfAReplayIsNone(t *testing.T) {
	gone := errors.New("the store went away")
	lines := func(yield func([]byte, error) bool) {
		if yield(aLine(t, aDevice, "WS-1", "manual", "VIP"), nil) {
			yield(nil, gone)
		}
	}
	if got, err := action.Replay(lines, aPolicy()); !errors.Is(err, gone) || got.Replayed != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func BenchmarkReplay(b *testing.B) {
	lines := make([][]byte, 1000)
	for i := range lines {
		lines[i] = aLine(b, fmt.Sprintf("6f0e7b2a-3c1d-4e58-9a76-%012d", i), fmt.Sprintf("WS-%d", i), "manual", "VIP")
	}
	for b.Loop() {
		if got, err := action.Replay(rows(lines...), aPolicy()); err != nil || got.Replayed != len(lines) {
			b.Fatal(got.Replayed, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(lines)), "µs/decision")
}

// FuzzReadDecision reads records of every shape: what is taken for whole can be
// replayed, and of what is not nothing is passed on but the device and the time.
func FuzzReadDecision(f *testing.F) {
	whole := aLine(f, aDevice, "WS-1", "delete", "ELIGIBLE")
	for _, seed := range [][]byte{whole, whole[:len(whole)/2], []byte(`{"tenantId":"t",}`), []byte(`[]`), []byte(`{"at":1}`), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		d, ok := action.ReadDecision(line)
		if !ok && (d.Verdict != "" || d.Hostname != "" || d.ReasonCode != "" || d.Live.Status != policy.LiveUnread) {
			t.Errorf("not whole, and yet %+v", d)
		}
		got := replay(t, aPolicy(), line)
		if got.Replayed+got.Unreadable != 1 || (got.Replayed == 1) != ok {
			t.Errorf("whole %v, but %+v", ok, got)
		}
	})
}
