package policy

import (
	"slices"
	"time"
)

// The codes of the rules, in the order of their tiers.
const (
	KillSwitch      Code = "KILL_SWITCH"
	StateUnverified Code = "STATE_UNVERIFIED"

	AlreadyDeleted    Code = "ALREADY_DELETED"
	CameBack          Code = "CAME_BACK"
	InFlight          Code = "IN_FLIGHT"
	ApprovalPending   Code = "APPROVAL_PENDING"
	TicketOpen        Code = "TICKET_OPEN"
	TicketDecidedKeep Code = "TICKET_DECIDED_KEEP"

	InputInvalid     Code = "INPUT_INVALID"
	DirectoryMissing Code = "DIRECTORY_MISSING"

	EventStale    Code = "EVENT_STALE"
	FleetSilent   Code = "FLEET_SILENT"
	VerifyFailed  Code = "VERIFY_FAILED"
	GoneElsewhere Code = "GONE_ELSEWHERE"

	DirectoryEnabled  Code = "DIRECTORY_ENABLED"
	NotInScope        Code = "NOT_IN_SCOPE"
	DirectoryConflict Code = "DIRECTORY_CONFLICT"

	Excluded           Code = "EXCLUDED"
	ProtectedRole      Code = "PROTECTED_ROLE"
	UnderInvestigation Code = "UNDER_INVESTIGATION"

	TenantMismatch   Code = "TENANT_MISMATCH"
	HostnameMismatch Code = "HOSTNAME_MISMATCH"
	NameTruncated    Code = "NAME_TRUNCATED"
	DomainMismatch   Code = "DOMAIN_MISMATCH"
	DomainUnknown    Code = "DOMAIN_UNKNOWN"
	DuplicateActive  Code = "DUPLICATE_ACTIVE"
	DuplicateStale   Code = "DUPLICATE_STALE"
	Cloned           Code = "CLONED"

	ActiveSinceEvent Code = "ACTIVE_SINCE_EVENT"
	ActiveInCentral  Code = "ACTIVE_IN_CENTRAL"
	LastSeenMissing  Code = "LAST_SEEN_MISSING"
	LastSeenInvalid  Code = "LAST_SEEN_INVALID"
	NeverSeen        Code = "NEVER_SEEN"
	ClockSkew        Code = "CLOCK_SKEW"

	NotInactiveLongEnough Code = "NOT_INACTIVE_LONG_ENOUGH"
	GracePeriod           Code = "GRACE_PERIOD"

	VIPDevice       Code = "VIP"
	OwnerUnknown    Code = "OWNER_UNKNOWN"
	OwnerMismatch   Code = "OWNER_MISMATCH"
	Server          Code = "SERVER"
	PlatformManual  Code = "PLATFORM_MANUAL"
	KeepLapsed      Code = "KEEP_LAPSED"
	TicketUndecided Code = "TICKET_UNDECIDED"

	BuildUnknown        Code = "BUILD_UNKNOWN"
	BuildNewerInCentral Code = "BUILD_NEWER_IN_CENTRAL"
	BuildOlderInCentral Code = "BUILD_OLDER_IN_CENTRAL"
	OSFamilyMismatch    Code = "OS_FAMILY_MISMATCH"

	Eligible Code = "ELIGIBLE"
)

// finding is what one rule says. The zero value is unknown, which never passes.
type finding struct {
	kind    findingKind
	verdict Verdict // of a hit, where it is not the rule's own
	own     bool    // verdict is set
	text    string
	retry   time.Duration // of a hit that passes by itself
	by      []Code        // of a silence: the codes that say what is missing
}

// findingKind is a rule's three-valued answer.
type findingKind uint8

// A rule's answers.
const (
	unknown findingKind = iota
	passed
	hit
	silent // the facts that the rule is about are not there, and another rule says so
)

// pass is the answer of a rule that finds nothing.
func pass() finding { return finding{kind: passed} }

// quiet is the answer of a rule whose facts are not there; one of the codes says so.
func quiet(by ...Code) finding { return finding{kind: silent, by: by} }

// hits is the answer of a rule that finds something.
func hits(text string) finding { return finding{kind: hit, text: text} }

// hitsAs is hits with another verdict than the rule's.
func hitsAs(v Verdict, text string) finding {
	return finding{kind: hit, verdict: v, own: true, text: text}
}

