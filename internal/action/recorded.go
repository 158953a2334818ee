package action

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"rollcall/internal/policy"
)

// Recorded is a device's latest decision as the ledger keeps it, with the facts
// that it rests on.
type Recorded struct {
	TenantID   string    `json:"tenantId"`
	EndpointID string    `json:"endpointId"`
	At         time.Time `json:"at"` // by the ledger's clock
	decided
}

// Ref names the device.
func (d Recorded) Ref() Ref { return Ref{TenantID: d.TenantID, EndpointID: d.EndpointID} }

// LastSeenAt is what the live read said; not given where there was none.
func (d Recorded) LastSeenAt() policy.Field[time.Time] {
	if d.Live.Status != policy.LiveFound {
		return policy.Field[time.Time]{}
	}
	return d.Live.Device.LastSeenAt
}

// recordedLine is Recorded with its facts behind pointers: a record without one
// of them must not be taken for one that says nothing against a delete.
type recordedLine struct {
	Recorded
	Event    *policy.Event    `json:"event"`
	Live     *policy.Live     `json:"live"`
	Standing *policy.Standing `json:"standing"`
}

// ReadDecision reads a line of Books.Decisions. It is false for a record that
// can't be read whole: then the device and the time are all that is set, as far
// as they could be read.
func ReadDecision(line []byte) (Recorded, bool) {
	var l recordedLine
	err := json.Unmarshal(line, &l)
	whole := err == nil && l.Event != nil && l.Live != nil && l.Standing != nil
	if whole {
		l.Recorded.Event, l.Recorded.Live, l.Recorded.Standing = *l.Event, *l.Live, *l.Standing
		named, ok := refOf(*l.Event)
		whole = ok && named == l.Ref() && !l.EvaluatedAt.IsZero() && l.ReasonCode != "" &&
			slices.Contains(Verdicts(), l.Verdict)
	}
	if whole {
		return l.Recorded, true
	}
	return headOf(line), false
}

// headOf reads the device and the time off the front of a line, whatever comes
// after them.
func headOf(line []byte) Recorded {
	var head Recorded
	dec := json.NewDecoder(bytes.NewReader(line))
	if _, err := dec.Token(); err != nil {
		return head
	}
	for range 3 {
		name, err := dec.Token()
		if err != nil {
			return head
		}
		var into any = &head.At
		switch name {
		case "tenantId":
			into = &head.TenantID
		case "endpointId":
			into = &head.EndpointID
		case "at":
		default:
			return head
		}
		if dec.Decode(into) != nil {
			return head
		}
	}
	return head
}

// Verdicts are the words of the verdicts, the one that deletes first.
func Verdicts() []string {
	return []string{
		outcomeOf(policy.Delete), outcomeOf(policy.Manual), outcomeOf(policy.Skip), outcomeOf(policy.Keep),
	}
}
