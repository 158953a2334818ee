package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"time"
)

// Exclusions reads the devices to be kept out of the next search. An empty kind
// means all, a zero since from the beginning.
func (c *Client) Exclusions(ctx context.Context, kind string, since time.Time) (*List[Exclusion], error) {
	return call[List[Exclusion]](ctx, c, "/v1/exclusions", query("kind", kind, "since", stamp(since)), nil)
}

// Tickets reads the ticket log; state is open, closed or empty for both.
func (c *Client) Tickets(ctx context.Context, state string) (*List[Ticket], error) {
	return call[List[Ticket]](ctx, c, "/v1/tickets", query("state", state), nil)
}

// Ticket reads one ticket; one that was never opened is an *Error with CodeNotFound.
func (c *Client) Ticket(ctx context.Context, ticketID string) (*Ticket, error) {
	return call[Ticket](ctx, c, "/v1/tickets/"+url.PathEscape(ticketID), nil, nil)
}

// Failures reads what waits for a person.
func (c *Client) Failures(ctx context.Context) (*List[Failure], error) {
	return call[List[Failure]](ctx, c, "/v1/failures", nil, nil)
}

// AckFailure takes a device's failure off that list.
func (c *Client) AckFailure(ctx context.Context, endpointID string, in AckRequest) (*Ack, error) {
	return call[Ack](ctx, c, "/v1/failures/"+url.PathEscape(endpointID)+"/ack", nil, in)
}

// Devices reads what is known of the devices with this host name.
func (c *Client) Devices(ctx context.Context, hostname string) (*List[DeviceRecord], error) {
	return call[List[DeviceRecord]](ctx, c, "/v1/devices", query("hostname", hostname), nil)
}

// Device reads what is known of one device; one that is not on record is an
// *Error with CodeNotFound.
func (c *Client) Device(ctx context.Context, tenantID, endpointID string) (*DeviceRecord, error) {
	return call[DeviceRecord](ctx, c, "/v1/devices/"+url.PathEscape(endpointID), query("tenantId", tenantID), nil)
}

// Recovery reads the steps to protect a device again that was deleted while in
// use; a device that is not on record is an *Error with CodeNotFound.
func (c *Client) Recovery(ctx context.Context, tenantID, endpointID string) (*Recovery, error) {
	return call[Recovery](ctx, c, "/v1/devices/"+url.PathEscape(endpointID)+"/recovery", query("tenantId", tenantID), nil)
}

// DecisionsQuery narrows the sheet of decisions; zero fields do not.
type DecisionsQuery struct {
	Verdict    string // delete, manual, skip or keep
	ReasonCode string
	Since      time.Time // inclusive
}

// Decisions reads the latest decision on each device.
func (c *Client) Decisions(ctx context.Context, q DecisionsQuery) (*List[Decision], error) {
	v := query("verdict", q.Verdict, "reasonCode", q.ReasonCode, "since", stamp(q.Since))
	return call[List[Decision]](ctx, c, "/v1/decisions", v, nil)
}

// ReplayPolicy asks a candidate policy about the decisions on record. A policy
// with faults is an *Error with CodeInvalid that names each in Errors.
func (c *Client) ReplayPolicy(ctx context.Context, in ReplayRequest) (*Replay, error) {
	return receive[Replay](ctx, c, "/v1/policy/replay", nil, in, maxList)
}

// Pause throws the kill switch.
func (c *Client) Pause(ctx context.Context, in AdminRequest) (*AdminState, error) {
	return call[AdminState](ctx, c, "/v1/admin/pause", nil, in)
}

// Resume takes the kill switch back.
func (c *Client) Resume(ctx context.Context, in AdminRequest) (*AdminState, error) {
	return call[AdminState](ctx, c, "/v1/admin/resume", nil, in)
}

// ResetCircuit closes the circuit of a tenant, or of all.
func (c *Client) ResetCircuit(ctx context.Context, in AdminRequest) (*AdminState, error) {
	return call[AdminState](ctx, c, "/v1/admin/circuit-reset", nil, in)
}

// Me says who the key is and how the service is set up.
func (c *Client) Me(ctx context.Context) (*Me, error) { return call[Me](ctx, c, "/v1/me", nil, nil) }

// AuditQuery narrows the audit trail; zero fields do not.
type AuditQuery struct {
	Since                time.Time // inclusive
	TenantID, EndpointID string
}

// maxLine is the longest audit line that the client reads, in bytes.
const maxLine = 1 << 20

// Audit streams the audit trail, oldest first. The sequence ends after the first
// error; an entry that comes with an error is to be thrown away.
func (c *Client) Audit(ctx context.Context, q AuditQuery) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		v := query("since", stamp(q.Since), "tenantId", q.TenantID, "endpointId", q.EndpointID)
		res, err := c.send(ctx, "/v1/audit", v, nil)
		if err != nil {
			yield(AuditEntry{}, err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			var e AuditEntry
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				yield(AuditEntry{}, fmt.Errorf("audit line: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(AuditEntry{}, fmt.Errorf("audit: %w", err))
		}
	}
}

// query pairs names with values and leaves out the empty ones.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// stamp writes a time for a query; the zero time is empty.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
