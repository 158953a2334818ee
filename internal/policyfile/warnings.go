package policyfile

import (
	"fmt"
	"slices"
	"time"

	"rollcall/internal/policy"
)

// Warnings are what is right in a policy but probably not meant, or asks for something
// elsewhere; each is one sentence for an operator. Empty = nothing.
func Warnings(p policy.Params, now time.Time) []string {
	var out []string
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if sample, err := Parse(Sample()); err == nil && slices.ContainsFunc(p.DisabledOUs, sample.DisabledOUs[0].Same) {
		warn("disabledOUs still names the sample's OU %s: put the OUs in that your retired accounts are moved to.", sample.DisabledOUs[0])
	}
	if len(p.VIP.Groups) > 0 {
		warn("vip.groups asks every event for owner.login and owner.memberOf (the groups of the device's user): without them every device goes to a person, OWNER_UNKNOWN. Add both to the search, or name people in vip.users instead.")
	}
	for _, x := range p.Exclusions {
		if !x.Expires.IsZero() && !now.Before(x.Expires) {
			warn("exclusions: %s has expired, and keeps nothing any more.", x.ID)
		}
		for _, ou := range x.OUs {
			if !slices.ContainsFunc(p.DisabledOUs, func(d policy.DN) bool { return related(d, ou) }) {
				warn("exclusions: %s names %s, in which nothing is ever deleted, since no OU of disabledOUs is in it or above it.", x.ID, ou)
			}
		}
	}
	if p.LiveTenants != nil && len(p.LiveTenants) == 0 {
		warn("liveTenants is empty, so every tenant stays in dry-run; write all, or the ids of tenants.")
	}
	return out
}

// related reports whether one OU is the other, or lies in it.
func related(a, b policy.DN) bool { return a.Same(b) || a.BelowLoosely(b) || b.BelowLoosely(a) }
