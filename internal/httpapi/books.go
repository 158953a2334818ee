package httpapi

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/record"
)

func (s *server) exclusions(x *exchange) error {
	q := x.query()
	kind := q.word("kind", "", "deleted", "ticket", "kept")
	format := q.word("format", formatJSON, formatNDJSON, formatCSV)
	since := q.since()
	if err := q.found.refusal(); err != nil {
		return err
	}
	rows := s.cfg.Books.Exclusions(x.c.Request.Context(), kind, since)
	return stream(x, format, mapped(rows, exclusion), &sheet[api.Exclusion]{
		columns: []string{"tenantId", "endpointId", "hostname", "kind", "since", "ticketId", "restoreBy"},
		cells: func(e api.Exclusion) []string {
			return []string{e.TenantID, e.EndpointID, plain(e.Hostname), e.Kind, at(&e.Since), plain(e.TicketID), at(e.RestoreBy)}
		},
	})
}

func (s *server) tickets(x *exchange) error {
	q := x.query()
	state := q.word("state", "", "open", "closed")
	if err := q.found.refusal(); err != nil {
		return err
	}
	return stream(x, formatJSON, mapped(s.cfg.Books.TicketLog(x.c.Request.Context(), state), ticket), nil)
}

func (s *server) ticket(x *exchange) error {
	t, err := s.cfg.Books.Ticket(x.c.Request.Context(), x.c.Param("ticketId"))
	if err != nil {
		return err
	}
	body, err := ticket(t)
	if err != nil {
		return err
	}
	return x.ok(body)
}

func (s *server) failures(x *exchange) error {
	return stream(x, formatJSON, mapped(s.cfg.Books.Failures(x.c.Request.Context()), failure), nil)
}

func (s *server) ackFailure(x *exchange) error {
	var b ackBody
	if err := s.decode(x, &b); err != nil {
		return err
	}
	var q query
	dev := action.Ref{TenantID: q.id("tenantId", b.TenantID), EndpointID: q.id("endpointId", x.c.Param("endpointId"))}
	if err := q.found.refusal(); err != nil {
		return err
	}
	x.result.Dev = dev
	done, err := s.cfg.Books.AckFailure(x.c.Request.Context(), dev, b.By, b.Note, x.requestID)
	if err != nil {
		return err
	}
	return x.ok(api.Ack{TenantID: dev.TenantID, EndpointID: dev.EndpointID, Acknowledged: done, RequestID: x.requestID})
}

func (s *server) audit(x *exchange) error {
	q := x.query()
	since := q.since()
	tenantID, endpointID := q.id("tenantId", q.text("tenantId")), q.id("endpointId", q.text("endpointId"))
	if err := q.found.refusal(); err != nil {
		return err
	}
	rows := s.cfg.Books.Audit(x.c.Request.Context(), since, tenantID, endpointID)
	return stream(x, formatNDJSON, mapped(rows, asIs), nil)
}

func (s *server) devices(x *exchange) error {
	q := x.query()
	hostname := q.needed("hostname")
	name, ok := record.Hostname(hostname)
	if hostname != "" && !ok {
		q.found.add("hostname", "can't be a host name")
	}
	if err := q.found.refusal(); err != nil {
		return err
	}
	found, err := s.cfg.Books.DevicesNamed(x.c.Request.Context(), name)
	if err != nil {
		return err
	}
	list := api.List[api.DeviceRecord]{Items: make([]api.DeviceRecord, len(found)), Count: len(found)}
	for i, d := range found {
		if list.Items[i], err = deviceRecord(d); err != nil {
			return err
		}
	}
	return x.ok(list)
}

func (s *server) device(x *exchange) error {
	d, err := s.onRecord(x)
	if err != nil {
		return err
	}
	body, err := deviceRecord(d)
	if err != nil {
		return err
	}
	return x.ok(body)
}

