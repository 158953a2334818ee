package action

import (
	"fmt"
	"strings"
	"time"
)

// passwordsFor is how long Central's report of tamper-protection passwords keeps
// those of a deleted device: the shorter of the times that Sophos has named.
const passwordsFor = 60 * 24 * time.Hour

// The routes back for a device that was deleted while in use, best first.
const (
	RouteRestore   = "restore"           // Central still has it among the deleted ones
	RouteTamper    = "tamper-protection" // lift its tamper protection, then reinstall
	RouteReinstall = "reinstall"         // nothing is left but a new installation
	RouteNone      = "none"              // it was never deleted by this service
)

// Recovery is how to protect a device again that was deleted wrongly.
type Recovery struct {
	TenantID       string     `json:"tenantId"`
	EndpointID     string     `json:"endpointId"`
	Hostname       string     `json:"hostname"`
	Platform       string     `json:"platform"` // windows, macOS, linux or empty
	DeletedAt      *time.Time `json:"deletedAt"`
	RestoreBy      *time.Time `json:"restoreBy"`
	PasswordsUntil *time.Time `json:"passwordsUntil"` // end of the tamper-protection report
	Route          string     `json:"route"`
	Summary        string     `json:"summary"`
	Steps          []string   `json:"steps"`
}

// RecoverySteps says how to protect the device again, from what was recorded at
// its delete. It depends on nothing but the record and the time.
func RecoverySteps(rec DeviceRecord, now time.Time) Recovery {
	r := Recovery{
		TenantID: rec.TenantID, EndpointID: rec.EndpointID, Hostname: rec.Hostname,
		Platform: platformOf(rec.Record), DeletedAt: rec.DeletedAt, RestoreBy: rec.RestoreBy, Route: RouteNone,
	}
	if rec.DeletedAt == nil {
		r.Summary = "This service has no record of having deleted the device."
		r.Steps = []string{"Look for it in Sophos Central under its host name; if it is there, it is still protected."}
		return r
	}
	until := rec.DeletedAt.Add(passwordsFor)
	r.PasswordsUntil = &until
	switch {
	case rec.RestoreBy != nil && now.Before(*rec.RestoreBy):
		r.Route = RouteRestore
		r.Summary = fmt.Sprintf("Restore it in Sophos Central before %s.", stamp(*rec.RestoreBy))
		r.Steps = restoreSteps(rec)
	case now.Before(until) && tamperProtected(rec.Record, r.Platform):
		r.Route = RouteTamper
		r.Summary = fmt.Sprintf("Lift its tamper protection with the password that Central keeps until %s, then reinstall.", stamp(until))
		r.Steps = append(tamperSteps(rec), reinstallSteps(rec)...)
	default:
		r.Route = RouteReinstall
		r.Summary = "Install the agent anew from the right tenant."
		r.Steps = append([]string{"If an agent is still installed, uninstall it first."}, reinstallSteps(rec)...)
	}
	return r
}

// restoreSteps undo the delete in Central's console; there is no public API.
func restoreSteps(rec DeviceRecord) []string {
	return []string{
		"Sign in to Sophos Central Admin, in the tenant " + rec.TenantID + ".",
		"Open the list of deleted devices and restore " + rec.Hostname + " (endpoint " + rec.EndpointID + ").",
		"Start the device, connect it to the network, and see in Central that it checks in and its health is good.",
		"If it does not come back, reinstall: " + reinstallSteps(rec)[0],
	}
}

// tamperSteps lift the tamper protection of an agent that Central has forgotten.
func tamperSteps(rec DeviceRecord) []string {
	return []string{
		"Sign in to Sophos Central Admin, in the tenant " + rec.TenantID + ".",
		"Open Logs & Reports, Endpoint & Server Protection, Recover Tamper Protection passwords, and search for " + rec.Hostname + ".",
		"Show the details and take the newest password.",
		"On the device, open the Sophos agent, choose Admin sign-in and enter the password.",
		"In its settings, override the Central policy and turn tamper protection off.",
		"Uninstall the agent.",
	}
}

// reinstallSteps end every route that needs a new installation.
func reinstallSteps(rec DeviceRecord) []string {
	return []string{
		"Download the latest installer from the tenant " + rec.TenantID + " and install it on the device.",
		"See in Central that the device is listed, checks in, and its health is good.",
	}
}

// platformOf is the recorded os.platform.
func platformOf(record map[string]any) string {
	os, _ := record["os"].(map[string]any)
	platform, _ := os["platform"].(string)
	return platform
}

// tamperProtected reports whether the agent may still resist being uninstalled:
// unless the record says no, or the platform has no tamper protection.
func tamperProtected(record map[string]any, platform string) bool {
	if on, ok := record["tamperProtectionEnabled"].(bool); ok && !on {
		return false
	}
	return !strings.EqualFold(platform, "linux")
}
