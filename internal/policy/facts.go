package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// State says how much of a field could be read. The zero value is Absent:
// a fact that nobody supplied is never taken for a reassuring one.
type State uint8

// The three states of a field.
const (
	Absent     State = iota // not given: missing, null or empty
	Unreadable              // given, but not of a shape that means anything
	Given                   // given and read
)

// Field is one fact with its state. Its JSON form is made for sealing: absent
// fields are left out (tag them omitzero), an unreadable one is {}.
type Field[T any] struct {
	Value T
	State State
}

// Is returns a given field that holds v.
func Is[T any](v T) Field[T] { return Field[T]{Value: v, State: Given} }

// Garbled returns a field that was given but could not be read.
func Garbled[T any]() Field[T] { return Field[T]{State: Unreadable} }

// Known reports whether the field was given and read.
func (f Field[T]) Known() bool { return f.State == Given }

// MarshalJSON writes the value, {} for an unreadable field, null for none.
func (f Field[T]) MarshalJSON() ([]byte, error) {
	switch f.State {
	case Given:
		return json.Marshal(f.Value)
	case Unreadable:
		return []byte("{}"), nil
	case Absent:
		return []byte("null"), nil
	}
	return nil, errors.New("field has no such state")
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Field[T]) UnmarshalJSON(b []byte) error {
	*f = Field[T]{}
	switch b = bytes.TrimSpace(b); {
	case bytes.Equal(b, []byte("null")):
		return nil
	case bytes.Equal(b, []byte("{}")):
		f.State = Unreadable
		return nil
	}
	if err := json.Unmarshal(b, &f.Value); err != nil {
		return err
	}
	f.State = Given
	return nil
}

// DN is a distinguished name, parsed: RDNs leaf first, each a list of
// "type=value" with the type in lower case and the value without escapes.
type DN [][]string

// String joins the parts for a person to read; it does not escape.
func (d DN) String() string {
	parts := make([]string, len(d))
	for i, rdn := range d {
		parts[i] = strings.Join(rdn, "+")
	}
	return strings.Join(parts, ",")
}

// Event is one row of the SIEM search: what the directory (AD) says of a
// device, and what Central said when the row was made.
type Event struct {
	ObservedAt Field[time.Time] `json:"observedAt,omitzero"`
	// Garbled names the fields (JSON paths) that were given but unreadable and
	// have no field here that shows it.
	Garbled []string `json:"garbled,omitempty"`
	// Notes say why names can't be read: a path, a colon, and the reason.
	Notes     []string  `json:"notes,omitempty"`
	Directory Directory `json:"directory,omitzero"`
	Owner     Owner     `json:"owner,omitzero"`
	Central   Device    `json:"central,omitzero"`
}

// Directory is the computer's account in AD.
type Directory struct {
	Present                    bool             `json:"present,omitempty"` // the object was given and not empty
	Hostname                   Field[string]    `json:"hostname,omitzero"`
	Domain                     Field[string]    `json:"domain,omitzero"` // DNS or NetBIOS name, as given
	DistinguishedName          Field[DN]        `json:"distinguishedName,omitzero"`
	OperatingSystem            Field[string]    `json:"operatingSystem,omitzero"`
	OperatingSystemVersion     Field[int]       `json:"operatingSystemVersion,omitzero"` // the build read from it
	OperatingSystemBuildNumber Field[int]       `json:"operatingSystemBuildNumber,omitzero"`
	Enabled                    Field[bool]      `json:"enabled,omitzero"`
	DisabledAt                 Field[time.Time] `json:"disabledAt,omitzero"`
	MemberOf                   Field[[]DN]      `json:"memberOf,omitzero"` // the computer's groups
	ManagedBy                  Field[string]    `json:"managedBy,omitzero"`
	ManagedByDN                Field[DN]        `json:"managedByDN,omitzero"`        // managedBy, where it parses as a DN
	PrimaryGroupID             Field[int]       `json:"primaryGroupId,omitzero"`     // the RID of the primary group, which memberOf never lists
	UserAccountControl         Field[int]       `json:"userAccountControl,omitzero"` // AD's bits
}

// Owner is the user of the device as AD knows it.
type Owner struct {
	Login    Field[string] `json:"login,omitzero"`
	MemberOf Field[[]DN]   `json:"memberOf,omitzero"` // the user's groups
}

