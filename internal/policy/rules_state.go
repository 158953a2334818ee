package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Tier 0: the service's own state.

func killSwitch(f Facts, _ Params, _ time.Time) finding {
	if f.Standing.Paused != "" {
		return hits("Deletes are paused: " + f.Standing.Paused + ".").again(5 * time.Minute)
	}
	return pass()
}

func stateUnverified(f Facts, _ Params, _ time.Time) finding {
	if f.Standing.Unverified != "" {
		return hits("The store can't be trusted: " + f.Standing.Unverified + ".").again(5 * time.Minute)
	}
	return pass()
}

// Tier 1: what was done with the device before, or is in hand.

// returned reports whether a device deleted by us is in Central again.
func returned(f Facts) bool {
	return !f.Standing.DeletedAt.IsZero() && (f.found() || !f.Standing.CameBackAt.IsZero())
}

func alreadyDeleted(f Facts, _ Params, _ time.Time) finding {
	if f.Standing.DeletedAt.IsZero() || returned(f) {
		return pass()
	}
	return hits(deletedText(f.Standing.DeletedAt))
}

// deletedText is what an operator reads of a device that this service deleted.
func deletedText(at time.Time) string { return "The device was deleted at " + when(at) + "." }

func cameBack(f Facts, _ Params, _ time.Time) finding {
	switch {
	case !returned(f):
		return pass()
	case f.found():
		return hits("The device was deleted at " + when(f.Standing.DeletedAt) +
			" and Central has it again: it is probably in use and unprotected.")
	}
	return hits("The device was deleted at " + when(f.Standing.DeletedAt) + " and there was a sign at " + when(f.Standing.CameBackAt) +
		" that it is in use: it is probably unprotected.")
}

func inFlight(f Facts, _ Params, _ time.Time) finding {
	if f.Standing.InFlight {
		return hits("A delete of the device is under way.").again(15 * time.Second)
	}
	return pass()
}

func approvalPending(f Facts, _ Params, _ time.Time) finding {
	id := f.Standing.ApprovalID
	if id == "" || (f.Approval != nil && f.Approval.ID == id) {
		return pass()
	}
	return hits("An approval to delete the device is waiting to be used.")
}

func ticketOpen(f Facts, _ Params, _ time.Time) finding {
	if f.Standing.OpenTicket != "" {
		return hits("Ticket " + f.Standing.OpenTicket + " is open for the device.")
	}
	return pass()
}

// keepHolds reports whether a decision to keep still holds: in time, and while
// the directory says what it said then.
func keepHolds(f Facts, now time.Time) bool {
	k, d := f.Standing.Keep, f.Event.Directory
	return k != nil && now.Before(k.Until) && k.Enabled == d.Enabled &&
		k.DN.State == d.DistinguishedName.State && k.DN.Value.equal(d.DistinguishedName.Value, Loose)
}

func ticketDecidedKeep(f Facts, _ Params, now time.Time) finding {
	if keepHolds(f, now) {
		return hits("Ticket " + f.Standing.Keep.TicketID + " was decided: keep, until " + when(f.Standing.Keep.Until) + ".")
	}
	return pass()
}

// Tier 2: the input.

func inputInvalid(f Facts, p Params, _ time.Time) finding {
	if !f.Event.Directory.Present {
		return quiet() // DIRECTORY_MISSING says so
	}
	bad := slices.Concat(invalidDirectory(f.Event.Directory), invalidCentral(f.Event), missing(f.Event, p), f.Event.Garbled)
	if len(bad) > 0 {
		return hits(strings.Join(append([]string{"Missing or unreadable: " + strings.Join(bad, ", ")}, f.Event.Notes...), ". ") + ".")
	}
	return pass()
}

// named is a field's path with its state.
type named struct {
	path   string
	state  State
	needed bool
}

// faulty lists the paths of fields that are unreadable, or needed and absent.
func faulty(fields ...named) []string {
	var bad []string
	for _, f := range fields {
		if f.state == Unreadable || (f.needed && f.state == Absent) {
			bad = append(bad, f.path)
		}
	}
	return bad
}

func invalidDirectory(d Directory) []string {
	return faulty(
		named{"directory.hostname", d.Hostname.State, true},
		named{"directory.domain", d.Domain.State, true},
		named{"directory.distinguishedName", d.DistinguishedName.State, true},
		named{"directory.operatingSystem", d.OperatingSystem.State, false},
		named{"directory.enabled", d.Enabled.State, false},
		named{"directory.disabledAt", d.DisabledAt.State, false},
		named{"directory.memberOf", d.MemberOf.State, false},
		named{"directory.managedBy", d.ManagedBy.State, false},
		named{"directory.primaryGroupId", d.PrimaryGroupID.State, false},
		named{"directory.userAccountControl", d.UserAccountControl.State, false},
	)
}

