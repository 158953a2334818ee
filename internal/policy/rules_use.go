package policy

import (
	"fmt"
	"time"
)

// Tier 7: activity.

func activeSinceEvent(f Facts, p Params, now time.Time) finding {
	event := f.Event.Central.LastSeenAt
	switch {
	case !f.found():
		return quiet()
	case event.Known() && now.Sub(event.Value) >= p.Threshold(f) && seenSince(f):
		return hits(sinceText(f))
	}
	return pass()
}

// sinceText says who saw the device when.
func sinceText(f Facts) string {
	return "The event last saw it at " + when(f.Event.Central.LastSeenAt.Value) + ", Central at " + when(f.Live.Device.LastSeenAt.Value) + "."
}

func activeInCentral(f Facts, _ Params, _ time.Time) finding {
	switch {
	case !f.found():
		return quiet()
	case latest(f.Live.Device.Online, f.Event.Central.Online).Value:
		return hits("The device is online.")
	}
	return pass()
}

func lastSeenMissing(f Facts, _ Params, _ time.Time) finding {
	switch {
	case f.Event.Central.LastSeenAt.State == Absent:
		return hits("The event has no last-seen time.")
	case f.found() && f.Live.Device.LastSeenAt.State == Absent:
		return hits("Central has no last-seen time.")
	}
	return pass()
}

func lastSeenInvalid(f Facts, _ Params, _ time.Time) finding {
	switch {
	case f.Event.Central.LastSeenAt.State == Unreadable:
		return hits("The event's last-seen time can't be read.")
	case f.found() && f.Live.Device.LastSeenAt.State == Unreadable:
		return hits("Central's last-seen time can't be read.")
	}
	return pass()
}

// neverSeen hits where the last sign of life is the registration itself, or one
// from before it. A record without the time of registration says nothing of this.
func neverSeen(f Facts, _ Params, _ time.Time) finding {
	for _, d := range []Device{f.Live.Device, f.Event.Central} {
		if d.LastSeenAt.Known() && d.RegisteredAt.Known() && !d.LastSeenAt.Value.After(d.RegisteredAt.Value) {
			return hits("The device has not been seen since it registered at " + when(d.RegisteredAt.Value) + ".")
		}
	}
	if f.Live.Device.RegisteredAt.State == Unreadable {
		return hits("Nobody can say whether the device was seen since it registered: that time can't be read.")
	}
	return pass()
}

func clockSkew(f Facts, _ Params, now time.Time) finding {
	limit := now.Add(MaxSkew)
	for _, at := range []struct {
		what string
		time Field[time.Time]
	}{
		{"The event was observed", f.Event.ObservedAt},
		{"The event last saw it", f.Event.Central.LastSeenAt},
		{"Central last saw it", f.Live.Device.LastSeenAt},
	} {
		if at.time.Known() && at.time.Value.After(limit) {
			return hits(at.what + " in the future.")
		}
	}
	if c := f.Live.CentralTime; c.Known() && c.Value.Sub(f.Live.At).Abs() > MaxSkew {
		return hits("Central's clock and this service's differ by more than five minutes.")
	}
	return pass()
}

// Tier 8: time, which heals by itself.

// notInactiveLongEnough hits on either time that is too young, even where the
// other is not known: who waives a missing time has not waived a young one.
func notInactiveLongEnough(f Facts, p Params, now time.Time) finding {
	last, anyKnown, both := f.newestSeen()
	at := last.Add(p.Threshold(f))
	switch {
	case anyKnown && now.Before(at):
		return hits(fmt.Sprintf("It was last seen at %s, %.1f days ago, and must be silent for %d days.",
			when(last), now.Sub(last).Seconds()/day.Seconds(), p.Threshold(f)/day)).again(at.Sub(now))
	case !both:
		return quiet(LastSeenMissing, LastSeenInvalid)
	}
	return pass()
}

// eligibleByGrace is when the grace since the account was disabled ends.
func eligibleByGrace(f Facts, p Params) (time.Time, bool) {
	at := f.Event.Directory.DisabledAt
	return at.Value.Add(time.Duration(p.GraceDays) * day), at.Known()
}

func gracePeriod(f Facts, p Params, now time.Time) finding {
	at, ok := eligibleByGrace(f, p)
	if ok && (now.Before(at) || now.Before(f.Event.Directory.DisabledAt.Value)) {
		return hits(fmt.Sprintf("The account was disabled at %s; %d days of grace.",
			when(f.Event.Directory.DisabledAt.Value), p.GraceDays)).again(at.Sub(now))
	}
	return pass()
}

// Tier 9: who and what.

func vipDevice(f Facts, p Params, _ time.Time) finding {
	if who := vip(f, p); who != "" {
		return hits("The device is a VIP's: " + who + ".")
	}
	return pass()
}

func ownerUnknown(f Facts, p Params, _ time.Time) finding {
	d := f.Live.Device
	switch {
	case !f.found():
		return quiet()
	case !groupsOfOwnerSaid(f, p):
		return hits("The policy has vip.groups, and the event does not say who uses the device and which groups they are in: " +
			"add owner.login and owner.memberOf (the user's groups) to the search, or name people in vip.users.")
	case d.ViaLogin.State == Unreadable, d.PersonName.State == Unreadable:
		return hits("Central's name of the device's user can't be read.")
	case p.Manual.UnknownOwner && !personShown(f):
		return hits("Central shows no domain user of the device.")
	}
	return pass()
}

