package httpapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"rollcall/api"
	"rollcall/internal/record"
)

// The longest texts, in characters.
const (
	longRequest = 128
	longToken   = 4096
	longName    = 256 // ids and names of people
	longWord    = 64
	longURL     = 2048
	longNote    = 4000
	longPolicy  = maxBody
)

const badRequestID = "in X-Request-ID must have at most 128 characters, and no control characters"

type verifyLiveBody struct{ api.VerifyLiveRequest }

func (b *verifyLiveBody) named() string { return b.RequestID }

func (b *verifyLiveBody) member(name string) slot {
	switch name {
	case "event":
		return slot{into: &b.Event}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

type evaluateBody struct{ api.EvaluateRequest }

func (b *evaluateBody) named() string { return b.RequestID }

func (b *evaluateBody) member(name string) slot {
	switch name {
	case "event":
		return slot{into: &b.Event}
	case "evidence":
		return slot{into: &b.Evidence, most: longToken}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

// batchBody holds the items as they came: each is read by itself.
type batchBody struct {
	Items     []json.RawMessage `json:"items" validate:"required"`
	RequestID string            `json:"requestId"`
	asked     []string          // the names that came, to find those that come twice
}

func (b *batchBody) named() string { return b.RequestID }

func (b *batchBody) member(name string) slot {
	b.asked = append(b.asked, name)
	switch name {
	case "items":
		return slot{into: &b.Items, most: mostItems}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

type deleteBody struct{ api.DeleteRequest }

func (b *deleteBody) named() string { return b.RequestID }

func (b *deleteBody) member(name string) slot {
	switch name {
	case "token":
		return slot{into: &b.Token, most: longToken}
	case "ticketId":
		return slot{into: &b.TicketID, most: longName}
	case "event":
		return slot{into: &b.Event}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

type ticketOpenBody struct{ api.TicketOpenRequest }

func (b *ticketOpenBody) named() string { return b.RequestID }

func (b *ticketOpenBody) member(name string) slot {
	switch name {
	case "token":
		return slot{into: &b.Token, most: longToken}
	case "ticketId":
		return slot{into: &b.TicketID, most: longName}
	case "ticketSystem":
		return slot{into: &b.TicketSystem, most: longWord}
	case "ticketUrl":
		return slot{into: &b.TicketURL, most: longURL}
	case "openedBy":
		return slot{into: &b.OpenedBy, most: longName}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

type ticketCloseBody struct{ api.TicketCloseRequest }

func (b *ticketCloseBody) named() string { return b.RequestID }

func (b *ticketCloseBody) member(name string) slot {
	switch name {
	case "ticketId":
		return slot{into: &b.TicketID, most: longName}
	case "decision":
		return slot{into: &b.Decision, most: longWord}
	case "decidedBy":
		return slot{into: &b.DecidedBy, most: longName}
	case "note":
		return slot{into: &b.Note, most: longNote, long: true}
	case "ticketState":
		return slot{into: &b.TicketState, most: longWord}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

type ackBody struct{ api.AckRequest }

func (b *ackBody) named() string { return b.RequestID }

func (b *ackBody) member(name string) slot {
	switch name {
	case "tenantId":
		return slot{into: &b.TenantID, most: longName}
	case "by":
		return slot{into: &b.By, most: longName}
	case "note":
		return slot{into: &b.Note, most: longNote, long: true}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

type adminBody struct{ api.AdminRequest }

func (b *adminBody) named() string { return b.RequestID }

func (b *adminBody) member(name string) slot {
	switch name {
	case "tenantId":
		return slot{into: &b.TenantID, most: longName}
	case "reason":
		return slot{into: &b.Reason, most: longNote, long: true}
	case "by":
		return slot{into: &b.By, most: longName}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

type replayBody struct{ api.ReplayRequest }

func (b *replayBody) named() string { return b.RequestID }

func (b *replayBody) member(name string) slot {
	switch name {
	case "policy":
		return slot{into: &b.Policy, most: longPolicy, long: true, exact: true}
	case "since":
		return slot{into: &b.Since, most: longWord}
	case "requestId":
		return slot{into: &b.RequestID, most: longRequest}
	}
	return slot{}
}

// newValidator checks the envelopes' tags and names fields as the wire does.
func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	real := func(f validator.FieldLevel) bool { return !record.Placeholder(f.Field().String()) }
	if err := v.RegisterValidation("real", real); err != nil {
		panic(err) // a constant tag
	}
	return v
}

// check puts what the tags find beside the problems found already, one for
// each field.
func (s *server) check(m message, found problems) error {
	err := s.valid.Struct(m)
	var tagged validator.ValidationErrors
	switch {
	case err == nil:
	case errors.As(err, &tagged):
		for _, f := range tagged {
			found.add(f.Field(), problemOf(f))
		}
	default:
		return err
	}
	return found.refusal()
}

// wireName is a field of Go as the wire spells it.
func wireName(field string) string {
	return strings.ToLower(field[:1]) + strings.Replace(field[1:], "ID", "Id", 1)
}

// problemOf puts a broken tag in words.
func problemOf(f validator.FieldError) string {
	switch f.Tag() {
	case "required":
		return "is required"
	case "required_without":
		return "is required, or else " + wireName(f.Param())
	case "real":
		return "is what a template leaves where it has no value: send the real one"
	case "max":
		return "has more than " + f.Param() + " characters"
	case "oneof":
		return "must be one of " + strings.ReplaceAll(f.Param(), " ", ", ")
	}
	return "cannot be used"
}
