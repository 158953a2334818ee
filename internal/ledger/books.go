package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

// tenantIDs lists every tenant, in a fixed order.
func (s *Store) tenantIDs(ctx context.Context) ([]string, error) {
	ids, err := s.rdb.SMembers(ctx, keyTenants).Result()
	slices.Sort(ids)
	return ids, away(err)
}

// Exclusions implements action.Books. Kinds: ticket, deleted, kept; empty = all.
func (s *Store) Exclusions(ctx context.Context, kind string, since time.Time) iter.Seq2[action.Exclusion, error] {
	return eachTenant(ctx, s, func(tenant string) iter.Seq2[action.Exclusion, error] {
		return func(yield func(action.Exclusion, error) bool) {
			for _, of := range []struct {
				kind string
				set  tenantKey
			}{{"ticket", keyOpen}, {"deleted", keyDeleted}, {"kept", keyKept}} {
				if kind != "" && kind != of.kind {
					continue
				}
				page := func(ctx context.Context, tenant string, rows []redis.Z) ([]action.Exclusion, error) {
					return s.exclusionPage(ctx, tenant, of.kind, rows)
				}
				for x, err := range eachRow(ctx, s, tenant, of.set, since, page) {
					if !yield(x, err) || err != nil {
						return
					}
				}
			}
		}
	})
}

// exclusionPage reads what else is known of a page of devices.
func (s *Store) exclusionPage(ctx context.Context, tenant, kind string, rows []redis.Z) ([]action.Exclusion, error) {
	pipe := s.rdb.Pipeline()
	clock := s.askClock(ctx, pipe, keyMeta.of(tenant))
	cmds := make([]*redis.SliceCmd, len(rows))
	for i, z := range rows {
		cmds[i] = pipe.HMGet(ctx, keyDevice.of(tenant, fmt.Sprint(z.Member)), "hostname", "ticket", "restoreBy", "keepUntil")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, away(err)
	}
	now, err := clock()
	if err != nil {
		return nil, away(err)
	}
	var out []action.Exclusion
	for i, z := range rows {
		v := texts(cmds[i])
		if kind == "kept" && !now.Before(at(v[3])) {
			continue // lapsed: a person's matter again
		}
		x := action.Exclusion{
			TenantID: tenant, EndpointID: fmt.Sprint(z.Member), Hostname: v[0], Kind: kind, Since: time.UnixMilli(int64(z.Score)).UTC(),
		}
		if kind != "deleted" {
			x.TicketID = v[1]
		}
		if by := at(v[2]); kind == "deleted" && !by.IsZero() {
			x.RestoreBy = &by
		}
		out = append(out, x)
	}
	return out, nil
}

// TicketLog implements action.Books. States: open, closed; empty = both.
func (s *Store) TicketLog(ctx context.Context, state string) iter.Seq2[action.Ticket, error] {
	return each(ctx, s, keyTickets, time.Time{}, func(ctx context.Context, tenant string, rows []redis.Z) ([]action.Ticket, error) {
		return s.ticketPage(ctx, tenant, state, rows)
	})
}

