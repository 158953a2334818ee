package centralsim

import (
	"fmt"
	"strings"
	"time"
)

// The tenants of the sample.
const (
	SampleTenant  = "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"
	ForeignTenant = "d1b9a2e3-68cf-4b4a-9f25-3cae7081b6d2" // not served by a credential of SampleTenant
)

// SampleDevice is a device made for one case, with the event that a SIEM search
// would have found for it.
type SampleDevice struct {
	Case    string // names the case, fit for a file name
	Name    string // host name
	ID      string
	Want    string // the reason code to expect of a fresh store and the default policy
	Verdict string // delete, manual, skip or keep
	Record  map[string]any
	Also    []map[string]any // further records, of the same name
	Event   map[string]any
	Fault   *Fault // a fault that belongs to the case
}

// Load puts a sample into the simulator, with its faults.
func (s *Sim) Load(sample []SampleDevice) {
	for _, d := range sample {
		for _, r := range append([]map[string]any{d.Record}, d.Also...) {
			if r != nil {
				s.Put(text(at(r, "tenant", "id")), r)
			}
		}
		if d.Fault != nil {
			s.Fault(*d.Fault)
		}
	}
}

// Sample returns a device for every reason that a live record and its event can
// give rise to, those of one device alone: the first is eligible, the second is
// one that Central hears from all the time, without which none could be deleted.
// Left out are the reasons of the store (tickets, earlier deletes, the kill
// switch) and FLEET_SILENT, which would silence all the others.
//
// The list, case by case:
//
//	eligible ELIGIBLE · fresh NOT_INACTIVE_LONG_ENOUGH
//	input-invalid INPUT_INVALID · directory-missing DIRECTORY_MISSING
//	event-stale EVENT_STALE · verify-failed VERIFY_FAILED · gone GONE_ELSEWHERE
//	enabled-again DIRECTORY_ENABLED · outside-ou NOT_IN_SCOPE · dn-conflict DIRECTORY_CONFLICT
//	excluded EXCLUDED · protected-role PROTECTED_ROLE · isolated, bad-health UNDER_INVESTIGATION
//	foreign-tenant TENANT_MISMATCH · renamed, no-hostname HOSTNAME_MISMATCH · truncated NAME_TRUNCATED
//	other-domain DOMAIN_MISMATCH · no-domain DOMAIN_UNKNOWN
//	duplicate-active DUPLICATE_ACTIVE · duplicate-stale DUPLICATE_STALE · cloned CLONED
//	active-since-event ACTIVE_SINCE_EVENT · online ACTIVE_IN_CENTRAL
//	last-seen-missing LAST_SEEN_MISSING · last-seen-invalid LAST_SEEN_INVALID
//	never-seen NEVER_SEEN · last-seen-future CLOCK_SKEW
//	too-young NOT_INACTIVE_LONG_ENOUGH · grace GRACE_PERIOD
//	vip VIP · owner-unknown OWNER_UNKNOWN · server SERVER · macos, linux PLATFORM_MANUAL
//	build-unknown BUILD_UNKNOWN · build-newer BUILD_NEWER_IN_CENTRAL
//	build-older BUILD_OLDER_IN_CENTRAL · family-differs OS_FAMILY_MISMATCH
//	excluded-group EXCLUDED · bad-services UNDER_INVESTIGATION · owner-mismatch OWNER_MISMATCH
//
// All times are relative to now, to the second; only those that must stay fresh
// move on with the simulator's clock.
func Sample(now time.Time) []SampleDevice {
	now = now.UTC().Truncate(time.Second)
	var out []SampleDevice
	for _, group := range [][]sampleCase{plainCases(), sourceCases(), ruleCases(), identityCases(), activityCases(), kindCases(), buildCases(), lateCases()} {
		for _, c := range group {
			d := base(now, len(out), c.name)
			d.Case, d.Want, d.Verdict = c.label, c.want, c.verdict
			if c.shape != nil {
				c.shape(&d, now)
			}
			out = append(out, d)
		}
	}
	return out
}

// sampleCase is one case: what differs from a device that is eligible.
type sampleCase struct {
	label, name, verdict, want string
	shape                      func(d *SampleDevice, now time.Time)
}

// lastSeen is how long ago a device was seen that is long out of use.
const lastSeen = 142 * 24 * time.Hour

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// The groups of the sample: Workstations is below EU, and Benches below Shared Lab.
const (
	workstations = "c1a7e4d9-3b58-4f60-9e2c-7d8a0b1f6c35"
	europe       = "f2b8c6e1-4d07-4a93-8b5e-0c1d2e3f4a5b"
	benches      = "7f2d8b61-0c3e-4a95-8d17-e6b4f9a02c58"
	sharedLab    = "5e4d3c2b-1a09-4f8e-9d7c-6b5a49382716"
)

