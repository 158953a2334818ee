package policy

// Codes that are no rule's: the actions add them to what the policy found.
const (
	EvidenceChanged    Code = "EVIDENCE_CHANGED"
	TokenExpired       Code = "TOKEN_EXPIRED"
	ModeChanged        Code = "MODE_CHANGED"
	ApprovalUsed       Code = "APPROVAL_USED"
	PolicyInvalid      Code = "POLICY_INVALID"
	LimitDay           Code = "LIMIT_DAY"
	LimitPercent       Code = "LIMIT_PERCENT"
	Spacing            Code = "SPACING"
	OutOfWindow        Code = "OUT_OF_WINDOW"
	CircuitOpen        Code = "CIRCUIT_OPEN"
	RateLimited        Code = "RATE_LIMITED"
	DeleteFailed       Code = "DELETE_FAILED"
	DeleteUnconfirmed  Code = "DELETE_UNCONFIRMED"
	Inactive           Code = "INACTIVE"
	SecondPersonNeeded Code = "SECOND_PERSON_NEEDED"
)
