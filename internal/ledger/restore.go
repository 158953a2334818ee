package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Restored says what was rebuilt from audit lines.
type Restored struct {
	Tenants, Entries int
	Installation     string // of the store; a new one where it had no mark
}

// Restore rebuilds from audit lines what the store has lost: the states of
// devices, the sets, tickets, intents, limits' counters, switches, and the trail
// itself. All is checked before anything is written: a trail that has a gap, or
// that is not the continuation of what the store still has, is refused. It can be
// run again: what is there already is passed over. Approvals that were waiting
// are not rebuilt, nor are tokens and the latest decisions.
func (s *Store) Restore(ctx context.Context, a *AuditLines, by string) (Restored, error) {
	tenants := slices.Sorted(maps.Keys(a.trails))
	rest := make([][]*auditLine, len(tenants))
	var faults []error
	for i, t := range tenants {
		trail, err := a.trail(t)
		if err == nil {
			rest[i], err = s.missing(ctx, t, trail)
		}
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return Restored{}, err
	}
	out := Restored{Tenants: len(tenants)}
	var pause *auditLine
	for i, t := range tenants {
		for _, l := range rest[i] {
			if err := s.replay(ctx, l); err != nil {
				return out, err
			}
			out.Entries++
		}
		if err := s.exportedTo(ctx, t, rest[i]); err != nil {
			return out, err
		}
		pause = lastGlobal(pause, rest[i])
	}
	if err := s.globalAgain(ctx, pause); err != nil {
		return out, err
	}
	var err error
	if out.Installation, _, err = s.InitMark(ctx); err != nil {
		return out, err
	}
	return out, s.tell(ctx, tenants, action.Mark{Action: "state-restore", Outcome: "restored", By: by}, map[string]any{"installation": out.Installation})
}

// missing is what a trail has beyond the store's own. The store's last entry must
// be in it, or be the one right before it.
func (s *Store) missing(ctx context.Context, tenant string, trail []*auditLine) ([]*auditLine, error) {
	base, _, err := s.start(ctx, tenant)
	if err != nil {
		return nil, err
	}
	at := base
	for c, err := range s.chain(ctx, tenant, base) {
		if err != nil {
			return nil, err
		}
		at = c.place
	}
	if first := trail[0]; first.Seq > at.seq+1 {
		return nil, first.broken(fmt.Sprintf("comes first, and the store ends at %d: what is between is missing", at.seq))
	}
	for i, l := range trail {
		switch {
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
	TwoPersons, Global                                                                                bool
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
		"keep": "", "keepUntil": 0,
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
	entry := dev.TenantID + "|" + dev.EndpointID + "|" + strconv.FormatInt(l.At.UnixMilli(), 10)
	return away(s.rdb.SetNX(ctx, indexKey(e.TicketID), entry, 0).Err())
}

// exportedTo notes that the lines were exported: they came from there.
func (s *Store) exportedTo(ctx context.Context, tenant string, lines []*auditLine) error {
	if len(lines) == 0 {
		return nil
	}
	last := lines[len(lines)-1]
	return away(s.rdb.HSet(ctx, chainKey(tenant), "seq", last.Seq, "digest", last.Digest).Err())
}

// lastGlobal is the latest entry on the global switch.
func lastGlobal(was *auditLine, lines []*auditLine) *auditLine {
	for _, l := range lines {
		var e replayed
		if json.Unmarshal(l.entry, &e) != nil || !e.Global || e.Action == "circuit-reset" {
			continue
		}
		if was == nil || l.At.After(was.At) {
			was = l
		}
	}
	return was
}

// globalAgain throws the global switch as it stood last.
func (s *Store) globalAgain(ctx context.Context, l *auditLine) error {
	if l == nil {
		return nil
	}
	var e replayed
	if err := json.Unmarshal(l.entry, &e); err != nil {
		return err
	}
	if e.Action == "pause" {
		return away(s.rdb.HSet(ctx, keyPause, "paused", reasonOf(e.Reason), "pausedBy", e.By).Err())
	}
	return away(s.rdb.Del(ctx, keyPause).Err())
}

// tell puts an entry about the store itself into the trails of tenants.
func (s *Store) tell(ctx context.Context, tenants []string, m action.Mark, more map[string]any) error {
	for _, t := range tenants {
		m.Dev = action.Ref{TenantID: t}
		e, err := entry(m, more)
		if err != nil {
			return err
		}
		if _, err := s.run(ctx, "switch", m.Dev, "", args{"what": "", "entry": e}); err != nil {
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
	id := newMark()
	_, err = s.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, keyMark, id, 0)
		p.Set(ctx, keyMarkBefore, was, 0)
		return nil
	})
	if err != nil {
		return "", away(err)
	}
	return id, s.tell(ctx, tenants, action.Mark{Action: actionInit, Outcome: rollbackAccepted, By: by}, map[string]any{"installation": id})
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
