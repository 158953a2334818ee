package centralsim

import (
	"net/http"
	"time"
)

// plainCases: one to delete, and one that keeps the canary singing.
func plainCases() []sampleCase {
	return []sampleCase{
		{"eligible", "WS-FIN-0427", "delete", "ELIGIBLE", nil},
		{"fresh", "WS-OPS-0001", "skip", "NOT_INACTIVE_LONG_ENOUGH", func(d *SampleDevice, now time.Time) {
			d.live("lastSeenAt", Ago(2*time.Minute))
			d.event("central.lastSeenAt", stamp(now.Add(-2*time.Minute)))
			d.grouped(workstations, "Workstations", europe, "EU")
		}},
	}
}

// sourceCases: an event or a source that can't be relied on.
func sourceCases() []sampleCase {
	return []sampleCase{
		{"input-invalid", "WS-INP-0002", "manual", "INPUT_INVALID", func(d *SampleDevice, _ time.Time) {
			d.event("directory.enabled", "perhaps")
		}},
		{"directory-missing", "WS-DIR-0003", "manual", "DIRECTORY_MISSING", func(d *SampleDevice, _ time.Time) {
			d.event("directory", map[string]any{})
		}},
		{"event-stale", "WS-OLD-0004", "skip", "EVENT_STALE", func(d *SampleDevice, now time.Time) {
			d.event("observedAt", now.Add(-days(3)).Format(time.RFC3339))
		}},
		{"verify-failed", "WS-ERR-0005", "skip", "VERIFY_FAILED", func(d *SampleDevice, _ time.Time) {
			d.Record = nil // it is on no list either
			d.Fault = &Fault{Method: http.MethodGet, Path: "/endpoint/v1/endpoints/" + d.ID, Status: http.StatusInternalServerError, Times: Always}
		}},
		{"gone", "WS-OUT-0006", "skip", "GONE_ELSEWHERE", func(d *SampleDevice, _ time.Time) { d.Record = nil }},
	}
}

// ruleCases: what the directory wants, and what people have ruled.
func ruleCases() []sampleCase {
	return []sampleCase{
		{"enabled-again", "WS-HR-0007", "keep", "DIRECTORY_ENABLED", func(d *SampleDevice, _ time.Time) {
			d.event("directory.enabled", true)
		}},
		{"outside-ou", "WS-HR-0008", "skip", "NOT_IN_SCOPE", func(d *SampleDevice, _ time.Time) {
			d.event("directory.distinguishedName", "CN=WS-HR-0008,OU=Workstations,DC=corp,DC=example,DC=test")
		}},
		{"dn-conflict", "WS-HR-0009", "manual", "DIRECTORY_CONFLICT", func(d *SampleDevice, _ time.Time) {
			d.event("directory.distinguishedName", "CN=WS-HR-9009,OU=Workstations,OU=Disabled,DC=corp,DC=example,DC=test")
		}},
		{"excluded", "LAB-0031", "keep", "EXCLUDED", nil},
		{"protected-role", "WS-DC-0011", "keep", "PROTECTED_ROLE", func(d *SampleDevice, _ time.Time) {
			d.event("directory.memberOf", []any{"CN=Domain Controllers,CN=Users,DC=corp,DC=example,DC=test"})
		}},
		{"isolated", "WS-SEC-0012", "manual", "UNDER_INVESTIGATION", func(d *SampleDevice, _ time.Time) {
			d.live("isolation", map[string]any{"status": "isolated", "adminIsolated": true, "selfIsolated": false})
		}},
		{"bad-health", "WS-SEC-0013", "manual", "UNDER_INVESTIGATION", func(d *SampleDevice, _ time.Time) {
			d.live("health.overall", "bad")
			d.live("health.threats.status", "bad")
		}},
	}
}