// grouped puts a device into a group, and shows one above it.
func (d *SampleDevice) grouped(id, name, aboveID, aboveName string) {
	d.live("group", map[string]any{"id": id, "name": name})
	d.live("groupHierarchy", []any{map[string]any{"id": id, "name": name, "parentId": aboveID}, map[string]any{"id": aboveID, "name": aboveName}})
}

// base is the n-th device, eligible as it stands.
func base(now time.Time, n int, name string) SampleDevice {
	id := "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"
	if n > 0 {
		id = sampleID(n, 0)
	}
	record := map[string]any{
		"id": id, "type": "computer", "tenant": map[string]any{"id": SampleTenant}, "hostname": name,
		"health": map[string]any{"overall": "good", "threats": map[string]any{"status": "good"},
			"services": map[string]any{"status": "good", "serviceDetails": []any{
				map[string]any{"name": "Sophos MCS Client", "status": "running"}}}},
		"os": map[string]any{"isServer": false, "platform": "windows", "name": "Windows 11 Pro",
			"majorVersion": 10, "minorVersion": 0, "build": 22631},
		"ipv4Addresses":             []any{fmt.Sprintf("10.20.%d.%d", 30+n/200, 10+n%200)},
		"macAddresses":              []any{fmt.Sprintf("02:00:5E:10:00:%02X", n+1)},
		"associatedPerson":          map[string]any{"id": sampleID(n, 0x9e), "name": "J. Doe", "viaLogin": `CORPEX\j.doe`},
		"tamperProtectionSupported": true, "tamperProtectionEnabled": true,
		"assignedProducts": []any{map[string]any{"code": "coreAgent", "version": "2025.1.2.5", "status": "installed"}},
		"lastSeenAt":       stamp(now.Add(-lastSeen)), "online": false,
		"isolation":    map[string]any{"status": "notIsolated", "adminIsolated": false, "selfIsolated": false},
		"serialNumber": fmt.Sprintf("SYN%07d", n+1), "cloned": false, "registeredAt": stamp(now.Add(-days(900))),
	}
	if n%3 == 2 { // most are in no group, and few records show what is above one
		record["group"] = map[string]any{"id": workstations, "name": "Workstations"}
	}
	return SampleDevice{Name: name, ID: id, Record: record, Event: sampleEvent(now, record, name)}
}

// sampleID is a fixed id: the n-th device's, its twin's or its person's.
func sampleID(n, kind int) string {
	return fmt.Sprintf("7b1e%04x-4c2d-4e5f-8a6b-%012x", kind, 0x5e0000+n)
}

// sampleEvent is what the search found for a record.
func sampleEvent(now time.Time, record map[string]any, name string) map[string]any {
	return map[string]any{
		"observedAt": now.Format(time.RFC3339),
		"directory": map[string]any{
			"hostname": name, "domain": "corp.example.test",
			"distinguishedName": "CN=" + name + ",OU=Workstations,OU=Disabled,DC=corp,DC=example,DC=test",
			"operatingSystem":   "Windows 11 Pro", "operatingSystemVersion": "10.0 (22631)",
			"enabled": false, "disabledAt": now.Add(-days(111)).Format(time.RFC3339),
			"memberOf": []any{}, "managedBy": nil, "objectGuid": nil,
		},
		"owner": map[string]any{"login": `CORPEX\j.doe`, "memberOf": []any{"CN=Finance,OU=Groups,DC=corp,DC=example,DC=test"}},
		"central": map[string]any{
			"id": record["id"], "tenant": map[string]any{"id": SampleTenant}, "hostname": record["hostname"],
			"type": "computer", "lastSeenAt": record["lastSeenAt"],
			"os":               map[string]any{"name": "Windows 11 Pro", "build": 22631},
			"associatedPerson": map[string]any{"name": "J. Doe", "viaLogin": `CORPEX\j.doe`},
		},
	}
}

// set changes one value in a document, by its dotted path. Setting to unset
// takes it away.
func set(doc map[string]any, path string, v any) {
	keys := strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		doc, _ = doc[k].(map[string]any)
	}
	last := keys[len(keys)-1]
	if _, away := v.(unset); away {
		delete(doc, last)
		return
	}
	doc[last] = v
}

// unset takes a value away.
type unset struct{}

// live changes Central's record, event the event.
func (d *SampleDevice) live(path string, v any)  { set(d.Record, path, v) }
func (d *SampleDevice) event(path string, v any) { set(d.Event, path, v) }

// both changes a field of the record, and the event's copy of it.
func (d *SampleDevice) both(path string, v any) {
	d.live(path, v)
	d.event("central."+path, v)
}

// twin adds another record of the same name.
func (d *SampleDevice) twin(n int, changes map[string]any) {
	r := deepCopy(d.Record).(map[string]any)
	r["id"], r["serialNumber"] = sampleID(n, 0x2d), fmt.Sprintf("SYN9%06d", n)
	for k, v := range changes {
		set(r, k, v)
	}
	d.Also = append(d.Also, r)
}
