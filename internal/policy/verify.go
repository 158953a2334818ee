package policy

import (
	"fmt"
	"slices"
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
// device, and a name that was not given is not compared. What can't be told is
// unverified, never inactive. The reason of an inactive device, INACTIVE, carries
// the verdict skip: by itself it decides nothing.
func Verify(f Facts, p Params, now time.Time) Verification {
	v := Verification{Activity: activity(f, p, now)}
	switch f.Live.Status {
	case LiveForeignTenant:
		return v.is("mismatch", TenantMismatch, Manual, tenantMismatch(f, p, now))
	case LiveNotFound:
		if at := f.Standing.DeletedAt; !at.IsZero() {
			return v.is("not_found", AlreadyDeleted, Skip, hits(deletedText(at)))
		}
		return v.is("not_found", GoneElsewhere, Skip, hits(goneText))
	case LiveFound:
		return v.identity(f, p, now)
	case LiveUnread, LiveFailed:
	}
	return v.is("unverified", VerifyFailed, Skip, verifyFailed(f, p, now))
}

// identity says whether Central's record is the event's device, before its use is
// looked at.
func (v Verification) identity(f Facts, p Params, now time.Time) Verification {
	if m := tenantMismatch(f, p, now); m.kind == hit {
		return v.is("mismatch", TenantMismatch, Manual, m)
	}
	named := slices.ContainsFunc(otherNames(f), func(h Field[string]) bool { return h.Known() })
	if m := hostnameMismatch(f, p, now); named && m.kind == hit {
		return v.is("mismatch", HostnameMismatch, Manual, m)
	}
	if slices.ContainsFunc(otherNames(f), func(h Field[string]) bool { return h.State == Unreadable }) {
		return v.is("unverified", InputInvalid, Manual, hits("A host name of the event can't be read."))
	}
	if failed := verifyFailed(f, p, now); failed.kind == hit {
		return v.is("unverified", VerifyFailed, Skip, failed)
	}
	return v.use(f, p, now)
}

// use says whether the device is in use, once it is known to be the event's.
func (v Verification) use(f Facts, p Params, now time.Time) Verification {
	d := f.Live.Device
	switch {
	case d.Online.Value:
		return v.is("active", ActiveInCentral, Manual, activeInCentral(f, p, now))
	case d.LastSeenAt.State == Absent:
		return v.is("unverified", LastSeenMissing, Manual, hits("Central has no last-seen time."))
	case d.LastSeenAt.State == Unreadable:
		return v.is("unverified", LastSeenInvalid, Manual, hits("Central's last-seen time can't be read."))
	case d.LastSeenAt.Value.After(now.Add(MaxSkew)):
		return v.is("unverified", ClockSkew, Manual, hits("Central last saw it in the future."))
	case seenSince(f):
		return v.is("active", ActiveSinceEvent, Manual, hits(sinceText(f)))
	}
	age := now.Sub(d.LastSeenAt.Value)
	text := fmt.Sprintf("It was last seen at %s, %.1f days ago.", when(d.LastSeenAt.Value), age.Seconds()/day.Seconds())
	switch {
	case age < p.Threshold(f):
		return v.is("active", ActiveInCentral, Manual, hits(text))
	case d.Online.State == Unreadable:
		return v.is("unverified", UnderInvestigation, Manual, hits("Central's word on online can't be read."))
	}
	return v.is("inactive", Inactive, Skip, hits(text))
}

// is ends the verification with one reason; a finding's own verdict wins.
func (v Verification) is(outcome string, c Code, verdict Verdict, f finding) Verification {
	if f.own {
		verdict = f.verdict
	}
	v.Outcome = outcome
	v.Reasons = []Reason{{c, verdict, f.text}}
	return v
}
