package action

import (
	"context"
	"errors"
	"iter"
	"time"

	"rollcall/internal/policy"
)

// Ref names a device: Central's endpoint id within its tenant, both lower-case UUIDs.
type Ref struct{ TenantID, EndpointID string }

// Central is what the actions ask of Sophos Central. Implementations never
// block past ctx and never repeat a DELETE.
type Central interface {
	// Look reads the device, its same-named siblings and the tenant's newest
	// last-seen time (not older than newestWithin). Failure is a Status, never
	// an error: the caller must be able to put it on record.
	Look(ctx context.Context, dev Ref, newestWithin time.Duration, ask Ask) (policy.Live, *Trouble)
	// Present reads only whether Central has the device now: LiveFound,
	// LiveNotFound, or LiveFailed / LiveForeignTenant with the trouble.
	Present(ctx context.Context, dev Ref) (policy.Live, *Trouble)
	// Prepare makes all ready for a DELETE (token, host) so that nothing but
	// the DELETE itself remains to be sent. It also returns the number of the
	// tenant's devices (0 = not known), and the device's full record as Central
	// gave it, to be kept; the record never holds a tamper-protection password.
	Prepare(ctx context.Context, dev Ref) (Prepared, *Trouble)
	// Delete sends exactly one DELETE, or none: never when sendBy has passed on
	// the wall or the monotonic clock by the time the first byte would leave.
	Delete(ctx context.Context, dev Ref, sendBy time.Time) Sent
	// Heard reads the devices of a tenant that Central has heard from since a
	// time, a page at a time, each page as it comes. After a trouble, which
	// comes without devices, the sequence ends: what was read is not all.
	Heard(ctx context.Context, tenantID string, since time.Time) iter.Seq2[[]policy.Device, *Trouble]
}

// Ask says what a look asks Central itself for. The rest may come from the snapshot
// of the inventory, while that is young enough.
type Ask uint8

// What is asked for. The zero value asks for all.
const (
	AskAll     Ask = iota // delete's look
	AskDevice             // verify-live's
	AskNothing            // evaluate's
)

// Prepared is what is known of a device right before its delete.
type Prepared struct {
	Population int
	Record     []byte // JSON
}

// Trouble is a failed call to Central, put so that it can be recorded and shown.
type Trouble struct {
	Class         Class
	Status        int    // HTTP status; 0 = none
	CorrelationID string // Central's, for its support
	Text          string // one sentence, safe to show
	RetryAfter    time.Duration
	Limited       bool // Central's 429, or this service's own budget
	Own           bool // this service's own limit or time-out
	Outage        bool // Central as a whole (or the credential) fails, not this device
}

// Class says what kind of failure it was.
type Class string

// The classes of failure.
const (
	Transient Class = "transient" // may pass by itself
	Permanent Class = "permanent" // asking again gives the same
	Ambiguous Class = "ambiguous" // it is not known whether it took effect
)

// SentKind is what the answer to a DELETE says, before the read-back.
type SentKind uint8

// What a DELETE can come to. The zero value is the one to be careful with.
const (
	SentUnclear  SentKind = iota // 5xx, time-out, cut connection, unreadable answer: may have taken effect
	SentAccepted                 // 200 with deleted: true
	SentRefused                  // 4xx but 429, a redirect, or 200 without deleted: true
	SentLimited                  // 429
	NotSent                      // certainly never left
)

// Sent is the outcome of one DELETE.
type Sent struct {
	Kind    SentKind
	Trouble *Trouble // nil when accepted
}

// ErrState is returned by every ledger method when Redis does not answer or
// can't be trusted to have answered; nothing may be deleted on it.
var ErrState = errors.New("state unavailable")

// ErrStateFull comes with ErrState where Redis answers and refuses to write: it is
// full, can't save, or is a replica. Nothing was written; it needs an operator.
var ErrStateFull = errors.New("state can't be written")

// ErrUntrusted comes with ErrState where a tenant's records were set back and an
// operator has not said yet what holds. Nothing was written.
var ErrUntrusted = errors.New("state was set back")

// ErrNotFound is returned where a ticket or device is not on record.
var ErrNotFound = errors.New("not on record")

