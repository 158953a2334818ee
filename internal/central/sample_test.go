package central

import (
	"encoding/json"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// TestSampleGivesItsReasons looks every sample device up, and asks the policy of
// the README's example: each must come out as its case says.
func TestSampleGivesItsReasons(t *testing.T) {
	p := examplePolicy(t)
	r := newRig(t, func(o *centralsim.Options) { o.ID = centralsim.SampleTenant }, func(o *Options) { o.Groups = p.CentralGroups })
	sample := centralsim.Sample(r.clock())
	r.sim.Load(sample)
	for _, s := range sample {
		t.Run(s.Case, func(t *testing.T) {
			doc, err := json.Marshal(s.Event)
			if err != nil {
				t.Fatal(err)
			}
			event, err := record.ParseEvent(doc)
			if err != nil {
				t.Fatal(err)
			}
			live, trouble := r.Look(t.Context(), action.Ref{TenantID: event.Central.TenantID.Value, EndpointID: event.Central.ID.Value}, time.Hour, action.AskAll)
			sound(t, live, trouble)
			got := policy.Evaluate(policy.Facts{Event: event, Live: live}, p, r.clock())
			verdict := map[policy.Verdict]string{policy.Manual: "manual", policy.Skip: "skip", policy.Keep: "keep", policy.Delete: "delete"}[got.Verdict]
			if string(got.Code()) != s.Want || verdict != s.Verdict {
				t.Errorf("got %s, %s: %+v; want %s, %s", verdict, got.Code(), got.Reasons, s.Verdict, s.Want)
			}
			if len(got.Reasons) > 2 {
				t.Errorf("more than the case is about: %+v", got.Reasons)
			}
		})
	}
}

// examplePolicy is the policy that the sample is made for.
func examplePolicy(tb testing.TB) policy.Params {
	tb.Helper()
	dn := func(s string) policy.DN {
		d, err := record.ParseDN(s)
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
	p := policy.DefaultParams()
	p.DisabledOUs = []policy.DN{dn("OU=Disabled,DC=corp,DC=example,DC=test")}
	p.Domains = map[string]string{"CORPEX": "corp.example.test"}
	p.VIP = policy.VIP{Groups: []policy.DN{dn("CN=VIP,OU=Groups,DC=corp,DC=example,DC=test")}, Users: []string{`corpex\ceo`}, Hostnames: []string{"exec-*"}}
	p.Exclusions = []policy.Exclusion{{ID: "lab", Hostnames: []string{"lab-*"}, Reason: "shared lab", Owner: "it-ops"},
		{ID: "lab-group", CentralGroups: []string{"shared lab"}, Reason: "shared lab", Owner: "it-ops"}}
	return p
}
