package action

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// passwordsFor is how long Central's report of tamper-protection passwords
// surely keeps those of a deleted device: the shorter of the times that Sophos
// has named (the other is 90 days).
const passwordsFor = 60 * 24 * time.Hour

// The routes back for a device that was deleted while in use, best first.
const (
	RouteCheck     = "check"             // Central has it again: see that it is protected
	RouteWait      = "wait"              // a delete is under way, and its outcome is not known
	RouteRestore   = "restore"           // Central can still restore it
	RouteTamper    = "tamper-protection" // lift its tamper protection, then reinstall
	RouteReinstall = "reinstall"         // nothing is left but a new installation
	RouteNone      = "none"              // it is not on record as deleted by this service
)

// The device's states, as the ledger names them, that the route depends on.
const (
	isDeleting = "deleting"
	isDeleted  = "deleted"
	isFailed   = "failed"
)

// Recovery is how to protect a device again that was deleted wrongly.
type Recovery struct {
	TenantID       string
	EndpointID     string
	Hostname       string // empty = not known
	State          string // as the ledger names it
	Platform       string // windows, macOS, linux or empty
	DeletedAt      *time.Time
	RestoreBy      *time.Time // until when Central can restore it
	PasswordsUntil *time.Time // until when its tamper-protection password is surely kept; nil = it needs none
	// LosesProtection says whether the agent turns its protection off when it
	// next checks in after the delete; nil = not known.
	LosesProtection *bool
	Route           string
	Summary         string
	Steps           []string
}

// RecoverySteps says how to protect the device again, from what is on record. It
// depends on nothing but the record and the time, and needs no more of the
// record than the two ids: what is not known makes the steps more general.
func RecoverySteps(rec DeviceRecord, now time.Time) Recovery {
	w := wreck{rec: rec, name: rec.Hostname, agent: agentOf(rec.Record)}
	if w.name == "" {
		w.name = "the device"
	}
	r := Recovery{
		TenantID: rec.TenantID, EndpointID: rec.EndpointID, Hostname: rec.Hostname, State: rec.State,
		Platform: w.agent.platform, DeletedAt: rec.DeletedAt, RestoreBy: rec.RestoreBy,
	}
	switch {
	case rec.State == isDeleting:
		w.wait(&r)
	case rec.State == isDeleted, rec.State == "" && rec.DeletedAt != nil, rec.ByDirectory && rec.DeletedAt != nil:
		w.deleted(&r, now)
	case rec.State == isFailed && rec.DeletedAt == nil:
		w.failed(&r)
	case rec.DeletedAt == nil:
		w.never(&r)
	default: // deleted once, and since then seen again
		w.cameBack(&r)
	}
	return r
}

// wreck is a device that somebody wants back.
type wreck struct {
	rec   DeviceRecord
	name  string
	agent agent
}

// deleted chooses among the ways back of a device that Central no longer has.
func (w wreck) deleted(r *Recovery, now time.Time) {
	r.LosesProtection = w.agent.disarms
	if r.RestoreBy == nil && r.DeletedAt != nil {
		by := r.DeletedAt.Add(restoreFor)
		r.RestoreBy = &by
	}
	if r.DeletedAt != nil && w.agent.locked {
		until := r.DeletedAt.Add(passwordsFor)
		r.PasswordsUntil = &until
	}
	steps := []string{w.exposed(), w.look()}
	switch {
	case r.RestoreBy == nil:
		r.Route, r.Summary = RouteRestore, "Deleted, but it is not on record when: try to restore it in Sophos Central, which can for 30 days."
		steps = append(steps, w.restore()...)
	case now.Before(*r.RestoreBy):
		r.Route = RouteRestore
		r.Summary = fmt.Sprintf("Restore it in Sophos Central before %s; after that only a new installation helps.", stamp(*r.RestoreBy))
		steps = append(steps, w.restore()...)
	case r.PasswordsUntil != nil && now.Before(*r.PasswordsUntil):
		r.Route = RouteTamper
		r.Summary = fmt.Sprintf("Too late to restore it. Lift its tamper protection with the password that Central keeps until %s, then reinstall.",
			stamp(*r.PasswordsUntil))
		steps = append(append(steps, w.unlock()...), w.reinstall()...)
	default:
		r.Route, r.Summary = RouteReinstall, "Too late to restore it. Install the agent from the right tenant."
		steps = append(append(steps, w.uninstall()), w.reinstall()...)
	}
	r.Steps = append(steps, w.spare())
}

