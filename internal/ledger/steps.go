package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Standing implements action.Ledger in one round trip.
func (s *Store) Standing(ctx context.Context, dev action.Ref, tokenID string) (action.Standing, error) {
	pipe := s.rdb.Pipeline()
	r := s.asking(ctx, pipe, dev)
	_, _ = pipe.Exec(ctx) // each command's own error says more
	return r.standing(tokenID)
}

// Lease implements action.Deletes. What a pipeline asks is answered in order: the
// record is as it stands under the lease.
func (s *Store) Lease(ctx context.Context, dev action.Ref, owner string, ttl time.Duration, tokenID string) (action.Standing, bool, error) {
	pipe := s.rdb.Pipeline()
	took := pipe.SetNX(ctx, keyLease.of(dev.TenantID, dev.EndpointID), owner, ttl)
	if s.nodes.Cluster { // where a node may send one of them on to another: then it is answered last
		_, _ = pipe.Exec(ctx)
	}
	r := s.asking(ctx, pipe, dev)
	_, _ = pipe.Exec(ctx) // each command's own error says more
	if err := took.Err(); err != nil {
		return action.Standing{}, false, away(err)
	}
	st, err := r.standing(tokenID)
	if err != nil && took.Val() {
		_ = s.Release(ctx, dev, owner) // if that fails it runs out by itself
	}
	return st, took.Val() && err == nil, err
}

// reading is the record of a device on its way from Redis.
type reading struct {
	clock        moment
	device, meta *redis.MapStringStringCmd
	pause, mark  *redis.StringCmd
	lease        *redis.IntCmd
}

// asking asks for the record of a device.
func (s *Store) asking(ctx context.Context, pipe redis.Pipeliner, dev action.Ref) reading {
	return reading{
		clock:  s.askClock(ctx, pipe, keyMeta.of(dev.TenantID)),
		device: pipe.HGetAll(ctx, keyDevice.of(dev.TenantID, dev.EndpointID)),
		meta:   pipe.HGetAll(ctx, keyMeta.of(dev.TenantID)),
		pause:  pipe.HGet(ctx, keyPause, "paused"),
		mark:   pipe.Get(ctx, keyMark),
		lease:  pipe.Exists(ctx, keyLease.of(dev.TenantID, dev.EndpointID)),
	}
}

// standing makes the record of the answers; one that is missing spoils all.
func (r reading) standing(tokenID string) (action.Standing, error) {
	now, err := r.clock()
	if err != nil {
		return action.Standing{}, away(err)
	}
	for _, c := range []redis.Cmder{r.device, r.meta, r.lease, r.pause, r.mark} {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return action.Standing{}, away(err)
		}
	}
	st := read(r.device.Val(), now, tokenID)
	m := r.meta.Val()
	st.Seq, _ = strconv.ParseInt(m["seq"], 10, 64)
	st.Installation = r.mark.Val()
	if st.Installation == "" {
		st.Unverified = noMark
	} else if why := m["distrusted"]; why != "" {
		st.Unverified = why
	}
	if why, on := m["paused"]; on {
		st.Paused = reasonOf(why)
	} else if r.pause.Err() == nil {
		st.Paused = reasonOf(r.pause.Val())
	}
	st.SilentUntil = silentUntil(m, st.Now)
	st.InFlight = st.Intent != nil || r.lease.Val() > 0
	return st, nil
}

// noMark is why a store without a mark can't be trusted, and what to do.
const noMark = "it has no mark: it was flushed, or is not rollcall's; run `rollcall state restore --audit FILE`, or `rollcall state init` if it is new"

// silentUntil is when a fleet that fell silent may be believed again: after it was
// heard, as long as it was silent. While it is silent that moves along.
func silentUntil(meta map[string]string, now time.Time) time.Time {
	until := at(meta["silentUntil"])
	if since := at(meta["silentSince"]); !since.IsZero() && now.Add(now.Sub(since)).After(until) {
		until = now.Add(now.Sub(since))
	}
	return until
}

