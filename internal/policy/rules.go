package policy

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
