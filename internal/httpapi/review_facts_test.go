package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// reviewFacts makes facts of a sample device's documents, without Central.
func reviewFacts(t *testing.T, now time.Time, event, live map[string]any, also []map[string]any) policy.Facts {
	t.Helper()
	b, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	e, err := record.ParseEvent(b)
	if err != nil {
		t.Fatal(err)
	}
	f := policy.Facts{Event: e, Live: policy.Live{Status: policy.LiveFound, At: now, NewestSeenAt: policy.Is(now), SameNamed: make([]policy.Device, 1)}}
	for _, r := range also {
		f.Live.SameNamed = append(f.Live.SameNamed, reviewDevice(t, r))
	}
	return reviewWith(t, f, live)
}

// reviewWith is the facts with another record of the device.
func reviewWith(t *testing.T, f policy.Facts, live map[string]any) policy.Facts {
	t.Helper()
	f.Live.Device = reviewDevice(t, live)
	f.Live.SameNamed = append([]policy.Device{f.Live.Device}, f.Live.SameNamed[1:]...)
	return f
}

func reviewDevice(t *testing.T, doc map[string]any) policy.Device {
	t.Helper()
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	d, err := record.ParseDevice(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// reviewClone copies a document deeply.
func reviewClone(t *testing.T, v map[string]any) map[string]any {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// reviewPaths lists every path of a document.
func reviewPaths(prefix string, v map[string]any) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(v)) {
		out = append(out, prefix+k)
		if m, ok := v[k].(map[string]any); ok {
			out = append(out, reviewPaths(prefix+k+".", m)...)
		}
	}
	return out
}

// reviewPut sets or, for nil-marker, removes.
func reviewPut(doc map[string]any, path string, v any, remove bool) {
	keys := strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		doc, _ = doc[k].(map[string]any)
	}
	if remove {
		delete(doc, keys[len(keys)-1])
		return
	}
	doc[keys[len(keys)-1]] = v
}

