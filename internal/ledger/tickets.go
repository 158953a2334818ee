package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// OpenTicket implements action.Tickets. The id is claimed before the tenant's
// record is written; a claim without a record is a fault half-way, which the next
// call for the same or another device settles.
func (s *Store) OpenTicket(ctx context.Context, o action.Opening) (action.TicketStep, error) {
	// The claim is of the index's clock, and the script goes by the tenant's: it is
	// told when the claim was made by its own, or a little before.
	now, err := s.clock(ctx, keyMeta.of(o.Dev.TenantID))
	if err != nil {
		return action.TicketStep{}, err
	}
	old, free, err := s.claim(ctx, o.TicketID, o.Dev)
	if err != nil || !free {
		return action.TicketStep{Outcome: "conflict"}, err
	}
	e, err := entry(o.Mark, map[string]any{
		"ticketId": o.TicketID, "openedBy": o.OpenedBy, "ticketSystem": o.TicketSystem, "ticketUrl": o.TicketURL, "twoPersons": o.TwoPersons,
	})
	if err != nil {
		return action.TicketStep{}, err
	}
	two := ""
	if o.TwoPersons {
		two = "1"
	}
	r, err := s.run(ctx, call{script: "open", dev: o.Dev, ticketID: o.TicketID, entry: e, stored: string(o.Claims), args: args{
		"hostname": o.Hostname, "ticket": o.TicketID, "openedBy": o.OpenedBy, "openedKey": o.By, "token": o.TokenID, "seq": o.Seq,
		"system": o.TicketSystem, "url": o.TicketURL, "two": two,
		"claimed": now.Add(-old).UnixMilli(), "fresh": claimFresh.Milliseconds(),
	}})
	switch {
	case err != nil:
		return action.TicketStep{}, err
	case r.Outcome == "stale":
		return action.TicketStep{}, away(errStale)
	case r.Outcome == "conflict":
		return action.TicketStep{Outcome: r.Outcome}, s.repoint(ctx, o.TicketID, o.Dev.TenantID)
	}
	return s.stepped(ctx, r, o.Dev.TenantID, r.Ticket)
}

// claimFresh is how long a claim without a record is another call's, that is at
// work on it; later it is a fault half-way, and its caller may no longer write.
const claimFresh = 30 * time.Second

// errStale is the claim of a caller that slept too long; the next call begins anew.
var errStale = errors.New("the claim of the ticket id has run out")

// claim leads a ticket id to a device and says for how long it has. It is not free
// while it leads to another device that has a ticket of that id, or is about to.
func (s *Store) claim(ctx context.Context, ticketID string, dev action.Ref) (old time.Duration, free bool, err error) {
	now, err := s.clock(ctx, indexKey(ticketID))
	if err != nil {
		return 0, false, err
	}
	mine := dev.TenantID + "|" + dev.EndpointID + "|"
	want := mine + strconv.FormatInt(now.UnixMilli(), 10)
	has, err := s.rdb.SetArgs(ctx, indexKey(ticketID), want, redis.SetArgs{Mode: "NX", Get: true}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return 0, true, nil
	case err != nil:
		return 0, false, away(err)
	}
	tenant, endpoint, since := indexed(has)
	if own := strings.HasPrefix(has, mine); own && now.Sub(since) < claimFresh/2 {
		return now.Sub(since), true, nil
	} else if !own {
		t, err := s.ticket(ctx, tenant, ticketID)
		switch {
		case err != nil && !errors.Is(err, action.ErrNotFound):
			return 0, false, err
		case err == nil && t.EndpointID == endpoint, now.Sub(since) < claimFresh:
			return 0, false, nil // once a device's, always that device's
		}
	}
	took, err := s.scripts["retake"].Run(ctx, s.rdb, []string{indexKey(ticketID)}, has, want).Int()
	if err == nil && took == 0 {
		err = errStale // another call was quicker
	}
	return 0, err == nil, away(err)
}

// repoint leads a ticket id back to the device that has its record.
func (s *Store) repoint(ctx context.Context, ticketID, tenantID string) error {
	t, err := s.ticket(ctx, tenantID, ticketID)
	if err != nil {
		return err
	}
	has, err := s.rdb.Get(ctx, indexKey(ticketID)).Result()
	if err != nil {
		return away(err)
	}
	want := tenantID + "|" + t.EndpointID + "|" + strconv.FormatInt(t.OpenedAt.UnixMilli(), 10)
	return away(s.scripts["retake"].Run(ctx, s.rdb, []string{indexKey(ticketID)}, has, want).Err())
}

