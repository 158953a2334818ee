package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Restored says what was rebuilt from audit lines.
type Restored struct {
	Tenants, Entries int
	Installation     string    // of the store; a new one where it had no mark
	Until            time.Time // of the newest line: what was done later is not rebuilt
}

// Restore rebuilds from audit lines what the store has lost: the states of
// devices, the sets, tickets, intents, limits' counters, switches, and the trail
// itself. All is checked before anything is written: a trail that has a gap, or
// that is not the continuation of what the store still has, is refused, and so is
// one with entries that were given up, unless giveUp says to leave them out. While
// it runs the store has no mark, so that nobody trusts what is half there; it can
// be run again, and passes over what is there already. Approvals that were
// waiting are not rebuilt, nor are tokens and the latest decisions.
func (s *Store) Restore(ctx context.Context, a *AuditLines, by string, giveUp bool) (Restored, error) {
	report, err := a.Check()
	switch {
	case err != nil:
		return Restored{}, err
	case len(report.GivenUp) > 0 && !giveUp:
		return Restored{}, fmt.Errorf("the lines hold entries that were given up; look at them, and say --accept-rollback to leave them out:\n%s",
			strings.Join(report.GivenUp, "\n"))
	}
	trails, err := s.comparing(ctx, a)
	if err != nil {
		return Restored{}, err
	}
	mark, err := s.rdb.GetDel(ctx, keyMark).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return Restored{}, away(err)
	}
	out := Restored{Tenants: len(trails), Installation: mark, Until: newest(trails)}
	if out.Entries, err = s.replayAll(ctx, trails); err != nil {
		return out, err
	}
	return s.trustAgain(ctx, out, trails, by)
}

// restoring is a tenant's trail, and what of it the store lacks.
type restoring struct {
	tenant      string
	whole, rest []*auditLine
}

// comparing holds every trail against the store.
func (s *Store) comparing(ctx context.Context, a *AuditLines) ([]restoring, error) {
	var out []restoring
	var faults []error
	for _, t := range slices.Sorted(maps.Keys(a.trails)) {
		whole, _, err := a.trail(t)
		r := restoring{tenant: t, whole: whole}
		if err == nil {
			r.rest, err = s.missing(ctx, t, whole)
		}
		out, faults = append(out, r), append(faults, err)
	}
	return out, errors.Join(faults...)
}

// newest is the time of the newest line.
func newest(trails []restoring) (at time.Time) {
	for _, r := range trails {
		if last := r.whole[len(r.whole)-1]; last.At.After(at) {
			at = last.At
		}
	}
	return at
}

// replayAll lets what is missing take effect, tenant by tenant. The global switch
// comes first: until all is there it must hold, if it held.
func (s *Store) replayAll(ctx context.Context, trails []restoring) (entries int, err error) {
	if err := s.globalAgain(ctx, trails); err != nil {
		return 0, err
	}
	for _, r := range trails {
		for _, l := range r.rest {
			if err := s.replay(ctx, l); err != nil {
				return entries, err
			}
			entries++
		}
		if err := s.settledDown(ctx, r); err != nil {
			return entries, err
		}
	}
	return entries, nil
}

// settledDown ends a tenant's restore: its ramp begins anew, and its lines were
// exported, for they came from there.
func (s *Store) settledDown(ctx context.Context, r restoring) error {
	pipe := s.rdb.Pipeline()
	pipe.HSet(ctx, metaKey(r.tenant), "level", 0, "clean", 0)
	pipe.HDel(ctx, metaKey(r.tenant), "lastOk")
	if len(r.rest) > 0 {
		last := r.rest[len(r.rest)-1]
		pipe.HSet(ctx, chainKey(r.tenant), "seq", last.Seq, "digest", last.Digest)
	}
	_, err := pipe.Exec(ctx)
	return away(err)
}

// trustAgain puts the restore on record and gives the store its mark back, or a
// new one.
func (s *Store) trustAgain(ctx context.Context, out Restored, trails []restoring, by string) (Restored, error) {
	if out.Installation == "" {
		out.Installation = newMark()
	}
	tenants := make([]string, len(trails))
	for i, r := range trails {
		tenants[i] = r.tenant
	}
	m := action.Mark{Action: actionRestore, Outcome: restored, By: by}
	if err := s.tell(ctx, tenants, m, "trust", map[string]any{"installation": out.Installation}); err != nil {
		return out, err
	}
	return out, away(s.rdb.Set(ctx, keyMark, out.Installation, 0).Err())
}

