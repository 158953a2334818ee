package policy

import "time"

// DefaultParams is the policy where the file says nothing. It has no disabled
// OU, so that by itself it lets nothing be deleted.
func DefaultParams() Params {
	return Params{
		InactiveDays: InactiveDays{Computer: 30, Server: 90},
		GraceDays:    14,
		EventMaxAge:  24 * time.Hour,
		Manual:       ManualFor{Servers: true, MacOS: true, Linux: true, UnknownOwner: true, UnknownDomain: true},
		Limits:       Limits{PerDay: []int{1, 3, 5, 10, 25}, CleanDays: 3, PercentPerDay: 1, Spacing: time.Minute},
		NewestWithin: time.Hour,
		EvidenceTTL:  10 * time.Minute,
		VerdictTTL:   24 * time.Hour,
		ApprovalTTL:  7 * 24 * time.Hour,
		KeepDays:     90,
		Failures:     Failures{ManualAfter: 3, Apart: 6 * time.Hour},
	}
}