// again adds when asking once more makes sense.
func (f finding) again(after time.Duration) finding {
	f.retry = after
	return f
}

// rule is one row of the table.
type rule struct {
	code    Code
	tier    int
	verdict Verdict
	why     string // what an operator reads; also the text where the rule can't tell
	eval    func(Facts, Params, time.Time) finding
}

// ranked is a rule with its place in the table, which is what decides within a
// tier, in whatever order the rules are run.
type ranked struct {
	rule
	rank int
}

// ranking gives the rules of the table their ranks.
func ranking(rules []rule) []ranked {
	out := make([]ranked, len(rules))
	for i, r := range rules {
		out[i] = ranked{r, i}
	}
	return out
}

// table lists the rules, tier by tier; within a tier the one that stands first
// is the more decisive. To add a rule, add its code, its row and its function.
func table() []rule { return slices.Concat(standingRules(), deviceRules(), useRules()) }

// standingRules are the tiers of the service, the store, the input and the sources.
func standingRules() []rule {
	return []rule{
		{KillSwitch, 0, Skip, "Deletes are paused.", killSwitch},
		{StateUnverified, 0, Skip, "The store can't be trusted.", stateUnverified},

		{AlreadyDeleted, 1, Skip, "The device was deleted before.", alreadyDeleted},
		{CameBack, 1, Manual, "The device was deleted and is in Central again.", cameBack},
		{InFlight, 1, Skip, "A delete of the device is under way.", inFlight},
		{ApprovalPending, 1, Skip, "An approval to delete the device is waiting to be used.", approvalPending},
		{TicketOpen, 1, Skip, "A ticket is open for the device.", ticketOpen},
		{TicketDecidedKeep, 1, Keep, "A person decided that the device stays.", ticketDecidedKeep},

		{InputInvalid, 2, Manual, "A needed field of the event is missing or can't be read.", inputInvalid},
		{DirectoryMissing, 2, Manual, "The event has no directory record.", directoryMissing},

		{EventStale, 3, Skip, "The event is too old to act on.", eventStale},
		{FleetSilent, 3, Skip, "Central has heard from no device of the tenant lately.", fleetSilent},
		{VerifyFailed, 3, Skip, "The device could not be verified in Central.", verifyFailed},
		{GoneElsewhere, 3, Skip, "Central no longer has the device, and it was not deleted by this service.", goneElsewhere},
	}
}

// deviceRules are the tiers of the directory's will, of what people ruled, and of
// identity.
func deviceRules() []rule {
	return []rule{
		{DirectoryEnabled, 4, Keep, "The directory account is enabled.", directoryEnabled},
		{NotInScope, 4, Skip, "The directory account is not in a disabled OU.", notInScope},
		{DirectoryConflict, 4, Manual, "The directory record contradicts itself.", directoryConflict},

		{Excluded, 5, Keep, "An exclusion keeps the device.", excluded},
		{ProtectedRole, 5, Keep, "The device is a domain controller or part of a cluster.", protectedRole},
		{UnderInvestigation, 5, Manual, "The device is isolated, unhealthy, or its state can't be read.", underInvestigation},

		{TenantMismatch, 6, Manual, "The device is not in the tenant that the event names.", tenantMismatch},
		{HostnameMismatch, 6, Manual, "The host names differ.", hostnameMismatch},
		{NameTruncated, 6, Manual, "One host name is the other, cut at 15 characters.", nameTruncated},
		{DomainMismatch, 6, Manual, "The domains differ.", domainMismatch},
		{DomainUnknown, 6, Manual, "Central does not show the device's domain.", domainUnknown},
		{DuplicateActive, 6, Manual, "Another device of the same name is in use.", duplicateActive},
		{DuplicateStale, 6, Manual, "Another device of the same name is on record.", duplicateStale},
		{Cloned, 6, Manual, "Central marks the device as cloned.", cloned},
	}
}