// missing is what a trail has beyond the store's own. The store's last entry must
// be in it, or be the one right before it.
func (s *Store) missing(ctx context.Context, tenant string, trail []*auditLine) ([]*auditLine, error) {
	base, _, err := s.start(ctx, tenant)
	if err != nil {
		return nil, err
	}
	at := base
	told := 0 // entries at the end that tell of restores: those are in no file yet
	for c, err := range s.chain(ctx, tenant, base) {
		switch {
		case err != nil:
			return nil, err
		case bytes.Contains(c.line, []byte(`"action":"`+actionRestore+`"`)):
			told++
			continue
		}
		at, told = c.place, 0
	}
	if first := trail[0]; first.Seq > at.seq+1 {
		return nil, first.broken(fmt.Sprintf("comes first, and the store ends at %d: what is between is missing", at.seq))
	}
	for i, l := range trail {
		switch {
		case l.Seq == at.seq+1 && l.Prev == at.digest && told > 0:
			return nil, &BrokenLink{TenantID: tenant, Seq: at.seq + 1, Why: "of the store tells of a restore, and the lines go on otherwise. " +
				"Restore into an empty Redis"}
		case l.Seq == at.seq+1 && l.Prev == at.digest:
			return trail[i:], nil
		case l.Seq == at.seq && l.Digest == at.digest:
			return trail[i+1:], nil
		}
	}
	return nil, &BrokenLink{TenantID: tenant, Seq: at.seq, Why: "of the store is not in these lines: it has a trail of its own. " +
		"Stop the service, and restore into an empty Redis"}
}

// replayed is an entry as far as its effect goes.
type replayed struct {
	Action, Outcome, EndpointID, Hostname, TokenID, TicketID, SettleAfter, Settled, Failure           string
	OpenedBy, TicketSystem, TicketURL, Decision, DecidedBy, Note, Reason, By, CameBack, CircuitOpened string
	TwoPersons, Global, Eligible, ByDirectory                                                         bool
	SilentSince, SilentUntil                                                                          string
	RestoreBy                                                                                         time.Time
	Keep                                                                                              *policy.KeepUntil
	Record                                                                                            json.RawMessage
}

// what names an entry's effect; empty for one that only tells.
func (e replayed) what() string {
	switch {
	case e.Outcome == "intent":
		return "intent"
	case e.Settled != "":
		return "settled"
	case e.Action == "ticket-open" && e.Outcome == "opened":
		return "opened"
	case e.Action == "ticket-close" && (e.Outcome == "closed" || e.Outcome == "changed"):
		return "closed"
	case e.Action == "circuit-reset", e.Action == "failure-ack", !e.Global && (e.Action == "pause" || e.Action == "resume"):
		return e.Action
	}
	return "" // the global switch among them, which lies in a key of its own
}

// replay lets one entry take effect.
func (s *Store) replay(ctx context.Context, l *auditLine) error {
	var e replayed
	if err := json.Unmarshal(l.entry, &e); err != nil {
		return l.broken("can't be understood: " + err.Error())
	}
	a := args{
		"entry": string(l.entry), "seq": l.Seq, "at": l.At.UnixMilli(), "what": e.what(), "hostname": e.Hostname, "token": e.TokenID,
		"ticket": e.TicketID, "as": e.Settled, "failure": e.Failure, "openedBy": e.OpenedBy, "opener": person(e.OpenedBy),
		"system": e.TicketSystem, "url": e.TicketURL, "two": "", "decision": e.Decision, "decidedBy": e.DecidedBy, "note": e.Note,
		"reason": reasonOf(e.Reason), "by": e.By, "cameBack": e.CameBack, "circuit": e.CircuitOpened, "restoreBy": 0, "settle": 0,
		"keep": "", "keepUntil": 0, "trust": true, "eligible": e.Eligible, "byDirectory": e.ByDirectory,
		"silentSince": e.SilentSince, "silentUntil": e.SilentUntil,
	}
	if e.TwoPersons {
		a["two"] = "1"
	}
	if !e.RestoreBy.IsZero() {
		a["restoreBy"] = e.RestoreBy.UnixMilli()
	}
	if d, err := time.ParseDuration(e.SettleAfter); err == nil {
		a["settle"] = d.Milliseconds()
	}
	if len(e.Record) > 4 { // more than null
		a["stored"] = string(e.Record)
	}
	if e.Keep != nil {
		keep, err := json.Marshal(e.Keep)
		if err != nil {
			return fmt.Errorf("keep: %w", err)
		}
		a["keep"], a["keepUntil"] = string(keep), e.Keep.Until.UnixMilli()
	}
	return s.replayed(ctx, l, e, a)
}

