package api

// The codes of Error. What a caller should do stands with each.
const (
	// CodeBadJSON: the body is not one JSON object. Mend the playbook.
	CodeBadJSON = "bad_json"
	// CodeUnknownField: a top-level key that the schema does not know; names are
	// case-sensitive. Mend the playbook.
	CodeUnknownField = "unknown_field"
	// CodeDuplicateKey: a key stands twice in one object. Mend the playbook.
	CodeDuplicateKey = "duplicate_key"
	// CodeUnauthorized: no valid key. Check the credential.
	CodeUnauthorized = "unauthorized"
	// CodeForbidden: the key lacks a scope, which Detail names. Use another key.
	CodeForbidden = "forbidden"
	// CodeNotFound: no such route, ticket or device. Check the id.
	CodeNotFound = "not_found"
	// CodeMethodNotAllowed: the route exists, not with this method.
	CodeMethodNotAllowed = "method_not_allowed"
	// CodeConflict: the ticket is open for another device. Use another ticket.
	CodeConflict = "conflict"
	// CodeTooLarge: the body is over 1 MiB, or a batch's over 8 MiB. Send less at once.
	CodeTooLarge = "too_large"
	// CodeUnsupportedMediaType: send application/json.
	CodeUnsupportedMediaType = "unsupported_media_type"
	// CodeInvalid: the envelope is unusable; Errors names the fields.
	CodeInvalid = "invalid"
	// CodeRateLimited: too many requests with this key. Wait RetryAfterSeconds.
	CodeRateLimited = "rate_limited"
	// CodeInternal: a fault of the service. Tell its operator the RequestID.
	CodeInternal = "internal"
	// CodeStateUnavailable: the store does not answer, so nothing was decided and
	// nothing deleted. Wait RetryAfterSeconds and send the same again.
	CodeStateUnavailable = "state_unavailable"
	// CodeCentralUnavailable: Central can't be read, for a route that can answer
	// with nothing else. Wait RetryAfterSeconds and send the same again.
	CodeCentralUnavailable = "central_unavailable"
)

// The outcomes of the actions.
const (
	OutcomeInactive   = "inactive"
	OutcomeActive     = "active"
	OutcomeNotFound   = "not_found" // also ticket-close's, for a ticket that is not on record
	OutcomeMismatch   = "mismatch"
	OutcomeUnverified = "unverified"

	OutcomeDelete = "delete"
	OutcomeManual = "manual"
	OutcomeSkip   = "skip"
	OutcomeKeep   = "keep"

	// OutcomeError is a batch's, for an item that has no answer; see BatchItem.Error.
	OutcomeError = "error"

	OutcomeDeleted        = "deleted"
	OutcomeWouldDelete    = "would_delete"
	OutcomeAlreadyDeleted = "already_deleted"
	OutcomeGone           = "gone"
	OutcomeRefused        = "refused"
	OutcomeDeferred       = "deferred"
	OutcomePending        = "pending"
	OutcomeFailed         = "failed"

	OutcomeOpened        = "opened"
	OutcomeAlreadyOpen   = "already_open"
	OutcomeClosed        = "closed"
	OutcomeAlreadyClosed = "already_closed"
	OutcomeChanged       = "changed"
)

// What live mode makes of a verdict, in Decision.WouldHave.
const (
	WouldHaveDeleted   = "deleted"      // within limits, window and a second look at Central
	WouldHaveAsked     = "asked_person" // by a ticket
	WouldHaveLeftAlone = "left_alone"
)

// The routes of Recovery: the best way back that is still open.
const (
	RouteCheck     = "check"             // Central has the device again: see that it is protected
	RouteWait      = "wait"              // the outcome of a delete is not known yet
	RouteRestore   = "restore"           // restore it in Central
	RouteTamper    = "tamper-protection" // lift its tamper protection, then reinstall
	RouteReinstall = "reinstall"
	RouteNone      = "none" // it is not on record as deleted
)

// What to call next.
const (
	NextEvaluate   = "evaluate"
	NextDelete     = "delete"
	NextTicketOpen = "ticket-open"
	NextRetry      = "retry" // the same again, after RetryAfterSeconds
	NextStop       = "stop"
)

// The scopes of API keys. None implies another.
const (
	ScopeVerify   = "verify"
	ScopeEvaluate = "evaluate"
	ScopeDelete   = "delete"
	ScopeTicket   = "ticket"
	ScopeApprove  = "approve"
	ScopeRead     = "read"
	ScopeIngest   = "ingest"
	ScopeAdmin    = "admin"
)