func invalidCentral(e Event) []string {
	c := e.Central
	return faulty(
		named{"observedAt", e.ObservedAt.State, false},
		named{"owner.login", e.Owner.Login.State, false},
		named{"owner.memberOf", e.Owner.MemberOf.State, false},
		named{"central.id", c.ID.State, true},
		named{"central.tenant.id", c.TenantID.State, true},
		named{"central.hostname", c.Hostname.State, true},
		named{"central.type", c.Type.State, false},
		named{"central.os.platform", c.Platform.State, false},
		named{"central.os.name", c.OSName.State, false},
		named{"central.os.isServer", c.IsServer.State, false},
		named{"central.registeredAt", c.RegisteredAt.State, false},
		named{"central.online", c.Online.State, false},
		named{"central.isolation", c.Isolated.State, false},
		named{"central.health.overall", c.HealthOverall.State, false},
		named{"central.health.threats.status", c.HealthThreats.State, false},
		named{"central.cloned", c.Cloned.State, false},
		named{"central.associatedPerson.name", c.PersonName.State, false},
		named{"central.associatedPerson.viaLogin", c.ViaLogin.State, false},
	)
}

// missing lists what the policy requires and the event lacks.
func missing(e Event, p Params) []string {
	have := map[string]State{
		"observedAt": e.ObservedAt.State, "enabled": e.Directory.Enabled.State,
		"disabledAt": e.Directory.DisabledAt.State, "memberOf": e.Directory.MemberOf.State,
		"owner": ownerState(e.Owner, p),
	}
	var bad []string
	for _, name := range p.Require {
		if have[name] == Absent {
			bad = append(bad, name+" (required by the policy)")
		}
	}
	return bad
}

// ownerState is absent where the login is or, for a policy with VIP groups, the groups.
func ownerState(o Owner, p Params) State {
	if len(p.VIP.Groups) > 0 {
		return min(o.Login.State, o.MemberOf.State)
	}
	return o.Login.State
}

func directoryMissing(f Facts, _ Params, _ time.Time) finding {
	if !f.Event.Directory.Present {
		return hits("The event has no directory record, so nothing says that the device is retired.")
	}
	return pass()
}

// Tier 3: the sources.

func eventStale(f Facts, p Params, now time.Time) finding {
	if !f.Event.ObservedAt.Known() {
		return pass()
	}
	if f.Approval != nil && !f.Approval.OpenedAt.IsZero() {
		now = f.Approval.OpenedAt
	}
	if age := now.Sub(f.Event.ObservedAt.Value); age > p.EventMaxAge {
		return hits(fmt.Sprintf("The event was observed at %s, more than %s ago.", when(f.Event.ObservedAt.Value), p.EventMaxAge))
	}
	return pass()
}

// Silent reports whether Central, as it was read, has heard from no device of the
// tenant within the canary's time.
func Silent(live Live, p Params, now time.Time) bool {
	newest := live.NewestSeenAt
	return !newest.Known() || newest.Value.After(now.Add(MaxSkew)) || now.Sub(newest.Value) > p.NewestWithin
}

func fleetSilent(f Facts, p Params, now time.Time) finding {
	if !f.found() {
		return quiet()
	}
	if now.Before(f.Standing.SilentUntil) {
		return hits("After a silence of the fleet nothing is deleted until " + when(f.Standing.SilentUntil) + ".").
			again(f.Standing.SilentUntil.Sub(now))
	}
	if Silent(f.Live, p, now) {
		return hits(fmt.Sprintf("Central has heard from no device of the tenant within %s.", p.NewestWithin)).again(15 * time.Minute)
	}
	return pass()
}

// lookupFailed reports whether the live read failed, and why.
func lookupFailed(f Facts) (string, bool) {
	switch f.Live.Status {
	case LiveNotFound, LiveForeignTenant:
		return "", false
	case LiveFound:
		_, itself := f.siblings()
		switch {
		case !f.Live.Device.ID.Known() || f.Live.Device.ID != f.Event.Central.ID:
			return "Central answered with the record of another device.", true
		case !itself:
			return "The search for devices of the same name did not find the device itself.", true
		}
		return "", false
	case LiveUnread, LiveFailed:
	}
	if f.Live.Problem == "" {
		return "The device could not be verified in Central.", true
	}
	return "The device could not be verified in Central: " + strings.TrimSuffix(f.Live.Problem, ".") + ".", true
}

func verifyFailed(f Facts, p Params, now time.Time) finding {
	text, failed := lookupFailed(f)
	if !failed {
		return pass()
	}
	fails, last := f.Standing.VerifyFails, f.Standing.VerifyFailAt
	if !f.Live.Own && (last.IsZero() || now.Sub(last) >= p.Failures.Apart) {
		fails++
	}
	if fails >= p.Failures.ManualAfter {
		return hitsAs(Manual, fmt.Sprintf("%s This was the failure number %d in a row.", text, fails))
	}
	retry := f.Live.RetryAfter
	if retry <= 0 {
		retry = time.Minute
	}
	return hits(text).again(retry)
}

func goneElsewhere(f Facts, _ Params, _ time.Time) finding {
	if f.Live.Status == LiveNotFound && f.Standing.DeletedAt.IsZero() {
		return hits(goneText)
	}
	return pass()
}

// goneText is what an operator reads of a device that others deleted.
const goneText = "Central no longer has the device, and it was not deleted by this service."

// when writes a time for a person.
func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