// read makes the standing of a device's hash. What time alone does to a state,
// the scripts do when they next run; here it is seen, not written.
func read(d map[string]string, now time.Time, tokenID string) action.Standing {
	st := action.Standing{Now: now, State: d["state"], Hostname: d["hostname"]}
	if st.State == "" {
		st.State = StateNone
	}
	st.DeletedAt, st.CameBackAt, st.RestoreBy = at(d["deletedAt"]), at(d["cameBackAt"]), at(d["restoreBy"])
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
	if n.Eligible {
		more["eligible"] = true
	}
	if n.ByDirectory {
		more["byDirectory"] = true
	}
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
	r, err := s.run(ctx, call{script: "note", dev: n.Dev, entry: e, stored: string(n.Decision), args: args{
		"hostname": n.Hostname, "verified": n.Verified, "failed": failed(n.VerifyFailed),
		"count": n.CountFailure, "apart": n.Apart.Milliseconds(), "cameBack": n.CameBack, "why": n.Why, "byDirectory": n.ByDirectory,
		"eligible": n.Eligible, "live": n.Mode == action.LiveMode, "fleet": string(n.Fleet), "within": n.Within.Milliseconds(),
	}})
	if err != nil {
		return action.Receipt{}, err
	}
	return r.receipt(), nil
}

// Release implements action.Deletes.
func (s *Store) Release(ctx context.Context, dev action.Ref, owner string) error {
	return away(s.scripts["release"].Run(ctx, s.rdb, []string{keyLease.of(dev.TenantID, dev.EndpointID)}, owner).Err())
}

// Paused implements action.Deletes.
func (s *Store) Paused(ctx context.Context, tenantID string) (string, error) {
	pipe := s.rdb.Pipeline()
	global, tenant := pipe.HGet(ctx, keyPause, "paused"), pipe.HGet(ctx, keyMeta.of(tenantID), "paused")
	_, _ = pipe.Exec(ctx) // each command's own error says more
	paused := ""
	for _, c := range []*redis.StringCmd{tenant, global} {
		switch err := c.Err(); {
		case err == nil:
			paused = reasonOf(c.Val())
		case !errors.Is(err, redis.Nil):
			return "", away(err)
		}
	}
	return paused, nil
}

// reasonOf is why a switch that is on is on: never empty, which would read as off.
func reasonOf(why string) string {
	if why == "" {
		return "paused"
	}
	return why
}

// Begin implements action.Deletes. The global switch and the mark lie in another
// slot than the tenant, so they are read right behind the script.
func (s *Store) Begin(ctx context.Context, in action.Intent) (action.Begun, error) {
	e, err := entry(in.Mark, map[string]any{
		"tokenId": in.TokenID, "ticketId": in.TicketID, "settleAfter": in.Settle.String(), "record": kept(in.Record),
	})
	if err != nil {
		return action.Begun{}, err
	}
	l := in.Limits
	r, err := s.run(ctx, call{script: "begin", dev: in.Dev, ticketID: in.TicketID, entry: e, stored: string(in.Record), args: args{
		"hostname": in.Hostname, "owner": in.Owner, "token": in.TokenID, "approval": in.ApprovalID,
		"ticket": in.TicketID, "seq": in.Seq, "perDay": l.PerDay, "cleanDays": l.CleanDays, "percent": l.PercentPerDay,
		"spacing": l.Spacing.Milliseconds(), "population": in.Population, "settle": in.Settle.Milliseconds(),
	}})
	if err != nil {
		return action.Begun{}, err
	}
	if r.Code == "" {
		if err := s.confirm(ctx, in, &r); err != nil {
			return action.Begun{}, err
		}
	}
	b := action.Begun{
		Receipt: r.receipt(), Code: policy.Code(r.Code), Text: r.Text, RetryAfter: time.Duration(r.Retry) * time.Millisecond,
	}
	if barred := r.barred(in); b.Code == "" && barred.Code != "" {
		m := in.Mark
		m.Outcome = "unsent"
		_, err := s.Settle(ctx, action.Settlement{Mark: m, Owner: in.Owner, TokenID: in.TokenID, TicketID: in.TicketID, As: action.SettleUnsent})
		return barred, err
	}
	return b, nil
}

