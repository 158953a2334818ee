package api

import (
	"encoding/json"
	"time"
)

// List is a JSON list.
type List[T any] struct {
	Items []T `json:"items"`
	Count int `json:"count"`
	// Next is a cursor, nil when the list is complete.
	Next *string `json:"next"`
}

// Exclusion keeps a device out of the next search.
type Exclusion struct {
	TenantID   string  `json:"tenantId"`
	EndpointID string  `json:"endpointId"`
	Hostname   *string `json:"hostname"`
	// Kind is deleted, ticket or kept.
	Kind     string    `json:"kind"`
	Since    time.Time `json:"since"`
	TicketID *string   `json:"ticketId"`
	// RestoreBy is until when Central can restore the device; deleted only.
	RestoreBy *time.Time `json:"restoreBy"`
}

// Ticket is a question put to a person, and the answer.
type Ticket struct {
	TicketID   string  `json:"ticketId"`
	TenantID   string  `json:"tenantId"`
	EndpointID string  `json:"endpointId"`
	Hostname   *string `json:"hostname"`
	// State is open or closed.
	State    string     `json:"state"`
	OpenedAt time.Time  `json:"openedAt"`
	ClosedAt *time.Time `json:"closedAt"`
	// Decision is delete, keep or none; nil while open.
	Decision     *string `json:"decision"`
	OpenedBy     *string `json:"openedBy"`
	DecidedBy    *string `json:"decidedBy"`
	TicketSystem *string `json:"ticketSystem"`
	TicketURL    *string `json:"ticketUrl"`
	// TicketState is the ticket system's own word.
	TicketState *string `json:"ticketState"`
	Note        *string `json:"note"`
}

// Failure is a failed verification or delete that waits for a person.
type Failure struct {
	TenantID   string  `json:"tenantId"`
	EndpointID string  `json:"endpointId"`
	Hostname   *string `json:"hostname"`
	// Kind is verify, delete or come-back.
	Kind string `json:"kind"`
	// Class is transient, permanent or ambiguous.
	Class   string    `json:"class"`
	Count   int       `json:"count"`
	FirstAt time.Time `json:"firstAt"`
	LastAt  time.Time `json:"lastAt"`
	Text    string    `json:"text"`
	// CorrelationID is Central's, of the last call that failed; its support asks for it.
	CorrelationID *string `json:"correlationId"`
}

// Ack says whether a failure was taken off the list. False: none waited.
type Ack struct {
	TenantID     string `json:"tenantId"`
	EndpointID   string `json:"endpointId"`
	Acknowledged bool   `json:"acknowledged"`
	RequestID    string `json:"requestId"`
}

// AuditEntry is one line of the audit trail. What an action adds beyond these
// fields is in the line, but not here.
type AuditEntry struct {
	Seq           int64     `json:"seq"`
	At            time.Time `json:"at"`
	Action        string    `json:"action"`
	Outcome       string    `json:"outcome"`
	ReasonCode    *string   `json:"reasonCode"`
	TenantID      *string   `json:"tenantId"`
	EndpointID    *string   `json:"endpointId"`
	Hostname      *string   `json:"hostname"`
	By            *string   `json:"by"`
	RequestID     *string   `json:"requestId"`
	Mode          *string   `json:"mode"`
	PolicyVersion *string   `json:"policyVersion"`
	// Prev is the digest of the tenant's entry before this one, Digest the SHA-256
	// over Prev and this entry; both are hex.
	Prev   string `json:"prev"`
	Digest string `json:"digest"`
}

// DeviceRecord is all that is known of one device.
type DeviceRecord struct {
	TenantID   string     `json:"tenantId"`
	EndpointID string     `json:"endpointId"`
	Hostname   *string    `json:"hostname"`
	State      string     `json:"state"`
	DeletedAt  *time.Time `json:"deletedAt"`
	RestoreBy  *time.Time `json:"restoreBy"`
	TicketID   *string    `json:"ticketId"`
	Failures   []Failure  `json:"failures"`
	// Decision is the latest, with the facts that it rests on; null if none.
	Decision json.RawMessage `json:"decision"`
	// Record is Central's, as it was before the delete; null if none.
	Record json.RawMessage `json:"record"`
}

// AdminState is what holds after a switch was thrown.
type AdminState struct {
	// TenantID is nil for the switch of all tenants.
	TenantID    *string `json:"tenantId"`
	Paused      bool    `json:"paused"`
	Reason      *string `json:"reason"`
	By          *string `json:"by"`
	CircuitOpen bool    `json:"circuitOpen"`
	RequestID   string  `json:"requestId"`
}

// Me says who the key is, and how the service is set up.
type Me struct {
	Name          string   `json:"name"`
	Scopes        []string `json:"scopes"`
	Mode          string   `json:"mode"`
	Version       string   `json:"version"`
	PolicyVersion string   `json:"policyVersion"`
	// WeakSpots are sentences on the set-up, empty when there is none.
	WeakSpots []string `json:"weakSpots"`
	RequestID string   `json:"requestId"`
}