// identityCases: it is not sure which device is meant.
func identityCases() []sampleCase {
	return []sampleCase{
		{"foreign-tenant", "WS-EXT-0014", "manual", "TENANT_MISMATCH", func(d *SampleDevice, _ time.Time) {
			d.both("tenant.id", ForeignTenant)
		}},
		{"renamed", "WS-NEW-0015", "manual", "HOSTNAME_MISMATCH", func(d *SampleDevice, _ time.Time) {
			d.live("hostname", "WS-REUSED-0815")
		}},
		{"no-hostname", "WS-NIL-0016", "manual", "HOSTNAME_MISMATCH", func(d *SampleDevice, _ time.Time) {
			d.live("hostname", unset{})
		}},
		{"truncated", "WS-MARKETING-LISBON", "manual", "NAME_TRUNCATED", func(d *SampleDevice, _ time.Time) {
			d.both("hostname", "WS-MARKETING-LI")
		}},
		{"other-domain", "WS-SUB-0018", "manual", "DOMAIN_MISMATCH", func(d *SampleDevice, _ time.Time) {
			d.both("associatedPerson.viaLogin", "j.doe@other.example.test")
		}},
		{"no-domain", "WS-SUB-0019", "manual", "DOMAIN_UNKNOWN", func(d *SampleDevice, _ time.Time) {
			d.both("associatedPerson.viaLogin", `WORKGRP\j.doe`)
		}},
		{"duplicate-active", "WS-DUP-0020", "manual", "DUPLICATE_ACTIVE", func(d *SampleDevice, _ time.Time) {
			d.twin(20, map[string]any{"lastSeenAt": Ago(3 * time.Minute), "online": true})
		}},
		{"duplicate-stale", "WS-DUP-0021", "manual", "DUPLICATE_STALE", func(d *SampleDevice, now time.Time) {
			d.twin(21, map[string]any{"lastSeenAt": stamp(now.Add(-days(300)))})
		}},
		{"cloned", "WS-IMG-0022", "manual", "CLONED", func(d *SampleDevice, _ time.Time) { d.live("cloned", true) }},
	}
}

// activityCases: the device is in use, or when it last was is not sure.
func activityCases() []sampleCase {
	return []sampleCase{
		{"active-since-event", "WS-BACK-0023", "manual", "ACTIVE_SINCE_EVENT", func(d *SampleDevice, now time.Time) {
			d.live("lastSeenAt", stamp(now.Add(-days(2))))
		}},
		{"online", "WS-ON-0024", "manual", "ACTIVE_IN_CENTRAL", func(d *SampleDevice, _ time.Time) { d.live("online", true) }},
		{"last-seen-missing", "WS-LSN-0025", "manual", "LAST_SEEN_MISSING", func(d *SampleDevice, _ time.Time) {
			d.live("lastSeenAt", unset{})
		}},
		{"last-seen-invalid", "WS-LSN-0026", "manual", "LAST_SEEN_INVALID", func(d *SampleDevice, _ time.Time) {
			d.live("lastSeenAt", "last Tuesday")
		}},
		{"never-seen", "WS-LSN-0027", "manual", "NEVER_SEEN", func(d *SampleDevice, _ time.Time) {
			d.live("registeredAt", d.Record["lastSeenAt"])
		}},
		{"last-seen-future", "WS-LSN-0028", "manual", "CLOCK_SKEW", func(d *SampleDevice, now time.Time) {
			d.both("lastSeenAt", stamp(now.Add(days(30))))
		}},
		{"too-young", "WS-YNG-0029", "skip", "NOT_INACTIVE_LONG_ENOUGH", func(d *SampleDevice, now time.Time) {
			d.both("lastSeenAt", stamp(now.Add(-days(10))))
		}},
		{"grace", "WS-YNG-0030", "skip", "GRACE_PERIOD", func(d *SampleDevice, now time.Time) {
			d.event("directory.disabledAt", now.Add(-days(3)).Format(time.RFC3339))
		}},
	}
}