// onRecord reads what is known of the device that the path and the query name.
func (s *server) onRecord(x *exchange) (action.DeviceRecord, error) {
	q := x.query()
	tenantID := q.id("tenantId", q.needed("tenantId"))
	if err := q.found.refusal(); err != nil {
		return action.DeviceRecord{}, err
	}
	endpointID, ok := record.ID(x.c.Param("endpointId"))
	if !ok {
		return action.DeviceRecord{}, action.ErrNotFound
	}
	x.result.Dev = action.Ref{TenantID: tenantID, EndpointID: endpointID}
	return s.cfg.Books.DeviceRecord(x.c.Request.Context(), x.result.Dev)
}

// exclusion, ticket, failure and deviceRecord put a row on the wire: what is
// not known becomes null.
func exclusion(e action.Exclusion) (api.Exclusion, error) {
	out := api.Exclusion{
		TenantID: e.TenantID, EndpointID: e.EndpointID, Hostname: word(e.Hostname), Kind: e.Kind,
		Since: moment(e.Since), TicketID: word(e.TicketID),
	}
	if e.RestoreBy != nil {
		out.RestoreBy = stamp(*e.RestoreBy)
	}
	return out, nil
}

func ticket(t action.Ticket) (api.Ticket, error) {
	return api.Ticket{
		TicketID: t.TicketID, TenantID: t.TenantID, EndpointID: t.EndpointID, Hostname: word(t.Hostname),
		State: t.State, OpenedAt: moment(t.OpenedAt), ClosedAt: stamp(t.ClosedAt), Decision: word(t.Decision),
		OpenedBy: word(t.OpenedBy), DecidedBy: word(t.DecidedBy), TicketSystem: word(t.TicketSystem),
		TicketURL: word(t.TicketURL), TicketState: word(t.TicketState), Note: word(t.Note),
	}, nil
}

func failure(f action.Failure) (api.Failure, error) {
	return api.Failure{
		TenantID: f.TenantID, EndpointID: f.EndpointID, Hostname: word(f.Hostname), Kind: f.Kind,
		Class: string(f.Class), Count: f.Count, FirstAt: moment(f.FirstAt), LastAt: moment(f.LastAt), Text: f.Text,
		CorrelationID: word(f.CorrelationID),
	}, nil
}

func deviceRecord(d action.DeviceRecord) (api.DeviceRecord, error) {
	decision, err := json.Marshal(d.Decision)
	if err != nil {
		return api.DeviceRecord{}, fmt.Errorf("decision on record: %w", err)
	}
	kept, err := json.Marshal(d.Record)
	if err != nil {
		return api.DeviceRecord{}, fmt.Errorf("record of Central: %w", err)
	}
	out := api.DeviceRecord{
		TenantID: d.TenantID, EndpointID: d.EndpointID, Hostname: word(d.Hostname), State: d.State,
		TicketID: word(d.TicketID), Failures: make([]api.Failure, len(d.Failures)), Decision: decision, Record: kept,
	}
	if d.DeletedAt != nil {
		out.DeletedAt = stamp(*d.DeletedAt)
	}
	if d.RestoreBy != nil {
		out.RestoreBy = stamp(*d.RestoreBy)
	}
	for i, f := range d.Failures {
		if out.Failures[i], err = failure(f); err != nil {
			return api.DeviceRecord{}, err
		}
	}
	return out, nil
}

// asIs passes JSON on that the store keeps ready-made.
func asIs(line []byte) (json.RawMessage, error) { return line, nil }

// moment is a time that is always known.
func moment(t time.Time) time.Time {
	if p := stamp(t); p != nil {
		return *p
	}
	return time.Time{}
}

// mapped puts each row on the wire as it comes.
func mapped[T, W any](rows iter.Seq2[T, error], put func(T) (W, error)) iter.Seq2[W, error] {
	return func(yield func(W, error) bool) {
		for row, err := range rows {
			var out W
			if err == nil {
				out, err = put(row)
			}
			if !yield(out, err) {
				return
			}
		}
	}
}