// Taking a fact of Central's record away, or making it unreadable, never turns
// another verdict into delete, but for health, isolation, online, cloned when absent.
func TestReviewNoFaultInCentralsRecordMakesADelete(t *testing.T) {
	now := time.Now()
	garbage := []any{nil, "", []any{}, map[string]any{}, "\u0000", "???", 0, -1, 1e300, []any{1}, map[string]any{"x": 1}, true, false}
	found := map[string]bool{}
	p := params()
	p.Exclusions = append(p.Exclusions, policy.Exclusion{ID: "grp", CentralGroups: []string{"kiosks"}, Reason: "r", Owner: "o"})
	sample := centralsim.Sample(now)
	grouped := sample[0]
	grouped.Case, grouped.Record = "excluded-by-group", reviewClone(t, sample[0].Record)
	grouped.Record["group"] = map[string]any{"id": "c1a7e4d9-3b58-4f60-9e2c-7d8a0b1f6c35", "name": "Kiosks"}
	above := sample[0]
	above.Case, above.Record = "excluded-by-group-above", reviewClone(t, sample[0].Record)
	above.Record["groupHierarchy"] = []any{map[string]any{"name": "Kiosks"}}
	isServer := sample[0]
	isServer.Case, isServer.Record = "is-server-flag", reviewClone(t, sample[0].Record)
	reviewPut(isServer.Record, "os.isServer", true, false)
	vipLogin := sample[0]
	vipLogin.Case, vipLogin.Record, vipLogin.Event = "vip-by-live-login", reviewClone(t, sample[0].Record), reviewClone(t, sample[0].Event)
	reviewPut(vipLogin.Record, "associatedPerson.viaLogin", `CORPEX\ceo`, false)
	sample = append(sample, grouped, above, isServer, vipLogin)
	for _, d := range sample {
		if d.Record == nil {
			continue
		}
		facts := reviewFacts(t, now, d.Event, d.Record, d.Also)
		base := policy.Evaluate(facts, p, now)
		if base.Verdict == policy.Delete {
			continue
		}
		for _, path := range reviewPaths("", d.Record) {
			r := reviewClone(t, d.Record)
			for i := len(garbage) - 1; i >= -1; i-- {
				if i < 0 {
					reviewPut(r, path, nil, true)
				} else {
					reviewPut(r, path, garbage[i], false)
				}
				what := "absent"
				if i >= 0 {
					b, _ := json.Marshal(garbage[i])
					what = string(b)
				}
				if reviewHonest(path, what) {
					continue
				}
				if policy.Evaluate(reviewWith(t, facts, r), p, now).Verdict == policy.Delete {
					found[fmt.Sprintf("%s (%s): %s = %s", d.Case, base.Code(), path, what)] = true
				}
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(found)) {
		t.Error(k)
	}
}

// reviewHonest reports what CONTRACT lets pass by name when it is absent, and a
// value that is another, readable word.
func reviewHonest(path, what string) bool {
	gone := what == "absent" || what == "null"
	switch path {
	case "health", "isolation", "online", "cloned":
		return gone || what == "false" || what == "{}" // an empty one is not given
	case "registeredAt": // undocumented, and left out of most records
		return gone || what == `""`
	case "os.isServer":
		return what == "false"
	case "os.name", "group.name":
		return what == `"???"`
	}
	return false
}

// reviewVerdict evaluates the eligible device after a change.
func reviewVerdict(t *testing.T, p policy.Params, change func(event, live map[string]any)) policy.Decision {
	t.Helper()
	now := time.Now()
	d := centralsim.Sample(now)[0]
	e, l := reviewClone(t, d.Event), reviewClone(t, d.Record)
	change(e, l)
	return policy.Evaluate(reviewFacts(t, now, e, l, nil), p, now)
}

func TestReviewSingleFacts(t *testing.T) {
	dn := func(s string) policy.DN {
		d, err := record.ParseDN(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, tc := range map[string]struct {
		params func(p *policy.Params)
		change func(e, l map[string]any)
	}{
		"dotless i: another host": {change: func(e, l map[string]any) {
			l["hostname"] = "WS-F\u0131N-0427"
		}},
		"long s: another host": {change: func(e, l map[string]any) { l["hostname"] = "W\u017f-FIN-0427" }},
		"dotless i: another OU": {change: func(e, l map[string]any) {
			reviewPut(e, "directory.distinguishedName", "CN=WS-FIN-0427,OU=Workstations,OU=D\u0131sabled,DC=corp,DC=example,DC=test", false)
		}},
		"groups joined by a bar, a VIP group at the root": {
			params: func(p *policy.Params) { p.VIP.Groups = append(p.VIP.Groups, dn("CN=Board,DC=corp,DC=example,DC=test")) },
			change: func(e, l map[string]any) {
				reviewPut(e, "owner.memberOf", "CN=Finance,OU=Groups,DC=corp,DC=example,DC=test|CN=Board,DC=corp,DC=example,DC=test", false)
			}},
		"groups joined by a bar, a cluster at the root": {change: func(e, l map[string]any) {
			reviewPut(e, "directory.memberOf", "CN=Finance,DC=corp,DC=example,DC=test|CN=Domain Controllers,DC=corp,DC=example,DC=test", false)
		}},
		"registered after it was last seen": {change: func(e, l map[string]any) {
			l["registeredAt"] = time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339)
		}},
		"registered in the future": {change: func(e, l map[string]any) {
			l["registeredAt"] = time.Now().Add(240 * time.Hour).UTC().Format(time.RFC3339)
		}},
		"the event's own record online": {change: func(e, l map[string]any) { reviewPut(e, "central.online", true, false); delete(l, "online") }},
		"the event's own record isolated": {change: func(e, l map[string]any) {
			reviewPut(e, "central.isolation", map[string]any{"status": "isolated"}, false)
			delete(l, "isolation")
		}},
		"health is a word that is not known": {change: func(e, l map[string]any) { reviewPut(l, "health.overall", "compromised", false) }},
		"zone of 24 hours": {change: func(e, l map[string]any) {
			at := time.Now().UTC().Add(-29*24*time.Hour-12*time.Hour).Format("2006-01-02T15:04:05") + "+24:00"
			l["lastSeenAt"] = at
			reviewPut(e, "central.lastSeenAt", at, false)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := params()
			if tc.params != nil {
				tc.params(&p)
			}
			if d := reviewVerdict(t, p, tc.change); d.Verdict == policy.Delete {
				t.Error("delete")
			}
		})
	}
}