// Ledger is what the actions remember. One call is one round trip and one
// atomic step; a step that changes state writes its audit entry with it.
type Ledger interface {
	// Standing reads all that is known of a device, and of its tenant. tokenID
	// may be empty; else Spent says what became of that token's DELETE.
	Standing(ctx context.Context, dev Ref, tokenID string) (Standing, error)
	// Note records a step that took no arrow of its own: verify-live,
	// evaluate, a refused or deferred delete. It counts or clears failed
	// verifications and may mark a deleted device as come back.
	Note(ctx context.Context, n Note) (Receipt, error)
	// Park keeps b under its digest for ttl: a token's contents that are too
	// large to be sealed. Unpark reports whether it is still there.
	Park(ctx context.Context, tenantID, digest string, b []byte, ttl time.Duration) error
	Unpark(ctx context.Context, tenantID, digest string) ([]byte, bool, error)
	// Gone lists the devices that were deleted since a time and have not come
	// back, of every tenant, one tenant after another.
	Gone(ctx context.Context, since time.Time) iter.Seq2[Gone, error]
	// Distrust bars a tenant's records from being written, and from being deleted
	// on, until an operator has said what holds: they were set back.
	Distrust(ctx context.Context, tenantID, why string) error
	// Follows reports whether the store is of this installation, for which an
	// operator gave up the one before.
	Follows(ctx context.Context, installation, before string) (bool, error)
	// Turn takes the one turn of a task for ttl; false when another process has
	// it. It is not given back: it runs out.
	Turn(ctx context.Context, task string, ttl time.Duration) (bool, error)
	// Rest keeps everybody from a task's turn for ttl from now on, whoever had it:
	// it is done.
	Rest(ctx context.Context, task string, ttl time.Duration) error
	Deletes
	Tickets
}

// Standing is policy's view of the record, and what only actions need.
type Standing struct {
	policy.Standing
	Now          time.Time // the ledger's clock at the read
	State        string    // the device's state, by name (see the ledger's table)
	Seq          int64     // the tenant's audit sequence
	Installation string    // the store's installation id; empty = no mark
	Hostname     string    // as last recorded
	RestoreBy    time.Time // of a deleted device; zero = not known
	Spent        *Spent    // of the token asked for; nil = that token sent no DELETE
	Intent       *IntentState
}

// Spent is what became of the one DELETE that a token may send.
type Spent struct {
	Outcome string // deleted, failed, limited, pending, unsent
	At      time.Time
	Text    string
}

// IntentState is an unsettled delete.
type IntentState struct {
	TokenID     string
	ApprovalID  string
	At          time.Time // when the intent was written
	SettleAfter time.Time // before this nobody may conclude that it was not applied
}

// Receipt is the audit sequence after a step, which tokens bear.
type Receipt struct {
	Seq          int64
	Installation string
	VerifyFails  int // failed verifications in a row, after this step
}

// Mark is what every recorded step has in common.
type Mark struct {
	Dev           Ref
	Hostname      string
	Action        string // the wire name of the action
	Outcome       string
	Code          policy.Code
	By            string // the API key's name, or the person's
	RequestID     string
	Mode          string // dry-run or live
	PolicyVersion string
}

// Note is a step without an arrow.
type Note struct {
	Mark
	Decision     []byte   // JSON kept as the device's latest decision; nil = leave the last one
	Eligible     bool     // the decision is delete; counted to see a day's share jump
	Verified     bool     // a live read succeeded: clears the row of failures
	VerifyFailed *Trouble // a live read failed
	CountFailure bool     // whether that failure counts towards the row
	Apart        time.Duration
	CameBack     bool          // a device that is recorded as deleted is there again, or in use
	ByDirectory  bool          // with CameBack: only the directory shows it, Central does not have the device
	Why          string        // with CameBack: one sentence on what showed it
	Fleet        Fleet         // what a live read said of the tenant's fleet
	Within       time.Duration // with Fleet: silent means that nobody was heard from for this long
}

// Fleet is what a live read says of a tenant's devices as a whole.
type Fleet string

// The signs of a fleet.
const (
	FleetUnknown Fleet = ""       // nothing was read
	FleetHeard   Fleet = "heard"  // Central has heard from some device lately
	FleetSilent  Fleet = "silent" // it has heard from none
)

// Gone is a device that this service deleted.
type Gone struct {
	Ref
	Hostname  string
	DeletedAt time.Time // when its DELETE was sent
	SettledAt time.Time // when it was known to be gone
	RestoreBy time.Time // zero = not known
	Record    []byte    // Central's record right before the delete, JSON; nil = not on record
}

