package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
)

// The validate tags below state what makes an envelope unusable (status 422).
// They are strings to this package; whoever checks them brings the library. "real" is
// no text that a template leaves where it has no value.

// VerifyLiveRequest asks whether a device is in use, according to Central, now.
type VerifyLiveRequest struct {
	// Event needs central.id and central.tenant.id; see Event.Raw.
	Event json.RawMessage `json:"event" validate:"required"`
	// RequestID is echoed, and made when empty. At most 128 characters.
	RequestID string `json:"requestId,omitempty" validate:"max=128"`
}

// EvaluateRequest asks what is to be done with a device.
type EvaluateRequest struct {
	Event json.RawMessage `json:"event" validate:"required"`
	// Evidence is the token of verify-live. Without it, or once it has expired,
	// the service looks the device up itself.
	Evidence  string `json:"evidence,omitempty"`
	RequestID string `json:"requestId,omitempty" validate:"max=128"`
}

// VerifyLiveBatchRequest asks for many devices whether they are in use.
type VerifyLiveBatchRequest struct {
	// Items are at most 1,000. One without a request id gets the batch's, a dot and
	// its index.
	Items     []VerifyLiveRequest `json:"items" validate:"required"`
	RequestID string              `json:"requestId,omitempty" validate:"max=128"`
}

// EvaluateBatchRequest asks what is to be done with many devices.
type EvaluateBatchRequest struct {
	// Items are at most 1,000. One without a request id gets the batch's, a dot and
	// its index.
	Items     []EvaluateRequest `json:"items" validate:"required"`
	RequestID string            `json:"requestId,omitempty" validate:"max=128"`
}

// DeleteRequest asks for the deletion that was decided. Exactly one of Token and
// TicketID is needed; nothing else can name a device.
type DeleteRequest struct {
	// Token is evaluate's (verdict delete) or ticket-close's (decision delete).
	Token string `json:"token,omitempty" validate:"required_without=TicketID"`
	// TicketID names a ticket that was closed with the decision delete.
	TicketID TicketID `json:"ticketId,omitempty" validate:"required_without=Token,omitempty,real"`
	// Event is a fresh row for the same device; nil = the sealed one holds.
	Event     json.RawMessage `json:"event,omitempty"`
	RequestID string          `json:"requestId,omitempty" validate:"max=128"`
}

// TicketOpenRequest records that a person has been asked.
type TicketOpenRequest struct {
	// Token is evaluate's, or the one that a refused delete handed on.
	Token        string   `json:"token" validate:"required"`
	TicketID     TicketID `json:"ticketId" validate:"required,real"`
	TicketSystem string   `json:"ticketSystem,omitempty"`
	TicketURL    string   `json:"ticketUrl,omitempty"`
	// OpenedBy is the person who asks. Needed for a VIP's device and a server, which
	// another person must decide about.
	OpenedBy  string `json:"openedBy,omitempty" validate:"omitempty,real"`
	RequestID string `json:"requestId,omitempty" validate:"max=128"`
}

// TicketCloseRequest records what the person decided.
type TicketCloseRequest struct {
	TicketID TicketID `json:"ticketId" validate:"required,real"`
	// Decision is delete, keep or none.
	Decision  string `json:"decision" validate:"required,oneof=delete keep none"`
	DecidedBy string `json:"decidedBy" validate:"required,real"`
	Note      string `json:"note,omitempty"`
	// TicketState is the ticket system's own word for the state.
	TicketState string `json:"ticketState,omitempty"`
	RequestID   string `json:"requestId,omitempty" validate:"max=128"`
}

// AckRequest takes a failure off the list that waits for a person.
type AckRequest struct {
	TenantID  string `json:"tenantId" validate:"required"`
	By        string `json:"by" validate:"required,real"`
	Note      string `json:"note,omitempty"`
	RequestID string `json:"requestId,omitempty" validate:"max=128"`
}

// AdminRequest throws a switch: of one tenant, or of all when TenantID is empty.
type AdminRequest struct {
	TenantID  string `json:"tenantId,omitempty"`
	Reason    string `json:"reason" validate:"required"`
	By        string `json:"by" validate:"required,real"`
	RequestID string `json:"requestId,omitempty" validate:"max=128"`
}

// ReplayRequest asks a candidate policy about the decisions on record.
type ReplayRequest struct {
	// Policy is the text of a policy file (YAML).
	Policy string `json:"policy" validate:"required"`
	// Since narrows it to later decisions: RFC 3339 with a zone, Unix seconds, or
	// how long ago, as in 30d, 12h or 90m. Empty = all that are on record.
	Since     string `json:"since,omitempty"`
	RequestID string `json:"requestId,omitempty" validate:"max=128"`
}

// TicketID is a ticket's id in the ticket system. Systems that number their
// tickets may send the number; it is kept as its digits.
type TicketID string

var digits = regexp.MustCompile(`^-?[0-9]+$`)

// UnmarshalJSON takes a string or a whole number. Null leaves it empty.
func (t *TicketID) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.Equal(b, []byte("null")):
		*t = ""
		return nil
	case digits.Match(b):
		*t = TicketID(b)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("ticketId must be a string or a whole number")
	}
	*t = TicketID(s)
	return nil
}
