package policy

import (
	"slices"
	"time"
)

// Params is a policy file, read and checked. All names in it are folded to
// lower case where they are compared case-blind.
type Params struct {
	Version      string // names the file's content; stands in every decision
	InactiveDays InactiveDays
	DisabledOUs  []DN
	Domains      map[string]string // NetBIOS name (upper case) -> DNS domain (lower case)
	GraceDays    int
	EventMaxAge  time.Duration
	VIP          VIP
	Exclusions   []Exclusion
	Manual       ManualFor
	Limits       Limits
	Window       *Window // nil = any time
	NewestWithin time.Duration
	EvidenceTTL  time.Duration
	VerdictTTL   time.Duration
	ApprovalTTL  time.Duration
	KeepDays     int
	Failures     Failures
	Require      []string // of observedAt, enabled, disabledAt, memberOf, owner
	LiveTenants  []string // lower-case UUIDs; nil = all, empty = none
	// ProtectedGroups are further groups whose computers play a protected role.
	ProtectedGroups []DN
	// SeparateKeys asks that the API keys of the person who opens a ticket and of the one
	// who decides differ too, where two persons are needed.
	SeparateKeys bool
}

// InactiveDays is how long a device must have been silent, in days.
type InactiveDays struct{ Computer, Server int }

// VIP names whose devices always go to a person.
type VIP struct {
	Groups    []DN
	Users     []string // logins and UPNs, lower case
	Persons   []DN     // users, by their DN
	Hostnames []string // globs, lower case
}

// Exclusion keeps the devices it matches; any one of its lists suffices.
type Exclusion struct {
	ID            string
	Hostnames     []string // globs, lower case, anchored
	EndpointIDs   []string // globs, lower case, anchored
	OUs           []DN     // DN suffixes
	CentralGroups []string // globs over names and ids, lower case, anchored
	Reason, Owner string
	Expires       time.Time // first instant at which it no longer holds; zero = never
}

// CentralGroups are the globs of all exclusions that name groups of Central's.
func (p Params) CentralGroups() []string {
	var out []string
	for _, x := range p.Exclusions {
		out = append(out, x.CentralGroups...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ManualFor says which kinds of device a person must look at.
type ManualFor struct{ Servers, MacOS, Linux, UnknownOwner, UnknownDomain bool }

// Limits bound real deletes per tenant; attempts count.
type Limits struct {
	PerDay        []int // the ramp, level 0 first
	CleanDays     int
	PercentPerDay float64
	Spacing       time.Duration
}

// Window is when real deletes may happen, in one IANA zone.
type Window struct {
	Location *time.Location
	Days     [7]bool // by time.Weekday
	From, To int     // minutes since midnight; From <= t < To
}

// Failures says when failed verifications become a person's business.
type Failures struct {
	ManualAfter int
	Apart       time.Duration
}