// kindCases: devices of people and kinds that a person must look at.
func kindCases() []sampleCase {
	return []sampleCase{
		{"vip", "WS-BRD-0031", "manual", "VIP", func(d *SampleDevice, _ time.Time) {
			d.event("owner.memberOf", []any{"CN=VIP,OU=Groups,DC=corp,DC=example,DC=test"})
		}},
		{"owner-unknown", "WS-PUB-0032", "manual", "OWNER_UNKNOWN", func(d *SampleDevice, _ time.Time) {
			d.both("hostname", "ws-pub-0032.corp.example.test")
			d.both("associatedPerson.viaLogin", `WS-PUB-0032\admin`)
		}},
		{"server", "SRV-APP-0033", "manual", "SERVER", func(d *SampleDevice, _ time.Time) {
			d.both("type", "server")
			d.live("os", map[string]any{"isServer": true, "platform": "windows", "name": "Windows Server 2019 Standard",
				"majorVersion": 10, "minorVersion": 0, "build": 17763})
			d.event("central.os", map[string]any{"name": "Windows Server 2019 Standard", "build": 17763})
			d.event("directory.operatingSystem", "Windows Server 2019 Standard")
			d.event("directory.operatingSystemVersion", "10.0 (17763)")
		}},
		{"macos", "MB-DES-0034", "manual", "PLATFORM_MANUAL", func(d *SampleDevice, _ time.Time) {
			d.live("os", map[string]any{"isServer": false, "platform": "macOS", "name": "macOS Sequoia", "majorVersion": 15, "minorVersion": 4})
			d.event("central.os", map[string]any{"name": "macOS Sequoia"})
			d.event("directory.operatingSystem", "macOS")
			d.event("directory.operatingSystemVersion", "15.4")
		}},
		{"linux", "LX-DEV-0035", "manual", "PLATFORM_MANUAL", func(d *SampleDevice, _ time.Time) {
			d.live("os", map[string]any{"isServer": false, "platform": "linux", "name": "Ubuntu 22.04.5 LTS"})
			d.live("tamperProtectionSupported", false)
			d.event("central.os", map[string]any{"name": "Ubuntu 22.04.5 LTS"})
			d.event("directory.operatingSystem", "Ubuntu")
			d.event("directory.operatingSystemVersion", "22.04")
		}},
	}
}

// buildCases: the two sides do not agree on the operating system.
func buildCases() []sampleCase {
	return []sampleCase{
		{"build-unknown", "WS-BLD-0036", "manual", "BUILD_UNKNOWN", func(d *SampleDevice, _ time.Time) {
			d.both("os.build", unset{})
		}},
		{"build-newer", "WS-BLD-0037", "manual", "BUILD_NEWER_IN_CENTRAL", func(d *SampleDevice, _ time.Time) {
			d.event("directory.operatingSystemVersion", "10.0 (22621)")
		}},
		{"build-older", "WS-BLD-0038", "manual", "BUILD_OLDER_IN_CENTRAL", func(d *SampleDevice, _ time.Time) {
			d.event("directory.operatingSystemVersion", "10.0 (26100)")
		}},
		{"family-differs", "WS-BLD-0039", "manual", "OS_FAMILY_MISMATCH", func(d *SampleDevice, _ time.Time) {
			d.event("directory.operatingSystem", "Windows 10 Enterprise")
		}},
	}
}

// lateCases came after all others, which keep their ids: a group that a policy
// excludes, a device that is ill by its services alone, and one of another person.
func lateCases() []sampleCase {
	return []sampleCase{
		{"excluded-group", "WS-LAB-0040", "keep", "EXCLUDED", func(d *SampleDevice, _ time.Time) {
			d.grouped(benches, "Benches", sharedLab, "Shared Lab")
		}},
		{"bad-services", "WS-SEC-0041", "manual", "UNDER_INVESTIGATION", func(d *SampleDevice, _ time.Time) {
			d.live("health.overall", "bad")
			d.live("health.services", map[string]any{"status": "bad", "serviceDetails": []any{
				map[string]any{"name": "Sophos Endpoint Defense Service", "status": "stopped"}}})
		}},
		{"owner-mismatch", "WS-PUB-0042", "manual", "OWNER_MISMATCH", func(d *SampleDevice, _ time.Time) {
			d.both("associatedPerson.viaLogin", `CORPEX\r.roe`)
		}},
	}
}
