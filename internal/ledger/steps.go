package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Standing implements action.Ledger in one round trip.
func (s *Store) Standing(ctx context.Context, dev action.Ref, tokenID string) (action.Standing, error) {
	pipe := s.rdb.Pipeline()
	clock := pipe.Time(ctx)
	device := pipe.HGetAll(ctx, deviceKey(dev.TenantID, dev.EndpointID))
	meta := pipe.HGetAll(ctx, metaKey(dev.TenantID))
	pause := pipe.HGet(ctx, keyPause, "paused")
	mark := pipe.Get(ctx, keyMark)
	lease := pipe.Exists(ctx, leaseKey(dev.TenantID, dev.EndpointID))
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return action.Standing{}, away(err)
	}
	for _, err := range []error{clock.Err(), device.Err(), meta.Err(), lease.Err()} {
		if err != nil {
			return action.Standing{}, away(err)
		}
	}
	st := read(device.Val(), clock.Val().Add(s.offset()), tokenID)
	m := meta.Val()
	st.Seq, _ = strconv.ParseInt(m["seq"], 10, 64)
	st.Installation = mark.Val()
	if st.Installation == "" {
		st.Unverified = "it has no mark: it was flushed, or is not rollcall's"
	}
	if why, on := m["paused"]; on {
		st.Paused = reasonOf(why)
	} else if pause.Err() == nil {
		st.Paused = reasonOf(pause.Val())
	}
	st.InFlight = st.Intent != nil || lease.Val() > 0
	return st, nil
}

// read makes the standing of a device's hash. What time alone does to a state,
// the scripts do when they next run; here it is seen, not written.
func read(d map[string]string, now time.Time, tokenID string) action.Standing {
	st := action.Standing{Now: now, State: d["state"], Hostname: d["hostname"]}
	if st.State == "" {
		st.State = StateNone
	}
	st.DeletedAt, st.CameBackAt = at(d["deletedAt"]), at(d["cameBackAt"])
	st.VerifyFails, _ = strconv.Atoi(d["vfails"])
	st.VerifyFailAt = at(d["vfailAt"])
	st.Undecided = st.State == StateUndecided
	switch st.State {
	case StateTicket:
		st.OpenTicket = d["ticket"]
	case StateApproved:
		if !now.Before(at(d["approvalTill"])) {
			st.State = StateNone
			break
		}
		st.ApprovalID = d["approval"]
	case StateKept:
		if !now.Before(at(d["keepUntil"])) {
			st.State = StateLapsed
		}
	case StateDeleting:
		st.Intent = &action.IntentState{
			TokenID: d["intentToken"], ApprovalID: d["intentApproval"],
			At: at(d["intentAt"]), SettleAfter: at(d["settleAfter"]),
		}
	}
	var keep policy.KeepUntil
	if k := d["keep"]; k != "" {
		if json.Unmarshal([]byte(k), &keep) != nil {
			keep = policy.KeepUntil{} // unreadable: lapsed, which is a person's matter
		}
		st.Keep = &keep
	}
	if raw, ok := d["spent:"+tokenID]; ok && tokenID != "" {
		st.Spent = spentOf(raw)
	}
	return st
}

// spentOf reads what became of a token's DELETE. What can't be read was spent.
func spentOf(raw string) *action.Spent {
	var was struct {
		Outcome, Text string
		At            int64
	}
	if json.Unmarshal([]byte(raw), &was) != nil {
		return &action.Spent{Outcome: "failed"}
	}
	return &action.Spent{Outcome: was.Outcome, Text: was.Text, At: time.UnixMilli(was.At)}
}

// receipt makes a receipt of a script's answer.
func (r reply) receipt() action.Receipt {
	return action.Receipt{Seq: r.Seq, Installation: r.installation, VerifyFails: r.Fails}
}

// Note implements action.Ledger.
func (s *Store) Note(ctx context.Context, n action.Note) (action.Receipt, error) {
	more := map[string]any{}
	if n.VerifyFailed != nil {
		more["failure"] = n.VerifyFailed.Text
		if n.VerifyFailed.CorrelationID != "" {
			more["correlationId"] = n.VerifyFailed.CorrelationID
		}
	}
	e, err := entry(n.Mark, more)
	if err != nil {
		return action.Receipt{}, err
	}
	r, err := s.run(ctx, "note", n.Dev, "", args{
		"entry": e, "hostname": n.Hostname, "verified": n.Verified, "failed": failed(n.VerifyFailed),
		"count": n.CountFailure, "apart": n.Apart.Milliseconds(), "stored": string(n.Decision), "cameBack": n.CameBack,
	})
	if err != nil {
		return action.Receipt{}, err
	}
	return r.receipt(), nil
}

// Lease implements action.Deletes.
func (s *Store) Lease(ctx context.Context, dev action.Ref, owner string, ttl time.Duration) (bool, error) {
	ok, err := s.rdb.SetNX(ctx, leaseKey(dev.TenantID, dev.EndpointID), owner, ttl).Result()
	return ok, away(err)
}

// Release implements action.Deletes.
func (s *Store) Release(ctx context.Context, dev action.Ref, owner string) error {
	return away(s.scripts["release"].Run(ctx, s.rdb, []string{leaseKey(dev.TenantID, dev.EndpointID)}, owner).Err())
}

// Paused implements action.Deletes.
func (s *Store) Paused(ctx context.Context, tenantID string) (string, error) {
	_, paused, err := s.gate(ctx, tenantID)
	return paused, err
}