// ticketPage reads a page of tickets, those of one state where one is given.
func (s *Store) ticketPage(ctx context.Context, tenant, state string, rows []redis.Z) ([]action.Ticket, error) {
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(rows))
	for i, z := range rows {
		cmds[i] = pipe.HGetAll(ctx, keyTicket.of(tenant, fmt.Sprint(z.Member)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, away(err)
	}
	var out []action.Ticket
	for _, c := range cmds {
		t, err := ticketOf(tenant, c.Val())
		if err == nil && (state == "" || t.State == state) {
			out = append(out, t)
		}
	}
	return out, nil
}

// Failures implements action.Books.
func (s *Store) Failures(ctx context.Context) iter.Seq2[action.Failure, error] {
	return eachTenant(ctx, s, func(tenant string) iter.Seq2[action.Failure, error] {
		return func(yield func(action.Failure, error) bool) {
			all, err := s.rdb.HGetAll(ctx, keyFailures.of(tenant)).Result()
			if err != nil {
				yield(action.Failure{}, away(err))
				return
			}
			for _, f := range failures(tenant, all) {
				if !yield(f, nil) {
					return
				}
			}
		}
	})
}

// failures reads a tenant's failures, oldest first.
func failures(tenant string, all map[string]string) []action.Failure {
	var out []action.Failure
	for field, raw := range all {
		kind, endpoint, _ := strings.Cut(field, ":")
		var f struct {
			Count                              int
			First, Last                        int64
			Class, Text, Hostname, Correlation string
		}
		if err := json.Unmarshal([]byte(raw), &f); err != nil {
			f.Text = "The record of this failure can't be read."
		}
		out = append(out, action.Failure{
			TenantID: tenant, EndpointID: endpoint, Hostname: f.Hostname, Kind: kind, Class: action.Class(f.Class), Count: f.Count,
			FirstAt: time.UnixMilli(f.First).UTC(), LastAt: time.UnixMilli(f.Last).UTC(), Text: f.Text, CorrelationID: f.Correlation,
		})
	}
	slices.SortFunc(out, func(a, b action.Failure) int {
		return cmp.Or(a.FirstAt.Compare(b.FirstAt), cmp.Compare(a.EndpointID, b.EndpointID), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// AckFailure implements action.Books.
func (s *Store) AckFailure(ctx context.Context, dev action.Ref, by, note, requestID string) (bool, error) {
	e, err := entry(action.Mark{Dev: dev, Action: "failure-ack", Outcome: "acknowledged", By: by, RequestID: requestID}, map[string]any{"note": note})
	if err != nil {
		return false, err
	}
	r, err := s.run(ctx, call{script: "ack", dev: dev, entry: e})
	return r.Gone > 0, err
}

// Audit implements action.Books: each entry as one JSON object.
func (s *Store) Audit(ctx context.Context, since time.Time, tenantID, endpointID string) iter.Seq2[[]byte, error] {
	of := func(tenant string) iter.Seq2[[]byte, error] { return s.auditOf(ctx, tenant, since, endpointID) }
	if tenantID != "" {
		return of(tenantID)
	}
	return eachTenant(ctx, s, of)
}

// auditOf yields one tenant's entries. They are chained as the exporter chains
// them, so that a reader may hold one against the other.
func (s *Store) auditOf(ctx context.Context, tenant string, since time.Time, endpointID string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		base, _, err := s.start(ctx, tenant)
		if err != nil {
			yield(nil, err)
			return
		}
		for c, err := range s.chain(ctx, tenant, base) {
			if err != nil {
				yield(nil, err)
				return
			}
			if c.when.Before(since) || (endpointID != "" && c.endpoint != endpointID) {
				continue
			}
			if !yield(c.line, nil) {
				return
			}
		}
	}
}

// auditEntry makes the JSON of one entry: its number and time, then the rest.
func auditEntry(m redis.XMessage) (entry []byte, seq int64, when time.Time, endpoint string) {
	ms, _ := m.Values["at"].(string)
	e, _ := m.Values["e"].(string)
	number, _, _ := strings.Cut(m.ID, "-")
	seq, _ = strconv.ParseInt(number, 10, 64)
	when = at(ms)
	var named struct{ EndpointID string }
	if json.Unmarshal([]byte(e), &named) != nil || len(e) < 3 {
		e = `{"outcome":"unreadable"}`
	}
	head := fmt.Sprintf(`{"seq":%d,"at":%q,`, seq, when.Format(auditTime))
	return append([]byte(head), e[1:]...), seq, when, named.EndpointID
}

// auditTime is the form of an entry's time: to the millisecond, as it is kept.
const auditTime = "2006-01-02T15:04:05.000Z07:00"

// Decisions implements action.Books: the latest decision of each device, as JSON
// with the device and the time.
func (s *Store) Decisions(ctx context.Context, since time.Time) iter.Seq2[[]byte, error] {
	return each(ctx, s, keyDecided, since, s.decisionPage)
}

// decisionPage reads the latest decisions of a page of devices.
func (s *Store) decisionPage(ctx context.Context, tenant string, rows []redis.Z) ([][]byte, error) {
	fields := make([]string, len(rows))
	for i, z := range rows {
		fields[i] = fmt.Sprint(z.Member)
	}
	all, err := s.rdb.HMGet(ctx, keyDecisions.of(tenant), fields...).Result()
	if err != nil {
		return nil, away(err)
	}
	var out [][]byte
	for i, v := range all {
		raw, _ := v.(string)
		if len(raw) < 2 {
			continue // aged out meanwhile
		}
		when := time.UnixMilli(int64(rows[i].Score)).UTC().Format(time.RFC3339)
		head := fmt.Sprintf(`{"tenantId":%q,"endpointId":%q,"at":%q,`, tenant, fields[i], when)
		out = append(out, append([]byte(head), raw[1:]...))
	}
	return out, nil
}

// DeviceRecord implements action.Books.
func (s *Store) DeviceRecord(ctx context.Context, dev action.Ref) (action.DeviceRecord, error) {
	st, err := s.Standing(ctx, dev, "")
	if err != nil {
		return action.DeviceRecord{}, err
	}
	pipe := s.rdb.Pipeline()
	all := pipe.HGetAll(ctx, keyFailures.of(dev.TenantID))
	decision := pipe.HGet(ctx, keyDecisions.of(dev.TenantID), dev.EndpointID)
	record := pipe.HGet(ctx, keyRecords.of(dev.TenantID), dev.EndpointID)
	device := pipe.HMGet(ctx, keyDevice.of(dev.TenantID, dev.EndpointID), "restoreBy", "state", "cameBackBy")
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return action.DeviceRecord{}, away(err)
	}
	out := action.DeviceRecord{TenantID: dev.TenantID, EndpointID: dev.EndpointID, Hostname: st.Hostname, State: st.State, Failures: []action.Failure{}}
	v := texts(device)
	if st.Hostname == "" && v[1] == "" && decision.Val() == "" {
		return action.DeviceRecord{}, action.ErrNotFound
	}
	out.TicketID, out.ByDirectory = st.OpenTicket, v[2] != ""
	if by := at(v[0]); !by.IsZero() {
		out.RestoreBy = &by
	}
	if !st.DeletedAt.IsZero() {
		out.DeletedAt = &st.DeletedAt
	}
	for _, f := range failures(dev.TenantID, all.Val()) {
		if f.EndpointID == dev.EndpointID {
			out.Failures = append(out.Failures, f)
		}
	}
	out.Decision, out.Record = jsonMap(decision.Val()), jsonMap(record.Val())
	return out, nil
}

// jsonMap reads a JSON object; nil for anything else.
func jsonMap(raw string) map[string]any {
	var m map[string]any
	if json.Unmarshal([]byte(raw), &m) != nil {
		return nil
	}
	return m
}

// DevicesNamed implements action.Books.
func (s *Store) DevicesNamed(ctx context.Context, hostname string) ([]action.DeviceRecord, error) {
	tenants, err := s.tenantIDs(ctx)
	if err != nil {
		return nil, err
	}
	out := []action.DeviceRecord{}
	for _, t := range tenants {
		ids, err := s.rdb.SMembers(ctx, keyHost.of(t, shortName(hostname))).Result()
		if err != nil {
			return nil, away(err)
		}
		slices.Sort(ids)
		for _, id := range ids {
			rec, err := s.DeviceRecord(ctx, action.Ref{TenantID: t, EndpointID: id})
			if errors.Is(err, action.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			out = append(out, rec)
		}
	}
	return out, nil
}
