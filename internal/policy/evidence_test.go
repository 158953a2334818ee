package policy

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"
)

func TestTheDigestChangesWithTheEvidence(t *testing.T) {
	base := EvidenceDigest(eligible().Live)
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(base) {
		t.Fatalf("digest %q", base)
	}
	had := map[string]string{base: "nothing"}
	for name, change := range map[string]func(l *Live){
		"status":                     func(l *Live) { l.Status = LiveNotFound },
		"tenant":                     func(l *Live) { l.Device.TenantID = Is(otherID) },
		"host name":                  func(l *Live) { l.Device.Hostname = Is("ws-fin-0427") },
		"type":                       func(l *Live) { l.Device.Type = Is("server") },
		"last seen":                  func(l *Live) { l.Device.LastSeenAt.Value = l.Device.LastSeenAt.Value.Add(time.Nanosecond) },
		"last seen gone":             func(l *Live) { l.Device.LastSeenAt = Field[time.Time]{} },
		"last seen unreadable":       func(l *Live) { l.Device.LastSeenAt = Garbled[time.Time]() },
		"last seen in the year 0":    func(l *Live) { l.Device.LastSeenAt = Is(time.Time{}) },
		"last seen in the year 9e4":  func(l *Live) { l.Device.LastSeenAt = Is(time.Date(90000, 1, 1, 0, 0, 0, 0, time.UTC)) },
		"last seen in the year 9e4+": func(l *Live) { l.Device.LastSeenAt = Is(time.Date(90001, 1, 1, 0, 0, 0, 0, time.UTC)) },
		"online":                     func(l *Live) { l.Device.Online = Is(true) },
		"online gone":                func(l *Live) { l.Device.Online = Field[bool]{} },
		"online unreadable":          func(l *Live) { l.Device.Online = Garbled[bool]() },
		"build":                      func(l *Live) { l.Device.Build = Is(22632) },
		"isolation":                  func(l *Live) { l.Device.Isolated = Is(true) },
		"health":                     func(l *Live) { l.Device.HealthOverall = Is("bad") },
		"threats":                    func(l *Live) { l.Device.HealthThreats = Is("bad") },
		"cloned":                     func(l *Live) { l.Device.Cloned = Is(true) },
		"person's id":                func(l *Live) { l.Device.PersonID = Is("p2") },
		"person's name":              func(l *Live) { l.Device.PersonName = Is("K. Doe") },
		"login":                      func(l *Live) { l.Device.ViaLogin = Is(`CORPEX\k.doe`) },
		"a value that moved over":    func(l *Live) { l.Device.PersonID, l.Device.PersonName = Is("p1J"), Is(". Doe") },
		"a twin":                     func(l *Live) { l.SameNamed = append(l.SameNamed, Device{ID: Is(twinID)}) },
		"no twin":                    func(l *Live) { l.SameNamed = nil },
	} {
		l := eligible().Live
		change(&l)
		digest := EvidenceDigest(l)
		if other, ok := had[digest]; ok {
			t.Errorf("%s gives the digest of %s", name, other)
		}
		had[digest] = name
	}
}

func TestTheDigestDoesNotChangeWithWhatIsNoEvidence(t *testing.T) {
	twins := func(ids ...string) (out []Device) {
		for _, id := range ids {
			out = append(out, Device{ID: Is(id)})
		}
		return out
	}
	l := eligible().Live
	l.SameNamed = twins("a", "b", "c")
	base := EvidenceDigest(l)
	for name, change := range map[string]func(l *Live){
		"the order of twins":     func(l *Live) { l.SameNamed = twins("c", "a", "b") },
		"a twin listed twice":    func(l *Live) { l.SameNamed = twins("c", "a", "b", "c") },
		"the zone of last seen":  func(l *Live) { l.Device.LastSeenAt.Value = l.Device.LastSeenAt.Value.In(time.FixedZone("", 7200)) },
		"the time of the read":   func(l *Live) { l.At, l.CentralTime = noon().Add(time.Hour), Is(noon()) },
		"the fleet":              func(l *Live) { l.NewestSeenAt = Is(noon()) },
		"groups":                 func(l *Live) { l.Device.Groups = []Group{{Name: "x"}} },
		"what else a twin tells": func(l *Live) { l.SameNamed[0].Online = Is(true) },
	} {
		changed := l
		changed.SameNamed = append([]Device(nil), l.SameNamed...)
		change(&changed)
		if EvidenceDigest(changed) != base {
			t.Errorf("%s changes the digest", name)
		}
	}
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var sealed Live
	if err := json.Unmarshal(b, &sealed); err != nil {
		t.Fatal(err)
	}
	if EvidenceDigest(sealed) != base {
		t.Error("sealing changes the digest")
	}
}