// Deletes are the ledger's steps of one delete.
type Deletes interface {
	// Lease takes the device for owner, or says that another holds it; either way
	// it reads what Standing reads, after that and in the same round trip.
	Lease(ctx context.Context, dev Ref, owner string, ttl time.Duration, tokenID string) (Standing, bool, error)
	// Release frees the lease if owner still holds it.
	Release(ctx context.Context, dev Ref, owner string) error
	// Begin checks again all that may have changed, reserves the limit and
	// writes the intent, in one step; both kill switches and the mark are read
	// right after it, and where they bar the delete the intent is taken back.
	Begin(ctx context.Context, in Intent) (Begun, error)
	// Paused reads both kill switches; the reason is empty when none is on.
	Paused(ctx context.Context, tenantID string) (string, error)
	// Settle ends an intent, or puts on record that its outcome is not known
	// yet, and frees the owner's lease. Settling what is settled changes nothing.
	Settle(ctx context.Context, s Settlement) (Receipt, error)
	// Unsettled lists the devices with an intent on record, of every tenant.
	Unsettled(ctx context.Context) ([]Ref, error)
}

// Intent is a delete about to be sent.
type Intent struct {
	Mark
	Owner      string // of the lease
	TokenID    string
	ApprovalID string // empty for a plain verdict
	TicketID   string
	Seq        int64 // the token's audit sequence
	// Installation is the token's; an intent for another installation of the
	// store does not stand.
	Installation string
	Limits       policy.Limits
	Population   int           // devices of the tenant; with 0 or less the percentage allows none
	Settle       time.Duration // how long after the intent nobody may call it not applied
	Record       []byte        // the full record as Central gave it, no secrets
}

// Begun is the answer to an intent. Code is empty when it stands; else the
// reason why not: a state's (IN_FLIGHT, TICKET_OPEN, ALREADY_DELETED, ...) or a
// limit's (LIMIT_DAY, LIMIT_PERCENT, SPACING, CIRCUIT_OPEN).
type Begun struct {
	Receipt
	Code       policy.Code
	Text       string
	RetryAfter time.Duration
}

// SettleAs is how an intent ends.
type SettleAs string

// The ends of an intent.
const (
	SettleDeleted SettleAs = "deleted" // read back: gone
	SettleFailed  SettleAs = "failed"  // read back: still there, and it will not go by itself
	SettleLimited SettleAs = "limited" // Central answered 429 and still has it
	SettleUnsent  SettleAs = "unsent"  // the DELETE certainly never left
	SettlePending SettleAs = "pending" // not known yet; the intent stays
)

// Settlement ends (or keeps) an intent.
type Settlement struct {
	Mark
	Owner     string // of the lease under which the intent was written; only it may settle as unsent
	TokenID   string // of the intent; a settlement for another intent changes nothing
	TicketID  string // of an approval; with SettleUnsent it may be used again
	As        SettleAs
	Trouble   *Trouble
	RestoreBy time.Time // with SettleDeleted: until when Central can restore it
}

// Tickets are the ledger's steps for a person's question.
type Tickets interface {
	OpenTicket(ctx context.Context, o Opening) (TicketStep, error)
	CloseTicket(ctx context.Context, c Closing) (TicketStep, error)
	// Ticket returns ErrNotFound for an id that was never opened.
	Ticket(ctx context.Context, ticketID string) (Ticket, error)
}

// Opening opens a ticket.
type Opening struct {
	Mark
	TicketID, TicketSystem, TicketURL, OpenedBy string
	TokenID                                     string // of the verdict; the same one asks only once
	Seq                                         int64  // the token's audit sequence: a later decision stands
	TwoPersons                                  bool   // a VIP's device or a server: openedBy and decidedBy must differ
	Claims                                      []byte // what the approver is shown, kept for the approval
}

// Closing closes a ticket with a decision, or changes one.
type Closing struct {
	Mark
	TicketID, Decision, DecidedBy, Note, TicketState string
	OpenedBy                                         string // of the ticket, as it was when SamePerson was judged
	SamePerson                                       bool   // the decider may be the opener of the ticket
	MayChange                                        bool   // the key has the scope that a change needs
	ApprovalID                                       string
	ApprovalTTL                                      time.Duration
	Keep                                             *policy.KeepUntil
}

// TicketStep is the ledger's answer to opening or closing.
type TicketStep struct {
	Receipt
	Outcome string      // opened, already_open; closed, already_closed, changed, not_found; refused, conflict
	Code    policy.Code // with refused
	Ticket  Ticket      // as it stands now; with already_open the standing one
}

