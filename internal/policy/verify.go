package policy

import (
	"fmt"
	"time"
)

// Verification is what verify-live says of a device.
type Verification struct {
	Outcome  string // inactive, active, not_found, mismatch, unverified
	Reasons  []Reason
	Activity Activity
}

// Verify says whether the event's device is in use according to Central now. A
// device that is not the event's beats any activity; a cut name is no other
// device. What can't be told is unverified, never inactive. The reason of an
// inactive device, INACTIVE, carries the verdict skip: it decides nothing.
func Verify(f Facts, p Params, now time.Time) Verification {
	v := Verification{Activity: activity(f, p, now)}
	switch f.Live.Status {
	case LiveForeignTenant:
		return v.is("mismatch", TenantMismatch, Manual, tenantMismatch(f, p, now))
	case LiveNotFound:
		if a := alreadyDeleted(f, p, now); a.kind == hit {
			return v.is("not_found", AlreadyDeleted, Skip, a)
		}
		return v.is("not_found", GoneElsewhere, Skip, goneElsewhere(f, p, now))
	case LiveUnread, LiveFailed:
		text, _ := lookupFailed(f)
		return v.is("unverified", VerifyFailed, Skip, hits(text))
	case LiveFound:
	}
	if m := tenantMismatch(f, p, now); m.kind == hit {
		return v.is("mismatch", TenantMismatch, Manual, m)
	}
	if m := hostnameMismatch(f, p, now); m.kind == hit {
		return v.is("mismatch", HostnameMismatch, Manual, m)
	}
	return v.use(f, p, now)
}

// use says whether the device is in use, once it is known to be the event's.
func (v Verification) use(f Facts, p Params, now time.Time) Verification {
	d := f.Live.Device
	if d.Online.Value {
		return v.is("active", ActiveInCentral, Manual, hits("The device is online."))
	}
	switch {
	case d.LastSeenAt.State == Absent:
		return v.is("unverified", LastSeenMissing, Manual, hits("Central has no last-seen time."))
	case d.LastSeenAt.State == Unreadable:
		return v.is("unverified", LastSeenInvalid, Manual, hits("Central's last-seen time can't be read."))
	case d.LastSeenAt.Value.After(now.Add(skew)):
		return v.is("unverified", ClockSkew, Manual, hits("Central last saw it in the future."))
	case d.Online.State == Unreadable:
		return v.is("unverified", UnderInvestigation, Manual, hits("Central's word on online can't be read."))
	case seenSince(f):
		return v.is("active", ActiveSinceEvent, Manual, hits("The event last saw it at "+when(f.Event.Central.LastSeenAt.Value)+
			", Central at "+when(d.LastSeenAt.Value)+"."))
	}
	age := now.Sub(d.LastSeenAt.Value)
	text := fmt.Sprintf("It was last seen at %s, %.1f days ago.", when(d.LastSeenAt.Value), age.Seconds()/day.Seconds())
	if age < p.threshold(f) {
		return v.is("active", ActiveInCentral, Manual, hits(text))
	}
	return v.is("inactive", Inactive, Skip, hits(text))
}

// is ends the verification with one reason.
func (v Verification) is(outcome string, c Code, verdict Verdict, f finding) Verification {
	v.Outcome = outcome
	v.Reasons = []Reason{{c, verdict, f.text}}
	return v
}
