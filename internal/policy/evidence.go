package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// EvidenceDigest names the evidence that a decision rests on: hex SHA-256 over
// the live record's tenant, host name, type, last-seen time, online, OS build,
// isolation, health, cloned mark and associated person, and the set of
// same-named devices. Any of them changed gives another digest.
func EvidenceDigest(l Live) string {
	d := l.Device
	ids := make([]string, 0, len(l.SameNamed))
	for _, s := range l.SameNamed {
		ids = append(ids, trace(s.ID))
	}
	slices.Sort(ids)
	seen := Field[string]{State: d.LastSeenAt.State}
	if at := d.LastSeenAt; at.Known() { // as numbers, so that no zone or year makes a difference or an error
		seen.Value = strconv.FormatInt(at.Value.Unix(), 10) + "." + strconv.Itoa(at.Value.Nanosecond())
	}
	sum := sha256.New()
	for _, part := range append([]string{
		trace(Is(l.Status)), trace(d.TenantID), trace(d.Hostname), trace(d.Type), trace(seen), trace(d.Online),
		trace(d.Build), trace(d.Isolated), trace(d.HealthOverall), trace(d.HealthThreats), trace(d.Cloned),
		trace(d.PersonID), trace(d.PersonName), trace(d.ViaLogin),
	}, slices.Compact(ids)...) {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part) // a hash takes every write; the length keeps parts apart
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// trace writes a field so that no two that differ, in state or value, look alike.
func trace[T any](f Field[T]) string { return fmt.Sprintf("%d %v", f.State, f.Value) }
