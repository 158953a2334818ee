package api

import (
	"fmt"
	"time"
)

// Answer is what every action answers with status 200: flat, so that playbooks
// can branch on it. All fields are always there; nil is unknown, never "no".
type Answer struct {
	// Action is the action's name, as in its path.
	Action string `json:"action"`
	// Outcome is what came of it; see the Outcome constants.
	Outcome string `json:"outcome"`
	// OK says that this step is finished and need not be repeated.
	OK bool `json:"ok"`
	// ReasonCode is the code of the first reason, nil when there is none.
	ReasonCode *string `json:"reasonCode"`
	// ReasonsText joins the texts of all reasons.
	ReasonsText *string `json:"reasonsText"`
	// Reasons are all that was found, most decisive first; never nil on the wire.
	Reasons []Reason `json:"reasons"`
	// Summary is one sentence for a person.
	Summary string `json:"summary"`
	// Mode is dry-run or live.
	Mode       string  `json:"mode"`
	TenantID   *string `json:"tenantId"`
	EndpointID *string `json:"endpointId"`
	Hostname   *string `json:"hostname"`
	// LastSeenAt, InactiveDays and Active come from the live read at VerifiedAt.
	LastSeenAt *time.Time `json:"lastSeenAt"`
	// InactiveDays is the age of LastSeenAt in days of 86,400 s, with fractions.
	InactiveDays *float64   `json:"inactiveDays"`
	Active       *bool      `json:"active"`
	VerifiedAt   *time.Time `json:"verifiedAt"`
	// Deleted is nil where it is not known whether Central still has the device.
	Deleted     *bool   `json:"deleted"`
	NeedsReview bool    `json:"needsReview"`
	TicketID    *string `json:"ticketId"`
	// TicketState is open or closed.
	TicketState   *string   `json:"ticketState"`
	RequestID     string    `json:"requestId"`
	EvaluatedAt   time.Time `json:"evaluatedAt"`
	PolicyVersion string    `json:"policyVersion"`
	// EligibleAt is when time alone would make the verdict delete.
	EligibleAt *time.Time `json:"eligibleAt"`
	Retryable  bool       `json:"retryable"`
	// RetryAfterSeconds is in whole seconds, at least 1.
	RetryAfterSeconds *int `json:"retryAfterSeconds"`
	// Next is what to call next; see the Next constants.
	Next string `json:"next"`
	// Token is handed to the next action; at most 4 KiB, opaque.
	Token *string `json:"token"`
	// Device is what Central says of the device now; verify-live only.
	Device *Device `json:"device"`
}

// BatchAnswer is what a batch answers with status 200.
type BatchAnswer struct {
	// Action is the action that each item was taken through.
	Action    string `json:"action"`
	RequestID string `json:"requestId"`
	Count     int    `json:"count"`
	// Items are the answers, in the order of the request.
	Items []BatchItem `json:"items"`
	// OldestFirst are the indexes of the items with the outcome delete, the one
	// that Central has not seen for longest first.
	OldestFirst []int `json:"oldestFirst"`
}

// BatchItem is what the action answers for one item.
type BatchItem struct {
	Answer
	// Error is what the action would have answered with in place of this, with the
	// outcome error; nil where the item has an answer.
	Error *Error `json:"error"`
}

// Reason is one rule's finding.
type Reason struct {
	Code string `json:"code"`
	// Verdict is delete, manual, skip or keep.
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
}

// Device holds the key fields of Central's record. What Central left out, or
// sent in a shape that means nothing, is nil.
type Device struct {
	EndpointID   string     `json:"endpointId"`
	TenantID     string     `json:"tenantId"`
	Hostname     *string    `json:"hostname"`
	Type         *string    `json:"type"`
	Platform     *string    `json:"platform"`
	OSName       *string    `json:"osName"`
	IsServer     *bool      `json:"isServer"`
	Build        *int       `json:"build"`
	LastSeenAt   *time.Time `json:"lastSeenAt"`
	RegisteredAt *time.Time `json:"registeredAt"`
	Online       *bool      `json:"online"`
	Isolated     *bool      `json:"isolated"`
	// HealthOverall and HealthThreats are good, suspicious, bad or unknown.
	HealthOverall *string `json:"healthOverall"`
	HealthThreats *string `json:"healthThreats"`
	Cloned        *bool   `json:"cloned"`
	PersonName    *string `json:"personName"`
	ViaLogin      *string `json:"viaLogin"`
	SerialNumber  *string `json:"serialNumber"`
	// TamperProtectionEnabled says whether it is on; its password is never shown.
	TamperProtectionEnabled *bool `json:"tamperProtectionEnabled"`
}

// Error is the body of every answer that is not 2xx. It carries the members of
// RFC 9457 and repeats its sentence where other clients look for it.
type Error struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Instance  string `json:"instance"`
	Code      string `json:"code"` // see the Code constants
	RequestID string `json:"requestId"`
	Retryable bool   `json:"retryable"`
	// RetryAfterSeconds is in whole seconds; nil when asking again is no use.
	RetryAfterSeconds *int         `json:"retryAfterSeconds"`
	Errors            []FieldError `json:"errors"`
	Fixes             []string     `json:"fixes"`
	ErrorText         string       `json:"error"`   // the same sentence as Detail
	Message           string       `json:"message"` // the same sentence as Detail
}

// FieldError names a field of the request that cannot be used, and why.
type FieldError struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// Error implements error.
func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("rollcall: status %d", e.Status)
	}
	return fmt.Sprintf("rollcall: %s (%d): %s", e.Code, e.Status, e.Detail)
}
