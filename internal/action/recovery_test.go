package action_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
)

const day = 24 * time.Hour

// kept is Central's record as it was kept before the delete.
func kept(platform, agent string, more ...func(map[string]any)) map[string]any {
	r := map[string]any{
		"type": "computer", "os": map[string]any{"platform": platform, "majorVersion": 10.0}, "tamperProtectionEnabled": true,
		"assignedProducts": []any{
			map[string]any{"code": "interceptX", "version": "2022.1"}, map[string]any{"code": "coreAgent", "version": agent},
		},
	}
	for _, f := range more {
		f(r)
	}
	return r
}

func TestRecoveryTakesTheBestRouteThatIsStillOpen(t *testing.T) {
	deleted := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	restoreBy := deleted.Add(30 * day)
	unlocked := func(r map[string]any) { r["tamperProtectionEnabled"] = false }
	seven := func(r map[string]any) { r["os"].(map[string]any)["majorVersion"] = 6.0 }
	for _, tc := range []struct {
		name   string
		record map[string]any
		after  time.Duration
		want   string
		says   string // in some step
	}{
		{"a day after the delete Central can restore it", kept("windows", "2025.1.2.5"), day, action.RouteRestore, "list of deleted devices"},
		{"a second before the deadline Central can still restore it", kept("windows", "2025.1.2.5"), 30*day - time.Second, action.RouteRestore, ""},
		{"a current agent has turned itself off, so after the deadline only a reinstall is left", kept("windows", "2025.1.2.5"), 30 * day, action.RouteReinstall, "--registeronly"},
		{"2023.2 is the first that turns itself off", kept("windows", "2023.2.0.1"), 30 * day, action.RouteReinstall, "turns tamper protection and all protection off"},
		{"an agent before that holds its password", kept("windows", "2023.1.9.9"), 30 * day, action.RouteTamper, "Recover Tamper Protection passwords"},
		{"an old Windows may ask for it, whatever its agent", kept("windows", "2024.1", seven), 30 * day, action.RouteTamper, ""},
		{"an agent of unknown version may hold its password", kept("windows", "new"), 30 * day, action.RouteTamper, "2023.2 or later turns its protection off"},
		{"a Mac holds its password", kept("macOS", "2025.1"), 30 * day, action.RouteTamper, "not known to turn itself off"},
		{"a Mac can be restored too", kept("macOS", "2025.1"), day, action.RouteRestore, ""},
		{"after the password's retention only a reinstall is left", kept("macOS", "2025.1"), 60 * day, action.RouteReinstall, "60 to 90 days"},
		{"linux has no tamper protection", kept("linux", ""), 31 * day, action.RouteReinstall, "Linux has no tamper protection"},
		{"tamper protection that was off needs no password", kept("macOS", "2025.1", unlocked), 31 * day, action.RouteReinstall, "was off"},
		{"without Central's record it is taken for protected", nil, 31 * day, action.RouteTamper, "update cache"},
		{"without Central's record it can be restored", nil, day, action.RouteRestore, "list of deleted devices"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := action.DeviceRecord{
				TenantID: "tenant-1", EndpointID: "endpoint-1", Hostname: "WS-1", State: "deleted",
				DeletedAt: &deleted, RestoreBy: &restoreBy, Record: tc.record,
			}
			got := action.RecoverySteps(rec, deleted.Add(tc.after))
			if got.Route != tc.want {
				t.Fatalf("route = %q, want %q", got.Route, tc.want)
			}
			if !slices.ContainsFunc(got.Steps, func(s string) bool { return strings.Contains(s, tc.says) }) {
				t.Errorf("no step says %q: %q", tc.says, got.Steps)
			}
			if (got.PasswordsUntil != nil) != (got.Route == action.RouteTamper) && tc.after >= 30*day && tc.after < 60*day {
				t.Errorf("passwordsUntil %v on route %s", got.PasswordsUntil, got.Route)
			}
			rec.RestoreBy = nil
			if again := action.RecoverySteps(rec, deleted.Add(tc.after)); again.Route != got.Route || !again.RestoreBy.Equal(restoreBy) {
				t.Errorf("without a deadline on record: %s until %v, want the 30 days from the delete", again.Route, again.RestoreBy)
			}
		})
	}
}

func TestRecoveryFollowsTheStateOnRecord(t *testing.T) {
	deleted := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, state string
		deletedAt   *time.Time
		want, says  string
	}{
		{"never deleted", "none", nil, action.RouteNone, "not on record as deleted"},
		{"never deleted, with a ticket open", "ticket_open", nil, action.RouteNone, "not on record as deleted"},
		{"a delete that failed", "failed", nil, action.RouteNone, "failed"},
		{"a delete under way", "deleting", nil, action.RouteWait, "not known yet"},
		{"a second delete under way", "deleting", &deleted, action.RouteWait, "not known yet"},
		{"deleted", "deleted", &deleted, action.RouteRestore, "Restore it"},
		{"deleted, in a store that was restored without its state", "", &deleted, action.RouteRestore, "Restore it"},
		{"deleted, in a store that was restored without the time", "deleted", nil, action.RouteRestore, "not on record when"},
		{"come back", "came_back", &deleted, action.RouteCheck, "has had it again"},
		{"come back, and a person was asked", "ticket_open", &deleted, action.RouteCheck, "has had it again"},
		{"come back, and its next delete failed", "failed", &deleted, action.RouteCheck, "has had it again"},
		{"come back, and its approval ran out", "none", &deleted, action.RouteCheck, "has had it again"},
		{"a state of a later version", "archived", &deleted, action.RouteCheck, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := action.DeviceRecord{TenantID: "tenant-1", EndpointID: "endpoint-1", State: tc.state, DeletedAt: tc.deletedAt}
			got := action.RecoverySteps(rec, deleted.Add(day))
			if got.Route != tc.want || !strings.Contains(got.Summary, tc.says) {
				t.Errorf("%s: %q, want %s: %q", got.Route, got.Summary, tc.want, tc.says)
			}
			// Whatever is on record, the way back must be in it.
			all := strings.Join(got.Steps, "\n")
			for _, part := range []string{"in the tenant tenant-1", "endpoint-1", "list of deleted devices", "from the tenant tenant-1", "not deleted again", "rollcall pause"} {
				if !strings.Contains(all, part) {
					t.Errorf("no step says %q:\n%s", part, all)
				}
			}
		})
	}
}

func TestRecoverySaysWhetherTheAgentDisarmsItself(t *testing.T) {
	deleted := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	yes, no := true, false
	for _, tc := range []struct {
		name   string
		record map[string]any
		want   *bool
	}{
		{"Windows with 2023.2", kept("windows", "2023.2"), &yes},
		{"Windows with a later year", kept("windows", "2024.1.0"), &yes},
		{"Windows with 2023.1", kept("windows", "2023.1"), &no},
		{"Windows with an old line of versions", kept("windows", "2.20.13"), &no},
		{"Windows without a version", kept("windows", ""), nil},
		{"a Mac, of which it is not documented", kept("macOS", "2025.1"), nil},
		{"Linux, of which it is not documented", kept("linux", "2025.1"), nil},
		{"no record of Central's", nil, nil},
		{"a record of another shape", map[string]any{"os": "windows", "assignedProducts": []any{"x", map[string]any{"code": "coreAgent", "version": 7}}}, nil},
	} {
		rec := action.DeviceRecord{State: "deleted", DeletedAt: &deleted, Record: tc.record}
		got := action.RecoverySteps(rec, deleted).LosesProtection
		if (got == nil) != (tc.want == nil) || got != nil && *got != *tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
