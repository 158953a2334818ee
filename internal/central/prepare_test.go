package central

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
)

func TestPrepare(t *testing.T) {
	r := newRig(t, nil, func(o *Options) { o.Read, o.Delete = Credential{"reader", secret + "2"}, Credential{"app", secret} })
	got, trouble := r.Prepare(t.Context(), dev)
	if trouble != nil || got.Population != 2 {
		t.Fatalf("prepared %+v, %+v", got, trouble)
	}
	want, _ := r.sim.Get(tenantID, deviceID)
	want["tamperProtection"] = map[string]any{}
	var record map[string]any
	if err := json.Unmarshal(got.Record, &record); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, record); d != "" {
		t.Errorf("record: %s", d)
	}
	signedIn := ""
	for _, e := range r.sim.Journal() {
		if e.Path == tokens {
			signedIn += e.Body
		}
	}
	if !strings.Contains(signedIn, "client_id=app") || !strings.Contains(signedIn, "client_id=reader") {
		t.Errorf("signed in as %s", signedIn)
	}
	r.counts(t, map[string]int{devices: 2, tokens: 2})
	if sent := r.send(t.Context(), t); sent.Kind != action.SentAccepted {
		t.Errorf("deleted: %+v", sent.Trouble)
	}
	r.counts(t, map[string]int{devices: 3, tokens: 2, "/whoami/v1": 2})
}

func TestPrepareMendsARefusedToken(t *testing.T) {
	r := newRig(t, nil, nil)
	r.present(t)
	r.sim.RevokeTokens()
	if _, trouble := r.Prepare(t.Context(), dev); trouble != nil {
		t.Fatalf("prepare: %+v", trouble)
	}
	if sent := r.send(t.Context(), t); sent.Kind != action.SentAccepted {
		t.Errorf("deleted: %+v", sent.Trouble)
	}
}

func TestPopulationIsKeptAWhile(t *testing.T) {
	r := newRig(t, nil, nil)
	count := func() int {
		got, trouble := r.Prepare(t.Context(), dev)
		if trouble != nil {
			t.Fatalf("prepare: %+v", trouble)
		}
		return got.Population
	}
	first := count()
	r.sim.Put(tenantID, machine(other, "PC-NEW", r.clock()))
	second := count()
	r.pass(keepCount)
	if third := count(); first != 2 || second != 2 || third != 3 {
		t.Errorf("counted %d, %d, %d; want 2, 2, 3", first, second, third)
	}
}

func TestPopulationThatIsNotKnownIsNone(t *testing.T) {
	for _, body := range []string{"", `{"items":[],"pages":{}}`, `{"items":[],"pages":{"items":0}}`, `{"items":[],"pages":{"items":-4}}`,
		`{"items":[],"pages":{"items":1.5}}`, `{"items":[],"pages":{"items":null}}`, `{"pages":{"items":9}}`, `<html>`} {
		r := newRig(t, nil, nil)
		r.present(t)
		r.sim.Fault(centralsim.Fault{Path: devices, Skip: 1, Times: centralsim.Always, Status: 200, Body: body, ContentType: "application/json"})
		got, trouble := r.Prepare(t.Context(), dev)
		if trouble != nil || got.Population != 0 || got.Record == nil {
			t.Errorf("%q: %+v, %+v; want a population of 0", body, got, trouble)
		}
	}
}

func TestPrepareFails(t *testing.T) {
	for name, fault := range map[string]centralsim.Fault{
		"forbidden":    {Path: devices, Status: 403, Times: centralsim.Always},
		"no sign-in":   {Path: tokens, Status: 401, Times: centralsim.Always},
		"not a record": {Path: devices, Status: 200, Body: `[]`, ContentType: "application/json", Times: centralsim.Always},
	} {
		r := newRig(t, nil, nil)
		r.sim.Fault(fault)
		got, trouble := r.Prepare(t.Context(), dev)
		if trouble == nil || got.Record != nil || got.Population != 0 {
			t.Errorf("%s: %+v, %+v", name, got, trouble)
			continue
		}
		discreet(t, trouble)
	}
	r := newRig(t, nil, nil)
	if got, trouble := r.Prepare(t.Context(), action.Ref{TenantID: other, EndpointID: deviceID}); trouble != nil || got.Record != nil || got.Population != 0 {
		t.Errorf("a foreign tenant: %+v, %+v; the look that follows tells", got, trouble)
	}
	r.sim.Remove(tenantID, deviceID)
	if got, trouble := r.Prepare(t.Context(), dev); trouble != nil || got.Record != nil || got.Population != 0 {
		t.Errorf("a device that is gone: %+v, %+v; the look that follows tells", got, trouble)
	}
}

func TestPasswordsAreDroppedAtAnyDepth(t *testing.T) {
	got, trouble := withoutPasswords([]byte(`{"a":[{"Password":"1","x":12345678901234567890}],"previousPasswords":[],"tamperPassword":"2","b":{"c":{"password":{"d":1}}}}`))
	if trouble != nil {
		t.Fatal(trouble)
	}
	if want := `{"a":[{"x":12345678901234567890}],"b":{"c":{}}}`; string(got) != want {
		t.Errorf("kept %s, want %s", got, want)
	}
}

func TestWish(t *testing.T) {
	now := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "soon": 0, "99999999": maxWish,
		"Fri, 20 Nov 2026 06:01:00 GMT": time.Minute, "Fri, 20 Nov 2026 05:00:00 GMT": 0, "99999999999999999999999": 0} {
		if got := wish(map[string][]string{"Retry-After": {v}}, now); got != want {
			t.Errorf("Retry-After %q is %v, want %v", v, got, want)
		}
	}
}
