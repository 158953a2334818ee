package api

import "time"

// Decision is the latest decision on a device, with what live mode would have
// made of it. The sheet of them is checked in the weeks of dry-run.
type Decision struct {
	TenantID   string  `json:"tenantId"`
	EndpointID string  `json:"endpointId"`
	Hostname   *string `json:"hostname"`
	// Verdict is delete, manual, skip or keep.
	Verdict string `json:"verdict"`
	// WouldHave is what live mode makes of that; see the WouldHave constants.
	WouldHave string `json:"wouldHave"`
	// ReasonCode is the code that decided; nil for a record that can't be read,
	// whose verdict is manual.
	ReasonCode  *string  `json:"reasonCode"`
	ReasonsText *string  `json:"reasonsText"`
	Reasons     []Reason `json:"reasons"`
	// LastSeenAt and InactiveDays are Central's, as read for the decision.
	LastSeenAt   *time.Time `json:"lastSeenAt"`
	InactiveDays *float64   `json:"inactiveDays"`
	// EligibleAt is when time alone would make the verdict delete.
	EligibleAt        *time.Time `json:"eligibleAt"`
	EvaluatedAt       time.Time  `json:"evaluatedAt"`
	Mode              *string    `json:"mode"`
	PolicyVersion     *string    `json:"policyVersion"`
	Type              *string    `json:"type"`
	OSName            *string    `json:"osName"`
	Domain            *string    `json:"domain"`
	DistinguishedName *string    `json:"distinguishedName"`
	DisabledAt        *time.Time `json:"disabledAt"`
	Person            *string    `json:"person"`
	Login             *string    `json:"login"`
	// TicketID is the ticket that was open then.
	TicketID *string `json:"ticketId"`
}

// Recovery is how to protect a device again that was deleted while in use.
type Recovery struct {
	TenantID   string     `json:"tenantId"`
	EndpointID string     `json:"endpointId"`
	Hostname   *string    `json:"hostname"`
	State      string     `json:"state"`
	Platform   *string    `json:"platform"`
	DeletedAt  *time.Time `json:"deletedAt"`
	// RestoreBy is until when Central can restore the device.
	RestoreBy *time.Time `json:"restoreBy"`
	// PasswordsUntil is until when Central surely keeps the device's
	// tamper-protection password; nil when it needs none.
	PasswordsUntil *time.Time `json:"passwordsUntil"`
	// LosesProtection says that the agent turns its protection off when it checks
	// in after the delete; nil when that is not known.
	LosesProtection *bool `json:"losesProtection"`
	// Route is the best way that is still open; see the Route constants.
	Route   string `json:"route"`
	Summary string `json:"summary"`
	// Steps are what a person does, in this order.
	Steps []string `json:"steps"`
}

// Replay is what a candidate policy makes of the decisions on record.
type Replay struct {
	// PolicyVersion names the candidate.
	PolicyVersion string `json:"policyVersion"`
	// Since is nil for all decisions.
	Since    *time.Time `json:"since"`
	Replayed int        `json:"replayed"`
	// Unreadable counts the records that could not be replayed. They stand in no
	// other count.
	Unreadable int             `json:"unreadable"`
	Verdicts   []ReplayVerdict `json:"verdicts"`
	// Baselines are the policies that the recorded decisions were made under.
	Baselines []ReplayBaseline `json:"baselines"`
	// Changes are where verdict or reason code changes, most frequent first.
	Changes []ReplayChange `json:"changes"`
	// ToDelete is every device that only the candidate would delete.
	ToDelete []ReplayFlip `json:"toDelete"`
	// FromDelete is every device that the candidate would no longer delete.
	FromDelete []ReplayFlip `json:"fromDelete"`
	RequestID  string       `json:"requestId"`
}

// ReplayVerdict is how often a verdict was recorded, and how often the candidate
// gives it.
type ReplayVerdict struct {
	Verdict string `json:"verdict"`
	Before  int    `json:"before"`
	After   int    `json:"after"`
}

// ReplayBaseline is how many of the decisions were made under a policy.
type ReplayBaseline struct {
	PolicyVersion string `json:"policyVersion"`
	Count         int    `json:"count"`
}

// ReplayChange is how many decisions change in this way.
type ReplayChange struct {
	FromVerdict    string `json:"fromVerdict"`
	FromReasonCode string `json:"fromReasonCode"`
	ToVerdict      string `json:"toVerdict"`
	ToReasonCode   string `json:"toReasonCode"`
	Count          int    `json:"count"`
}

// ReplayFlip is a device whose verdict becomes delete, or stops to be.
type ReplayFlip struct {
	TenantID       string  `json:"tenantId"`
	EndpointID     string  `json:"endpointId"`
	Hostname       *string `json:"hostname"`
	FromVerdict    string  `json:"fromVerdict"`
	FromReasonCode string  `json:"fromReasonCode"`
	ToVerdict      string  `json:"toVerdict"`
	ToReasonCode   string  `json:"toReasonCode"`
}