// ownerMismatch hits unless the event's owner is certainly the person whom Central
// shows: the owner's groups say nothing of anybody else. Where Central shows no domain
// user, OWNER_UNKNOWN says so.
func ownerMismatch(f Facts, p Params, _ time.Time) finding {
	owner, shown := f.Event.Owner.Login, f.Live.Device.ViaLogin
	switch {
	case !f.found():
		return quiet()
	case !owner.Known() || !shown.Known(), p.samePerson(owner.Value, shown.Value, directoryDomain(f, p)):
		return pass()
	case !personShown(f) && (p.Manual.UnknownOwner || f.sameUser(owner.Value, shown.Value)):
		return pass()
	}
	return hits("The event's owner is " + owner.Value + ", and Central shows " + shown.Value + ".")
}

// sameUser reports whether a login without a domain, or one of the device's own, is not
// plainly somebody else's than the owner's.
func (f Facts) sameUser(owner, shown string) bool {
	if l, ok := loginOf(shown); ok {
		return f.ownName(l.domain)
	}
	l, ok := loginOf(owner)
	return fold(shown) == fold(owner) || ok && fold(shown) == fold(l.user)
}

func serverRule(f Facts, p Params, _ time.Time) finding {
	switch {
	case p.Manual.Servers && f.server():
		return hits("The device is a server.")
	case f.serverUnsaid(): // also where servers may pass: nobody knows what else is another's
		return hits("Central does not say whether the device is a server.")
	}
	return pass()
}

func platformManual(f Facts, p Params, _ time.Time) finding {
	if !f.found() {
		return quiet()
	}
	d := f.Live.Device
	switch kind := d.Type.Value; {
	case kind != "computer" && kind != "server":
		return hits("Central does not say whether it is a computer or a server.")
	case !d.OSName.Known(): // it could name a server, a cluster or another release
		return hits("Central does not name the operating system.")
	}
	switch platform(d) {
	case "windows":
		return pass()
	case "macos":
		if p.Manual.MacOS {
			return hits("The platform is macOS.")
		}
		return pass()
	case "linux":
		if p.Manual.Linux {
			return hits("The platform is Linux.")
		}
		return pass()
	}
	return hits("Central does not say which platform it is.")
}

func keepLapsed(f Facts, _ Params, now time.Time) finding {
	if f.Standing.Keep != nil && !keepHolds(f, now) {
		return hits("The decision of ticket " + f.Standing.Keep.TicketID + " to keep it no longer holds; a person must decide anew.")
	}
	return pass()
}

func ticketUndecided(f Facts, _ Params, _ time.Time) finding {
	if f.Standing.Undecided {
		return hits("The last ticket was closed without a decision.")
	}
	return pass()
}

// Tier 10: the OS build, which shows that two records are of one installation.

func buildUnknown(f Facts, _ Params, _ time.Time) finding {
	if !f.found() {
		return quiet()
	}
	if _, ok := f.Event.Directory.build(); !ok {
		return hits("The directory's OS build is missing or can't be read.")
	}
	if !f.Live.Device.Build.Known() || f.Event.Central.Build.State == Unreadable {
		return hits("Central's OS build is missing or can't be read.")
	}
	return pass()
}

// builds are Central's and the directory's build, where both are known.
func builds(f Facts) (central, directory int, ok bool) {
	directory, known := f.Event.Directory.build()
	return f.Live.Device.Build.Value, directory, known && f.found() && f.Live.Device.Build.Known()
}

func buildNewer(f Facts, _ Params, _ time.Time) finding {
	central, directory, ok := builds(f)
	switch {
	case !ok:
		return quiet(BuildUnknown)
	case central > directory:
		return hits(fmt.Sprintf("Central knows build %d, the directory %d: it may have been updated while in use.", central, directory))
	}
	return pass()
}

func buildOlder(f Facts, _ Params, _ time.Time) finding {
	central, directory, ok := builds(f)
	switch {
	case !ok:
		return quiet(BuildUnknown)
	case central < directory:
		return hits(fmt.Sprintf("Central knows build %d, the directory %d: the name may have been used again.", central, directory))
	}
	return pass()
}

func osFamilyMismatch(f Facts, _ Params, _ time.Time) finding {
	if !f.found() {
		return quiet()
	}
	live, name := f.Live.Device, f.Event.Directory.OperatingSystem
	if !name.Known() {
		return pass()
	}
	text := "The directory's operating system is " + name.Value + ", Central's is another: " + live.OSName.Value + "."
	if a, b := platformOfName(name.Value), platform(live); a != "" && b != "" && a != b {
		return hits(text)
	}
	serverKnown := live.IsServer.Known() || live.OSName.Known() || live.Type.Known()
	central := live.IsServer.Value || namesServer(live.OSName) || live.Type.Value == "server"
	if serverKnown && platformOfName(name.Value) == "windows" && namesServer(name) != central {
		return hits(text)
	}
	if a, b := release(name.Value), release(live.OSName.Value); a != "" && b != "" && a != b {
		return hits(text)
	}
	return pass()
}