// barred is what lies in other slots than the tenant and bars a delete all the
// same: no mark or another, and the global switch.
func (r reply) barred(in action.Intent) action.Begun {
	switch {
	case r.installation == "":
		return action.Begun{Code: policy.StateUnverified, Text: "The store can't be trusted: " + noMark + ".", RetryAfter: 5 * time.Minute}
	case in.Installation != "" && r.installation != in.Installation:
		return action.Begun{Code: policy.TokenExpired, Text: "The token was sealed for another installation of the store."}
	case r.paused != "":
		return action.Begun{Code: policy.KillSwitch, Text: "Deletes are paused: " + r.paused + ".", RetryAfter: 5 * time.Minute}
	}
	return action.Begun{}
}

// kept is a record as an audit entry holds it, in the one form in which entries
// can be chained; null for none, and for one that has no such form.
func kept(record []byte) json.RawMessage {
	v := jsontext.Value(slices.Clone(record))
	if len(record) == 0 || v.Canonicalize() != nil {
		return json.RawMessage("null")
	}
	return json.RawMessage(v)
}

// Settle implements action.Deletes.
func (s *Store) Settle(ctx context.Context, x action.Settlement) (action.Receipt, error) {
	more := map[string]any{"tokenId": x.TokenID, "ticketId": x.TicketID, "settled": string(x.As)}
	t := x.Trouble
	if t != nil {
		more["failure"] = t.Text
		if t.CorrelationID != "" {
			more["correlationId"] = t.CorrelationID
		}
	} else {
		t = &action.Trouble{Class: action.Ambiguous, Text: "The outcome of the DELETE is not known yet."}
	}
	restoreBy := int64(0)
	if !x.RestoreBy.IsZero() {
		restoreBy = x.RestoreBy.UnixMilli()
	}
	if x.As == action.SettleDeleted && restoreBy > 0 {
		more["restoreBy"] = x.RestoreBy.UTC().Format(auditTime)
	}
	e, err := entry(x.Mark, more)
	if err != nil {
		return action.Receipt{}, err
	}
	r, err := s.run(ctx, call{script: "settle", dev: x.Dev, ticketID: x.TicketID, entry: e, args: args{
		"hostname": x.Hostname, "token": x.TokenID, "owner": x.Owner, "as": string(x.As), "failed": failed(t),
		"ticket": x.TicketID, "text": t.Text, "restoreBy": restoreBy,
	}})
	if err != nil {
		return action.Receipt{}, err
	}
	return r.receipt(), nil
}

// Unsettled implements action.Deletes.
func (s *Store) Unsettled(ctx context.Context) ([]action.Ref, error) {
	tenants, err := s.tenantIDs(ctx)
	if err != nil {
		return nil, err
	}
	var out []action.Ref
	for _, t := range tenants {
		ids, err := s.rdb.ZRange(ctx, keyInflight.of(t), 0, -1).Result()
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

// Rest implements action.Ledger.
func (s *Store) Rest(ctx context.Context, task string, ttl time.Duration) error {
	return away(s.rdb.Set(ctx, turnKey(task), "1", ttl).Err())
}

// Distrust implements action.Ledger. The store may have forgotten that there is such
// a tenant, and whoever says what holds must come by it.
func (s *Store) Distrust(ctx context.Context, tenantID, why string) error {
	pipe := s.rdb.Pipeline()
	pipe.HSetNX(ctx, keyMeta.of(tenantID), "distrusted", why)
	pipe.SAdd(ctx, keyTenants, tenantID)
	_, err := pipe.Exec(ctx)
	return away(err)
}

// Park implements action.Ledger.
func (s *Store) Park(ctx context.Context, tenantID, digest string, b []byte, ttl time.Duration) error {
	return away(s.rdb.Set(ctx, keyParked.of(tenantID, digest), b, ttl).Err())
}

// Unpark implements action.Ledger.
func (s *Store) Unpark(ctx context.Context, tenantID, digest string) ([]byte, bool, error) {
	b, err := s.rdb.Get(ctx, keyParked.of(tenantID, digest)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	return b, err == nil, away(err)
}