// useRules are the tiers of activity, time, people and kinds, and the build.
func useRules() []rule {
	return []rule{
		{ActiveSinceEvent, 7, Manual, "Central has seen the device since the event.", activeSinceEvent},
		{ActiveInCentral, 7, Manual, "The device is online.", activeInCentral},
		{LastSeenMissing, 7, Manual, "A last-seen time is missing.", lastSeenMissing},
		{LastSeenInvalid, 7, Manual, "A last-seen time can't be read.", lastSeenInvalid},
		{NeverSeen, 7, Manual, "The device has not been seen since it registered.", neverSeen},
		{ClockSkew, 7, Manual, "A time lies in the future, or the clocks differ.", clockSkew},

		{NotInactiveLongEnough, 8, Skip, "The device was seen too recently.", notInactiveLongEnough},
		{GracePeriod, 8, Skip, "The account was disabled too recently.", gracePeriod},

		{VIPDevice, 9, Manual, "The device is a VIP's.", vipDevice},
		{OwnerUnknown, 9, Manual, "Nobody knows whose device it is.", ownerUnknown},
		{OwnerMismatch, 9, Manual, "The event's owner is not the person whom Central shows.", ownerMismatch},
		{Server, 9, Manual, "The device is a server.", serverRule},
		{PlatformManual, 9, Manual, "The platform is one that a person must look at.", platformManual},
		{KeepLapsed, 9, Manual, "A decision to keep the device no longer holds.", keepLapsed},
		{TicketUndecided, 9, Manual, "The last ticket was closed without a decision.", ticketUndecided},

		{BuildUnknown, 10, Manual, "An OS build is missing or can't be read.", buildUnknown},
		{BuildNewerInCentral, 10, Manual, "Central knows a newer OS build than the directory.", buildNewer},
		{BuildOlderInCentral, 10, Manual, "Central knows an older OS build than the directory.", buildOlder},
		{OSFamilyMismatch, 10, Manual, "The operating systems differ.", osFamilyMismatch},
	}
}

// CodeInfo describes a reason code for documentation.
type CodeInfo struct {
	Code    Code
	Tier    int // 11 for ELIGIBLE, -1 for a code that only an action adds
	Verdict Verdict
	Why     string
}

// Codes lists every reason code: the rules', then ELIGIBLE, then those that only
// the actions add.
func Codes() []CodeInfo {
	var out []CodeInfo
	for _, r := range table() {
		out = append(out, CodeInfo{r.code, r.tier, r.verdict, r.why})
	}
	out = append(out, CodeInfo{Eligible, 11, Delete, eligibleText})
	return append(out, actionCodes()...)
}

// VerdictOf is the verdict that goes with a code, Manual for one that is not known.
func VerdictOf(c Code) Verdict {
	for _, info := range Codes() {
		if info.Code == c {
			return info.Verdict
		}
	}
	return Manual
}

// actionCodes are the codes that no rule gives, with what each means.
func actionCodes() []CodeInfo {
	return []CodeInfo{
		{EvidenceChanged, -1, Manual, "Central's record is not what it was when the token was sealed."},
		{TokenExpired, -1, Skip, "The token's time has passed, or it is of another installation."},
		{ModeChanged, -1, Skip, "The token was sealed in the other mode."},
		{ApprovalUsed, -1, Manual, "The approval was used."},
		{PolicyInvalid, -1, Skip, "A newer policy or keys file could not be loaded."},
		{LimitDay, -1, Skip, "The tenant's deletes of the last 24 hours are used up."},
		{LimitPercent, -1, Skip, "The tenant's percentage of the last 24 hours is used up."},
		{Spacing, -1, Skip, "The last delete was too short a time ago."},
		{OutOfWindow, -1, Skip, "The policy's window is shut."},
		{CircuitOpen, -1, Skip, "The circuit is open until a person resets it."},
		{RateLimited, -1, Skip, "Central or this service's budget allows no more calls now."},
		{DeleteFailed, -1, Manual, "The DELETE failed and the device is still there."},
		{DeleteUnconfirmed, -1, Skip, "A DELETE was sent and its outcome is not known yet."},
		{Inactive, -1, Skip, "The device is inactive in Central."},
		{SecondPersonNeeded, -1, Manual, "Who approves must be another than who opened the ticket."},
	}
}

// TierOf is the tier of a rule's code; ok is false for a code that no rule has.
func TierOf(c Code) (tier int, ok bool) {
	for _, r := range table() {
		if r.code == c {
			return r.tier, true
		}
	}
	return 0, false
}

// Waivable reports whether a person's approval may waive the code, once it was
// shown: never the service's state, the input, the sources, the directory's
// will, or a device that is another one or plays a protected role.
func Waivable(c Code) bool {
	tier, ok := TierOf(c)
	return ok && tier > 4 && c != TenantMismatch && c != HostnameMismatch && c != ProtectedRole
}