// Device is Central's record of a device (its "endpoint"). The event carries
// one as the SIEM saw it; another is read live.
type Device struct {
	ID            Field[string]    `json:"id,omitzero"`       // lower-case UUID
	TenantID      Field[string]    `json:"tenantId,omitzero"` // lower-case UUID
	Hostname      Field[string]    `json:"hostname,omitzero"`
	Type          Field[string]    `json:"type,omitzero"`     // lower case: computer, server
	Platform      Field[string]    `json:"platform,omitzero"` // lower case: windows, macos, linux
	OSName        Field[string]    `json:"osName,omitzero"`
	IsServer      Field[bool]      `json:"isServer,omitzero"`
	Build         Field[int]       `json:"build,omitzero"`
	LastSeenAt    Field[time.Time] `json:"lastSeenAt,omitzero"`
	RegisteredAt  Field[time.Time] `json:"registeredAt,omitzero"`
	Online        Field[bool]      `json:"online,omitzero"`
	Isolated      Field[bool]      `json:"isolated,omitzero"`      // from isolation: isolated by status, admin or self
	HealthOverall Field[string]    `json:"healthOverall,omitzero"` // lower case
	HealthThreats Field[string]    `json:"healthThreats,omitzero"` // lower case
	BadServices   bool             `json:"badServices,omitempty"`  // health.services is bad; for the words only
	Cloned        Field[bool]      `json:"cloned,omitzero"`
	PersonID      Field[string]    `json:"personId,omitzero"`
	PersonName    Field[string]    `json:"personName,omitzero"`
	ViaLogin      Field[string]    `json:"viaLogin,omitzero"`
	SerialNumber  Field[string]    `json:"serialNumber,omitzero"`
	MACAddresses  []string         `json:"macAddresses,omitempty"`
	// Groups are the device's group, where it is in one, and those above it, upward,
	// as far as the record shows them.
	Groups []Group `json:"groups,omitempty"`
	// GroupsWhole is set where Groups is all there is to know: the group and the
	// groups above it were given, each with its name and its id.
	GroupsWhole bool        `json:"groupsWhole,omitempty"`
	Tamper      Field[bool] `json:"tamper,omitzero"` // tamperProtectionEnabled
	// Garbled names the parts (JSON paths, such as group) that were given but
	// unreadable and have no field here that shows it. In an event they stand
	// in its own Garbled instead.
	Garbled []string `json:"garbled,omitempty"`
}

// LiveStatus says what reading the device in Central came to. The zero value
// is "not read", which never passes for anything.
type LiveStatus uint8

// What a live read can come to.
const (
	LiveUnread        LiveStatus = iota // no read was made
	LiveFailed                          // Central did not answer, or not usably
	LiveNotFound                        // Central answered 404 in its own form
	LiveForeignTenant                   // the credential does not serve the tenant
	LiveFound                           // Device is what Central says now
)

// Live is what Central says now, with all that one look-up brings.
type Live struct {
	Status LiveStatus `json:"status"`
	At     time.Time  `json:"at,omitzero"` // when it was read
	Device Device     `json:"device,omitzero"`
	// FromSnapshot is set where Central itself was not asked for the device: it is as
	// the inventory showed it at At.
	FromSnapshot bool `json:"fromSnapshot,omitempty"`
	// SameNamed are all records of the tenant with this short name, the device
	// itself among them. Only meaningful when Status is LiveFound.
	SameNamed []Device `json:"sameNamed,omitempty"`
	// NewestSeenAt is the newest last-seen time of any device of the tenant;
	// absent when Central has heard of none within the canary's window.
	NewestSeenAt Field[time.Time] `json:"newestSeenAt,omitzero"`
	// BesideAt is when the two were read, where that was before the device; zero
	// where they were read with it.
	BesideAt time.Time `json:"besideAt,omitzero"`
	// Groups are what Central shows of the device's groups beside its own record.
	Groups GroupFacts `json:"groups,omitzero"`
	// CentralTime is the time of Central's own clock when it answered (its Date
	// header), to check ours against.
	CentralTime Field[time.Time] `json:"centralTime,omitzero"`
	// Own is set with LiveFailed when the cause is this service's own limit or
	// time-out: such a failure never counts towards "third in a row".
	Own bool `json:"own,omitempty"`
	// Problem is one sentence on the failure, safe to show.
	Problem string `json:"problem,omitempty"`
	// RetryAfter is Central's wish, with LiveFailed; zero when it had none.
	RetryAfter time.Duration `json:"retryAfter,omitempty"`
}

// Standing is what the ledger remembers of the device and its tenant.
type Standing struct {
	Paused       string     // reason of the kill switch; empty = not paused
	Unverified   string     // why the store can't be trusted; empty = it can
	DeletedAt    time.Time  // zero = not deleted by us
	CameBackAt   time.Time  // zero = not seen again since
	InFlight     bool       // a delete is under way or unsettled
	ApprovalID   string     // unspent, unexpired approval; empty = none
	OpenTicket   string     // the open ticket's id; empty = none
	Keep         *KeepUntil // a person decided to keep the device
	Undecided    bool       // the last ticket was closed without a decision
	VerifyFails  int        // failed verifications in a row, as counted so far
	VerifyFailAt time.Time  // when the last of them was counted
	SilentUntil  time.Time  // fleet hold after a silence; zero = none
}

// KeepUntil is a person's decision that a device stays.
type KeepUntil struct {
	TicketID string      `json:"ticketId"`
	Until    time.Time   `json:"until"`
	DN       Field[DN]   `json:"dn,omitzero"`      // the event's DN when it was decided
	Enabled  Field[bool] `json:"enabled,omitzero"` // the event's enabled when it was decided
}

// Approval is a person's yes for this device, under which the policy is asked.
type Approval struct {
	ID       string
	Waives   []Code    // the codes that the approver was shown
	OpenedAt time.Time // when its ticket was opened; eventMaxAge counts to here
}

// Facts is all that a decision rests on.
type Facts struct {
	Event    Event
	Live     Live
	Standing Standing
	Approval *Approval // nil = no approval
}
