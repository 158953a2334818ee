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
	pipe.HSet(ctx, keyMeta.of(r.tenant), "level", 0, "clean", 0)
	pipe.HDel(ctx, keyMeta.of(r.tenant), "lastOk")
	if len(r.rest) > 0 {
		last := r.rest[len(r.rest)-1]
		pipe.HSet(ctx, keyChain.of(r.tenant), "seq", last.Seq, "digest", last.Digest)
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
			return nil, &BrokenLinkError{TenantID: tenant, Seq: at.seq + 1, Why: "of the store tells of a restore, and the lines go on otherwise. " +
				"Restore into an empty Redis"}
		case l.Seq == at.seq+1 && l.Prev == at.digest:
			return trail[i:], nil
		case l.Seq == at.seq && l.Digest == at.digest:
			return trail[i+1:], nil
		}
	}
	return nil, &BrokenLinkError{TenantID: tenant, Seq: at.seq, Why: "of the store is not in these lines: it has a trail of its own. " +
		"Stop the service, and restore into an empty Redis"}
}

// effect is an audit entry as far as its effect goes: under the names that the
// steps gave it when they wrote it, and those that the scripts added.
type effect struct {
	Action, Outcome      string
	EndpointID, Hostname string

	// Of an intent and its end.
	TokenID, SettleAfter string // how long the intent must be left alone, as a Go duration
	Settled, Failure     string
	Record               json.RawMessage
	RestoreBy            time.Time

	// Of a ticket.
	TicketID, TicketSystem, TicketURL string
	OpenedBy, DecidedBy               string
	Decision, Note                    string
	TwoPersons                        bool
	Keep                              *policy.KeepUntil

	// Of a switch.
	Reason, By string
	Global     bool

	// What a step found beside what it was for.
	CameBack                 string
	ByDirectory, Eligible    bool
	CircuitOpened            string
	SilentSince, SilentUntil string // milliseconds
}

// what names an entry's effect; empty for one that only tells.
func (e effect) what() string {
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

// args are what the script is told of it.
func (e effect) args(l *auditLine) (args, error) {
	a := args{
		"seq": l.Seq, "at": l.At.UnixMilli(), "what": e.what(), "hostname": e.Hostname, "token": e.TokenID,
		"ticket": e.TicketID, "as": e.Settled, "failure": e.Failure, "openedBy": e.OpenedBy, "openedKey": e.By,
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
	if e.Keep != nil {
		keep, err := json.Marshal(e.Keep)
		if err != nil {
			return nil, fmt.Errorf("keep: %w", err)
		}
		a["keep"], a["keepUntil"] = string(keep), e.Keep.Until.UnixMilli()
	}
	return a, nil
}

// effect reads what effect an entry has.
func (l *auditLine) effect() (e effect, err error) {
	if err := json.Unmarshal(l.entry, &e); err != nil {
		return effect{}, l.broken("can't be understood: " + err.Error())
	}
	return e, nil
}

// replay lets one entry take effect, and leads a ticket's id to its device again.
func (s *Store) replay(ctx context.Context, l *auditLine) error {
	e, err := l.effect()
	if err != nil {
		return err
	}
	dev := action.Ref{TenantID: l.TenantID, EndpointID: e.EndpointID}
	c := call{script: "replay", dev: dev, ticketID: e.TicketID, entry: string(l.entry)}
	if len(e.Record) > 4 { // more than null
		c.stored = string(e.Record)
	}
	if c.args, err = e.args(l); err != nil {
		return err
	}
	r, err := s.run(ctx, c)
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
	var on effect
	var since time.Time
	for _, r := range trails {
		for _, l := range r.whole {
			e, err := l.effect()
			if err != nil {
				return err
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
