// Package action decides in what order an action's steps happen, what is
// written down before and after each, and in which direction a failure falls:
// always away from a DELETE. It declares the ports, its own and those by which one
// adapter uses another that it may not import, and knows no URL, no Redis key, no
// HTTP status and no rule.
package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/internal/policy"
)

// The modes of operation.
const (
	DryRun   = "dry-run"
	LiveMode = "live"
)

// Rules is the policy in force.
type Rules struct {
	Params policy.Params
	// Broken is set while a newer policy or keys file could not be loaded: verdicts go
	// on under the old one, live deletes are deferred.
	Broken bool
}

// Settings are a Runner's fixed choices.
type Settings struct {
	Mode           string
	ActionTimeout  time.Duration  // one action's answer
	CentralTimeout time.Duration  // one call to Central
	Installation   string         // of the store, as it was when it was found fit; empty = the first that is seen
	BookTime       time.Duration  // for writing down what has happened; 2 s if zero
	Snapshots      SnapshotFinder // where the come-back watch looks between its reads of Central; nil = nowhere
}

// Runner runs the actions. It holds no state of its own but the highest audit
// sequence that it has seen per tenant, and is safe for concurrent use.
type Runner struct {
	central Central
	ledger  Ledger
	sealer  Sealer
	rules   func() Rules
	now     func() time.Time
	set     Settings
	seen    sequences
	running sync.WaitGroup // deletes past their intent
}

// New returns a Runner. rules gives the policy in force at each call, now the time.
func New(c Central, l Ledger, s Sealer, rules func() Rules, now func() time.Time, set Settings) *Runner {
	set.BookTime = cmp.Or(set.BookTime, bookTime)
	r := &Runner{central: c, ledger: l, sealer: s, rules: rules, now: now, set: set}
	r.seen.adopt(set.Installation)
	return r
}

// Call says who calls.
type Call struct {
	RequestID string
	Key       string // the API key's name
	Scopes    []string
}

// Result is what an action answers. Zero times, nil pointers and empty strings
// are unknown and become null on the wire.
type Result struct {
	Action        string
	Outcome       string
	OK            bool
	Reasons       []policy.Reason
	Summary       string
	Mode          string
	Dev           Ref
	Hostname      string
	Activity      policy.Activity
	VerifiedAt    time.Time
	Deleted       *bool
	NeedsReview   bool
	TicketID      string
	TicketState   string // open, closed
	RequestID     string
	EvaluatedAt   time.Time
	PolicyVersion string
	EligibleAt    time.Time
	Retryable     bool
	RetryAfter    time.Duration // rounded up to whole seconds on the wire; zero = null
	TokenTill     time.Time     // until when the token that a retry needs counts; zero = it needs none
	Next          string
	Token         string
	Device        *policy.Device // verify-live only
}

// Invalid is an envelope that can't be used: the caller must send another.
type Invalid struct{ Field, Problem string }

// Error implements error.
func (i *Invalid) Error() string { return fmt.Sprintf("%s %s", i.Field, i.Problem) }

// ErrConflict means that the ticket id is open for another device.
var ErrConflict = errors.New("ticket is open for another device")

// ErrForbidden means that the key lacks a scope that this step needs; its text
// after the colon names the scope.
var ErrForbidden = errors.New("scope needed")

// VerifyLiveInput is verify-live's request.
type VerifyLiveInput struct {
	Event  policy.Event
	LookBy time.Time // Central is not asked after that; zero = as long as the action has time
}

// EvaluateInput is evaluate's request.
type EvaluateInput struct {
	Event    policy.Event
	Evidence string    // verify-live's token; empty = none
	LookBy   time.Time // Central is not asked after that; zero = as long as the action has time
}

// DeleteInput is delete's request: a token or a ticket id.
type DeleteInput struct {
	Token, TicketID string
	Event           *policy.Event // a fresh event for the same device; nil = the sealed one
}

// TicketOpenInput is ticket-open's request.
type TicketOpenInput struct{ Token, TicketID, TicketSystem, TicketURL, OpenedBy string }

// TicketCloseInput is ticket-close's request.
type TicketCloseInput struct{ TicketID, Decision, DecidedBy, Note, TicketState string }

// bounded is the context in which a whole action must answer.
func (r *Runner) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.set.ActionTimeout)
}