// replayed runs the script, and leads the ticket's id to its device again.
func (s *Store) replayed(ctx context.Context, l *auditLine, e replayed, a args) error {
	dev := action.Ref{TenantID: l.TenantID, EndpointID: e.EndpointID}
	r, err := s.run(ctx, "replay", dev, e.TicketID, a)
	switch {
	case err != nil:
		return err
	case r.Code != "":
		return l.broken("does not follow what the store has now: something else writes into it; stop the service first")
	case e.what() != "opened":
		return nil
	}
	return s.leadTo(ctx, e.TicketID, dev, l.At)
}

// leadTo leads a ticket's id to its device, unless it leads to one that took it
// later: an id that had aged out may have been used again.
func (s *Store) leadTo(ctx context.Context, ticketID string, dev action.Ref, at time.Time) error {
	has, err := s.rdb.Get(ctx, indexKey(ticketID)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return away(err)
	}
	if _, _, since := indexed(has); since.After(at) {
		return nil
	}
	entry := dev.TenantID + "|" + dev.EndpointID + "|" + strconv.FormatInt(at.UnixMilli(), 10)
	return away(s.rdb.Set(ctx, indexKey(ticketID), entry, 0).Err())
}

// globalAgain throws the global switch where it was on last. One that is on stays:
// whoever threw it on what is left of the store meant it.
func (s *Store) globalAgain(ctx context.Context, trails []restoring) error {
	var on replayed
	var since time.Time
	for _, r := range trails {
		for _, l := range r.whole {
			var e replayed
			if err := json.Unmarshal(l.entry, &e); err != nil {
				return l.broken("can't be understood: " + err.Error())
			}
			if e.Global && e.Action != "circuit-reset" && !l.At.Before(since) {
				on, since = e, l.At
			}
		}
	}
	if on.Action != "pause" {
		return nil
	}
	pipe := s.rdb.Pipeline()
	pipe.HSetNX(ctx, keyPause, "paused", reasonOf(on.Reason))
	pipe.HSetNX(ctx, keyPause, "pausedBy", on.By)
	_, err := pipe.Exec(ctx)
	return away(err)
}

// tell puts an entry about the store itself into the trails of tenants.
func (s *Store) tell(ctx context.Context, tenants []string, m action.Mark, what string, more map[string]any) error {
	for _, t := range tenants {
		m.Dev = action.Ref{TenantID: t}
		e, err := entry(m, more)
		if err != nil {
			return err
		}
		if _, err := s.run(ctx, "switch", m.Dev, "", args{"trust": true, "what": what, "entry": e}); err != nil {
			return err
		}
	}
	return nil
}

// AcceptRollback begins a new installation: what the store lost is given up, and
// tokens that were sealed before say nothing any more. It is put on record in
// every trail, from where their numbers go on. A process that knew the installation
// before learns that this one follows it.
func (s *Store) AcceptRollback(ctx context.Context, by string) (string, error) {
	was, err := s.Mark(ctx)
	if err != nil {
		return "", err
	}
	tenants, err := s.tenantIDs(ctx)
	if err != nil {
		return "", err
	}
	// Without a mark nobody trusts what is half accepted.
	if err := s.rdb.Del(ctx, keyMark).Err(); err != nil {
		return "", away(err)
	}
	id := newMark()
	err = s.tell(ctx, tenants, action.Mark{Action: actionInit, Outcome: rollbackAccepted, By: by}, "trust", map[string]any{"installation": id})
	if err != nil {
		return "", err
	}
	_, err = s.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, keyMark, id, 0)
		p.Set(ctx, keyMarkBefore, was, 0)
		return nil
	})
	return id, away(err)
}

// Follows implements action.Ledger.
func (s *Store) Follows(ctx context.Context, installation, before string) (bool, error) {
	pipe := s.rdb.Pipeline()
	mark, was := pipe.Get(ctx, keyMark), pipe.Get(ctx, keyMarkBefore)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return false, away(err)
	}
	return mark.Val() == installation && was.Val() == before && before != "", nil
}