// gate reads, in one round trip, what lies in other slots than the tenant and
// may bar a delete all the same: the mark, and why deletes are paused, globally
// or for the tenant. Each is empty where there is none.
func (s *Store) gate(ctx context.Context, tenantID string) (string, string, error) {
	pipe := s.rdb.Pipeline()
	id := pipe.Get(ctx, keyMark)
	global := pipe.HGet(ctx, keyPause, "paused")
	tenant := pipe.HGet(ctx, metaKey(tenantID), "paused")
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", "", away(err)
	}
	for _, c := range []*redis.StringCmd{id, global, tenant} {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return "", "", away(err)
		}
	}
	paused := ""
	for _, c := range []*redis.StringCmd{tenant, global} {
		if c.Err() == nil {
			paused = reasonOf(c.Val())
		}
	}
	return id.Val(), paused, nil
}

// reasonOf is why a switch that is on is on: never empty, which would read as off.
func reasonOf(why string) string {
	if why == "" {
		return "paused"
	}
	return why
}

// Begin implements action.Deletes. The global switch and the mark lie in other
// slots than the tenant, so they are read right before the script.
func (s *Store) Begin(ctx context.Context, in action.Intent) (action.Begun, error) {
	id, paused, err := s.gate(ctx, in.Dev.TenantID)
	if err != nil {
		return action.Begun{}, err
	}
	if id == "" {
		return action.Begun{Code: policy.StateUnverified, Text: "The store has no mark.", RetryAfter: 5 * time.Minute}, nil
	}
	if in.Installation != "" && id != in.Installation {
		return action.Begun{Code: policy.TokenExpired, Text: "The token was sealed for another installation of the store."}, nil
	}
	if paused != "" {
		return action.Begun{Code: policy.KillSwitch, Text: "Deletes are paused: " + paused + ".", RetryAfter: 5 * time.Minute}, nil
	}
	e, err := entry(in.Mark, map[string]any{"tokenId": in.TokenID, "ticketId": in.TicketID})
	if err != nil {
		return action.Begun{}, err
	}
	l := in.Limits
	r, err := s.run(ctx, "begin", in.Dev, in.TicketID, args{
		"entry": e, "hostname": in.Hostname, "owner": in.Owner, "token": in.TokenID, "approval": in.ApprovalID,
		"ticket": in.TicketID, "seq": in.Seq, "perDay": l.PerDay, "cleanDays": l.CleanDays, "percent": l.PercentPerDay,
		"spacing": l.Spacing.Milliseconds(), "population": in.Population, "settle": in.Settle.Milliseconds(),
		"stored": string(in.Record),
	})
	if err != nil {
		return action.Begun{}, err
	}
	return action.Begun{
		Receipt: action.Receipt{Seq: r.Seq, Installation: id}, Code: policy.Code(r.Code), Text: r.Text,
		RetryAfter: time.Duration(r.Retry) * time.Millisecond,
	}, nil
}

// Settle implements action.Deletes.
func (s *Store) Settle(ctx context.Context, x action.Settlement) (action.Receipt, error) {
	more := map[string]any{"tokenId": x.TokenID, "settled": string(x.As)}
	t := x.Trouble
	if t != nil {
		more["failure"] = t.Text
		if t.CorrelationID != "" {
			more["correlationId"] = t.CorrelationID
		}
	} else {
		t = &action.Trouble{Class: action.Ambiguous, Text: "The outcome of the DELETE is not known yet."}
	}
	if x.As == action.SettleDeleted && !x.RestoreBy.IsZero() {
		more["restoreBy"] = x.RestoreBy.UTC().Format(time.RFC3339)
	}
	e, err := entry(x.Mark, more)
	if err != nil {
		return action.Receipt{}, err
	}
	device, err := s.rdb.HGet(ctx, deviceKey(x.Dev.TenantID, x.Dev.EndpointID), "ticket").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return action.Receipt{}, away(err)
	}
	restoreBy := int64(0)
	if !x.RestoreBy.IsZero() {
		restoreBy = x.RestoreBy.UnixMilli()
	}
	r, err := s.run(ctx, "settle", x.Dev, device, args{
		"entry": e, "hostname": x.Hostname, "token": x.TokenID, "owner": x.Owner, "as": string(x.As), "failed": failed(t),
		"text": t.Text, "restoreBy": restoreBy,
	})
	if err != nil {
		return action.Receipt{}, err
	}
	return r.receipt(), nil
}

// Unsettled implements action.Deletes.
func (s *Store) Unsettled(ctx context.Context) ([]action.Ref, error) {
	tenants, err := s.rdb.SMembers(ctx, keyTenants).Result()
	if err != nil {
		return nil, away(err)
	}
	var out []action.Ref
	for _, t := range tenants {
		ids, err := s.rdb.ZRange(ctx, tenantKey(t, "inflight"), 0, -1).Result()
		if err != nil {
			return nil, away(err)
		}
		for _, id := range ids {
			out = append(out, action.Ref{TenantID: t, EndpointID: id})
		}
	}
	return out, nil
}

// Turn implements action.Ledger.
func (s *Store) Turn(ctx context.Context, task string, ttl time.Duration) (bool, error) {
	took, err := s.rdb.SetNX(ctx, turnKey(task), "1", ttl).Result()
	return took, away(err)
}

// Park implements action.Ledger.
func (s *Store) Park(ctx context.Context, tenantID, digest string, b []byte, ttl time.Duration) error {
	return away(s.rdb.Set(ctx, parkKey(tenantID, digest), b, ttl).Err())
}

// Unpark implements action.Ledger.
func (s *Store) Unpark(ctx context.Context, tenantID, digest string) ([]byte, bool, error) {
	b, err := s.rdb.Get(ctx, parkKey(tenantID, digest)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	return b, err == nil, away(err)
}