// indexed reads an entry of the ticket index.
func indexed(entry string) (tenant, endpoint string, since time.Time) {
	tenant, rest, _ := strings.Cut(entry, "|")
	endpoint, ms, _ := strings.Cut(rest, "|")
	return tenant, endpoint, at(ms)
}

// CloseTicket implements action.Tickets.
func (s *Store) CloseTicket(ctx context.Context, c action.Closing) (action.TicketStep, error) {
	e, err := entry(c.Mark, map[string]any{
		"ticketId": c.TicketID, "decision": c.Decision, "decidedBy": c.DecidedBy, "note": c.Note, "keep": c.Keep,
	})
	if err != nil {
		return action.TicketStep{}, err
	}
	a := args{
		"hostname": c.Hostname, "ticket": c.TicketID, "decision": c.Decision, "decidedBy": c.DecidedBy,
		"openedBy": c.OpenedBy, "samePerson": c.SamePerson, "note": c.Note, "ticketState": c.TicketState, "mayChange": c.MayChange, "approval": c.ApprovalID,
		"approvalTTL": c.ApprovalTTL.Milliseconds(), "keep": "", "keepUntil": 0,
	}
	if c.Keep != nil {
		keep, err := json.Marshal(c.Keep)
		if err != nil {
			return action.TicketStep{}, fmt.Errorf("keep: %w", err)
		}
		a["keep"], a["keepUntil"] = string(keep), c.Keep.Until.UnixMilli()
	}
	r, err := s.run(ctx, call{script: "close", dev: c.Dev, ticketID: c.TicketID, entry: e, args: a})
	if err != nil {
		return action.TicketStep{}, err
	}
	return s.stepped(ctx, r, c.Dev.TenantID, c.TicketID)
}

// stepped makes the answer of a ticket's script, with the ticket as it stands.
func (s *Store) stepped(ctx context.Context, r reply, tenantID, ticketID string) (action.TicketStep, error) {
	step := action.TicketStep{Receipt: r.receipt(), Outcome: r.Outcome, Code: policy.Code(r.Code)}
	if ticketID == "" || r.Outcome == "not_found" {
		return step, nil
	}
	var err error
	step.Ticket, err = s.ticket(ctx, tenantID, ticketID)
	return step, err
}

// Ticket implements action.Tickets: the index leads to the record.
func (s *Store) Ticket(ctx context.Context, ticketID string) (action.Ticket, error) {
	has, err := s.rdb.Get(ctx, indexKey(ticketID)).Result()
	if errors.Is(err, redis.Nil) {
		return action.Ticket{}, action.ErrNotFound
	}
	if err != nil {
		return action.Ticket{}, away(err)
	}
	tenant, endpoint, _ := indexed(has)
	t, err := s.ticket(ctx, tenant, ticketID)
	if err == nil && t.EndpointID != endpoint {
		return action.Ticket{}, action.ErrNotFound
	}
	return t, err
}

// ticket reads a tenant's record of a ticket.
func (s *Store) ticket(ctx context.Context, tenantID, ticketID string) (action.Ticket, error) {
	h, err := s.rdb.HGetAll(ctx, keyTicket.of(tenantID, ticketID)).Result()
	if err != nil {
		return action.Ticket{}, away(err)
	}
	return ticketOf(tenantID, h)
}

// ticketOf makes a ticket of its hash.
func ticketOf(tenantID string, h map[string]string) (action.Ticket, error) {
	if h["id"] == "" {
		return action.Ticket{}, action.ErrNotFound
	}
	return action.Ticket{
		TicketID: h["id"], TenantID: tenantID, EndpointID: h["endpoint"], Hostname: h["hostname"], State: h["state"],
		OpenedAt: at(h["openedAt"]), ClosedAt: at(h["closedAt"]), Decision: h["decision"], OpenedBy: h["openedBy"], OpenedKey: h["openedKey"],
		DecidedBy: h["decidedBy"], TicketSystem: h["system"], TicketURL: h["url"], TicketState: h["ticketState"],
		Note: h["note"], TwoPersons: h["two"] == "1", Claims: []byte(h["claims"]), ApprovalID: h["approval"],
		ApprovalTill: at(h["approvalTill"]), ApprovalUsed: h["approvalUsed"] == "1",
	}, nil
}