// cameBack is for a device that was deleted and that Central has again.
func (w wreck) cameBack(r *Recovery) {
	r.Route = RouteCheck
	r.Summary = "This service deleted it and Central has had it again since: see that it is protected, and that it stays."
	r.LosesProtection = w.agent.disarms
	r.Steps = append([]string{
		w.exposed(),
		w.signIn() + " Open " + w.named() + ".",
		"See that it checks in, that its health is good, that its products are installed and tamper protection is on. " +
			"A device that was restored or registered again may still be without protection.",
		"If something is missing or its health is not good, update or reinstall it:",
	}, w.reinstall()...)
	r.Steps = append(r.Steps,
		"If Central does not list it after all, restore it from the list of deleted devices within 30 days of the delete.",
		w.spare(),
		"Acknowledge its failure (POST /v1/failures/"+w.rec.EndpointID+"/ack). Once it is clear why it was deleted, close the circuit that it opened: rollcall circuit-reset.",
	)
}

// wait is for a device with a DELETE whose outcome is not known.
func (w wreck) wait(r *Recovery) {
	r.Route = RouteWait
	r.Summary = "A delete of it is under way and its outcome is not known yet: ask again in a minute."
	r.LosesProtection = w.agent.disarms
	r.Steps = append([]string{
		"Ask again in a minute: the service reads back whether Central still has the device.",
		w.look(),
		"If Central does not list it, do not wait:",
	}, w.restore()...)
	r.Steps = append(r.Steps, w.spare())
}

// failed is for a device that Central kept, whatever was sent.
func (w wreck) failed(r *Recovery) {
	r.Route = RouteNone
	r.Summary = "A delete of it failed, and Central still had it when that was read back."
	r.Steps = append([]string{w.look(), "If Central does not list it, the delete took effect after all:"}, w.restore()...)
	r.Steps = append(r.Steps, w.spare())
}

// never is for a device that is not on record as deleted.
func (w wreck) never(r *Recovery) {
	r.Route = RouteNone
	r.Summary = "It is not on record as deleted by this service."
	r.Steps = append([]string{
		w.look(),
		"If Central does not list it, something else deleted it: a person, or Central's own removal of inactive devices. What helps is the same:",
	}, w.restore()...)
	r.Steps = append(r.Steps, w.spare())
}

// named is how to find the device in Central.
func (w wreck) named() string { return w.name + " (endpoint " + w.rec.EndpointID + ")" }

func (w wreck) signIn() string {
	return "Sign in to Sophos Central Admin, in the tenant " + w.rec.TenantID + "."
}

// look comes before anything that changes something.
func (w wreck) look() string {
	return w.signIn() + " Look for " + w.named() + " among its devices. If it is listed, checks in and its health is good, it is protected."
}

// exposed says how bad it is meanwhile.
func (w wreck) exposed() string {
	what := "Until the last step is done treat it as unprotected, and keep it off networks that you do not trust."
	switch {
	case w.agent.disarms == nil && (w.agent.platform == "" || w.agent.windows()):
		return what + " A Windows agent of 2023.2 or later turns its protection off at its next check-in after a delete."
	case w.agent.disarms != nil && *w.agent.disarms:
		return what + " Its agent turns tamper protection and all protection off at its next check-in after the delete, and then says that it is no longer managed."
	}
	return what + " Its agent is not known to turn itself off, but Central neither manages nor watches it any more."
}

// restore undoes the delete in Central's console; there is no public API for it.
func (w wreck) restore() []string {
	steps := []string{
		"Open the list of deleted devices, which also shows tamper-protection passwords, and restore " + w.named() +
			". Central can do that for 30 days after a delete; there is no API for it.",
		"Start the device and connect it to the network. See in Central that it checks in, that its health is good and tamper protection is on: what was turned off must come back.",
	}
	if w.agent.server {
		steps = append(steps, "If it was an update cache or a message relay, set that up again: a delete takes it away.")
	}
	return append(steps, "If it can't be restored, or does not become healthy: "+w.uninstall()+" Then install the latest agent from the tenant "+w.rec.TenantID+".")
}