// Ticket is a question put to a person, and the answer.
type Ticket struct {
	TicketID     string
	TenantID     string
	EndpointID   string
	Hostname     string
	State        string // open, closed
	OpenedAt     time.Time
	ClosedAt     time.Time // zero while open
	Decision     string    // empty while open
	OpenedBy     string
	OpenedKey    string // name of the API key that opened it; empty = not on record
	DecidedBy    string
	TicketSystem string
	TicketURL    string
	TicketState  string // the ticket system's own word
	Note         string
	TwoPersons   bool
	Claims       []byte
	ApprovalID   string
	ApprovalTill time.Time
	ApprovalUsed bool
}

// Dev is the device that the ticket is about.
func (t Ticket) Dev() Ref { return Ref{TenantID: t.TenantID, EndpointID: t.EndpointID} }

// Books is what the reading routes show, and the switches. It is declared here,
// beside the types, and used by the edge.
type Books interface {
	Exclusions(ctx context.Context, kind string, since time.Time) iter.Seq2[Exclusion, error]
	TicketLog(ctx context.Context, state string) iter.Seq2[Ticket, error]
	Ticket(ctx context.Context, ticketID string) (Ticket, error)
	Failures(ctx context.Context) iter.Seq2[Failure, error]
	AckFailure(ctx context.Context, dev Ref, by, note, requestID string) (bool, error)
	Audit(ctx context.Context, since time.Time, tenantID, endpointID string) iter.Seq2[[]byte, error]
	Decisions(ctx context.Context, since time.Time) iter.Seq2[[]byte, error]
	DeviceRecord(ctx context.Context, dev Ref) (DeviceRecord, error)
	DevicesNamed(ctx context.Context, hostname string) ([]DeviceRecord, error)
	Pause(ctx context.Context, s Switch) (SwitchState, error)
	Resume(ctx context.Context, s Switch) (SwitchState, error)
	ResetCircuit(ctx context.Context, s Switch) (SwitchState, error)
	Vitals(ctx context.Context) (Vitals, error)
}

// Vitals is what an alert may be set on, over all tenants.
type Vitals struct {
	Failures         map[string]int // on record, by kind
	CircuitsOpen     int
	Paused           int   // tenants; the global switch counts as one
	Unsettled        int   // deletes whose outcome is not known
	Unexported       int64 // audit entries not yet written to standard output
	SnapshotsFailing int   // tenants of which the last reading of the inventory failed, a short while ago
}

// Exclusion is one row of the feed that keeps devices out of the next search.
type Exclusion struct {
	TenantID   string
	EndpointID string
	Hostname   string
	Kind       string // deleted, ticket, kept
	Since      time.Time
	TicketID   string
	RestoreBy  *time.Time // deleted only
}

// Failure is a failed verification or delete that waits for a person.
type Failure struct {
	TenantID   string
	EndpointID string
	Hostname   string
	Kind       string // verify, delete, come-back
	Class      Class
	Count      int
	FirstAt    time.Time
	LastAt     time.Time
	Text       string
	// CorrelationID is Central's, of the last call that failed; its support asks for it.
	CorrelationID string
}

// DeviceRecord is all that is known of one device.
type DeviceRecord struct {
	TenantID   string
	EndpointID string
	Hostname   string
	State      string
	DeletedAt  *time.Time
	RestoreBy  *time.Time
	TicketID   string
	// ByDirectory says of a device that came back that only its account in the
	// directory shows it: Central may still be without it.
	ByDirectory bool
	Failures    []Failure
	Decision    map[string]any // the latest
	Record      map[string]any // Central's, as it was before the delete
}

// Switch throws the kill switch, of one tenant or (empty TenantID) of all.
type Switch struct {
	TenantID, Reason, By, RequestID string
}

// SwitchState is what holds after a switch was thrown.
type SwitchState struct {
	TenantID    string
	Paused      bool
	Reason      string
	By          string
	CircuitOpen bool
}

// ErrToken is returned by Sealer.Open for a token that is forged, cut, sealed
// with a key that is not listed, or no token at all.
var ErrToken = errors.New("token cannot be opened")

// ErrTokenSize is returned by Sealer.Seal where the token would be longer than
// what callers may be asked to carry.
var ErrTokenSize = errors.New("token would be too long")

// Sealer seals and opens tokens. Kind and time are inside; what is sealed for
// one kind does not open as another.
type Sealer interface {
	Seal(kind string, plain []byte) (string, error)
	Open(token string) (kind string, plain []byte, err error)
}
