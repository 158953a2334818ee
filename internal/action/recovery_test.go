package action_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
)

func TestRecoveryTakesTheBestRouteThatIsStillOpen(t *testing.T) {
	deleted := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	restoreBy := deleted.Add(30 * 24 * time.Hour)
	windows := map[string]any{"os": map[string]any{"platform": "windows"}, "tamperProtectionEnabled": true}
	for _, tc := range []struct {
		name   string
		record map[string]any
		after  time.Duration
		want   string
	}{
		{"a day after the delete Central can restore it", windows, 24 * time.Hour, action.RouteRestore},
		{"a second before the deadline Central can still restore it", windows, 30*24*time.Hour - time.Second, action.RouteRestore},
		{"at the deadline the tamper-protection route is left", windows, 30 * 24 * time.Hour, action.RouteTamper},
		{"after the password's retention only a reinstall is left", windows, 60 * 24 * time.Hour, action.RouteReinstall},
		{"linux has no tamper protection", map[string]any{"os": map[string]any{"platform": "linux"}}, 31 * 24 * time.Hour, action.RouteReinstall},
		{"tamper protection that was off needs no password", map[string]any{"tamperProtectionEnabled": false}, 31 * 24 * time.Hour, action.RouteReinstall},
		{"an unknown record is taken for protected", nil, 31 * 24 * time.Hour, action.RouteTamper},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := action.DeviceRecord{TenantID: "tenant-1", EndpointID: "endpoint-1", Hostname: "WS-1", DeletedAt: &deleted, RestoreBy: &restoreBy, Record: tc.record}
			got := action.RecoverySteps(rec, deleted.Add(tc.after))
			if got.Route != tc.want {
				t.Fatalf("route = %q, want %q", got.Route, tc.want)
			}
			if !strings.Contains(strings.Join(got.Steps, "\n"), "tenant-1") {
				t.Errorf("the steps do not name the tenant: %q", got.Steps)
			}
		})
	}
}

func TestRecoveryOfADeviceThatWasNeverDeletedSaysSo(t *testing.T) {
	got := action.RecoverySteps(action.DeviceRecord{Hostname: "WS-1"}, time.Now())
	if got.Route != action.RouteNone || len(got.Steps) == 0 {
		t.Fatalf("got %+v, want route none with a step", got)
	}
}