// unlock lifts the tamper protection of an agent that Central has forgotten.
func (w wreck) unlock() []string {
	return []string{
		"Open Logs & Reports, Endpoint & Server Protection, Recover Tamper Protection passwords, and search for " + w.name + ".",
		"Show the details and take the newest password. Write it down now: it will not be kept for long.",
		"On the device, open the Sophos agent, choose Admin sign-in and enter the password.",
		"In its settings, override the Central policy and turn tamper protection off.",
		"Uninstall the agent.",
	}
}

// uninstall takes away what is left of the old agent.
func (w wreck) uninstall() string {
	const left = "Uninstall the agent if it is still there"
	switch {
	case w.agent.linux():
		return left + "; Linux has no tamper protection."
	case !w.agent.locked && w.agent.disarms != nil && *w.agent.disarms:
		return left + ", or register it again by the installer's option --registeronly. It asks for no password once it has turned itself off; " +
			"if it does all the same, look into Central's report of tamper-protection passwords."
	case !w.agent.locked:
		return left + "; its tamper protection was off."
	}
	return left + ". If it asks for a tamper-protection password, look into Central's report of them, which keeps those of deleted devices " +
		"for 60 to 90 days; if it is not there, only Sophos Support can help."
}

// reinstall ends every route that needs a new installation.
func (w wreck) reinstall() []string {
	steps := []string{
		"Download the latest installer from the tenant " + w.rec.TenantID + ", from no other, and install it on the device.",
		"See in Central that the device is listed, checks in, and its health is good. It may have a new endpoint id.",
	}
	if w.agent.server {
		steps = append(steps, "If it was an update cache or a message relay, set that up again.")
	}
	return steps
}

// spare keeps the same from happening again.
func (w wreck) spare() string {
	return "See that it is not deleted again: enable its account in the directory or move it out of the disabled OU, exclude it in the policy, " +
		"or close a ticket for it with keep. If others may be hit too, stop all deletes first: rollcall pause."
}

// agent is what Central's record said of the agent right before the delete.
type agent struct {
	platform string // windows, macOS, linux; empty = not known
	server   bool   // it may have been one
	disarms  *bool  // turns its protection off after a delete; nil = not known, as of all but Windows
	locked   bool   // may ask for a password before it is uninstalled
}

func (a agent) windows() bool { return strings.EqualFold(a.platform, "windows") }
func (a agent) linux() bool   { return strings.EqualFold(a.platform, "linux") }

// agentOf reads the record; nil is a record of which nothing is known.
func agentOf(record map[string]any) agent {
	os, _ := record["os"].(map[string]any)
	a := agent{}
	a.platform, _ = os["platform"].(string)
	a.server = record["type"] != "computer" || os["isServer"] == true
	if a.windows() {
		a.disarms = atLeast(coreAgent(record), 2023, 2)
	}
	major, _ := os["majorVersion"].(float64)
	free := a.disarms != nil && *a.disarms && major >= 10 // Windows 10, Server 2016 and later
	off := record["tamperProtectionEnabled"] == false
	a.locked = !free && !off && !a.linux()
	return a
}

// coreAgent is the version of the agent itself; empty = not on record.
func coreAgent(record map[string]any) string {
	products, _ := record["assignedProducts"].([]any)
	for _, x := range products {
		if p, _ := x.(map[string]any); p["code"] == "coreAgent" {
			version, _ := p["version"].(string)
			return version
		}
	}
	return ""
}

// atLeast compares the first two numbers of a version; nil = it can't be read.
func atLeast(version string, major, minor int) *bool {
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		return nil
	}
	a, errA := strconv.Atoi(parts[0])
	b, errB := strconv.Atoi(parts[1])
	if errA != nil || errB != nil {
		return nil
	}
	return known(a > major || a == major && b >= minor)
}
