package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// EvidenceDigest names the evidence that a decision rests on: hex SHA-256 over
// the live record's tenant, host name, type, last-seen time, online, OS build,
// isolation, health, cloned mark and associated person, and the set of
// same-named devices. Any of them changed gives another digest.
func EvidenceDigest(l Live) string {
	d := l.Device
	if d.LastSeenAt.Known() {
		d.LastSeenAt.Value = d.LastSeenAt.Value.UTC()
	}
	ids := make([]string, 0, len(l.SameNamed))
	for _, s := range l.SameNamed {
		ids = append(ids, s.ID.Value)
	}
	slices.Sort(ids)
	b, err := json.Marshal([]any{
		l.Status, d.TenantID, d.Hostname, d.Type, d.LastSeenAt, d.Online, d.Build, d.Isolated,
		d.HealthOverall, d.HealthThreats, d.Cloned, d.PersonID, d.PersonName, d.ViaLogin, ids,
	})
	if err != nil { // a time outside the years of RFC 3339: never equal to anything
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
