package action

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/policy"
)

// defaultRetry is when to try again where nobody said when.
const defaultRetry = time.Minute

// refOf names the event's device; ok only where both ids could be read.
func refOf(e policy.Event) (Ref, bool) {
	ref := Ref{TenantID: e.Central.TenantID.Value, EndpointID: e.Central.ID.Value}
	return ref, e.Central.TenantID.Known() && e.Central.ID.Known()
}

// modeFor is the mode that holds for a tenant: live only where both the service
// and the policy say so.
func (r *Runner) modeFor(tenantID string, p policy.Params) string {
	if r.set.Mode == LiveMode && p.Live(tenantID) {
		return LiveMode
	}
	return DryRun
}

// standing reads the record of dev and holds the store against what tokens and
// this process know of it. In dry-run the store need not be trusted: nothing is
// deleted on it.
func (r *Runner) standing(ctx context.Context, dev Ref, mode string, c claims) (Standing, error) {
	was := r.seen.of(dev.TenantID)
	s, err := r.ledger.Standing(ctx, dev, c.ID)
	if err != nil {
		return Standing{}, err
	}
	return r.trusted(ctx, s, dev, mode, c, was)
}

// trusted holds a record that was read against what the token says, and what
// was known of the store and the tenant before the read.
func (r *Runner) trusted(ctx context.Context, s Standing, dev Ref, mode string, c claims, was Receipt) (Standing, error) {
	at := Receipt{Seq: s.Seq, Installation: s.Installation}
	rolledBack := behind(at, was) || behind(at, Receipt{Seq: c.Seq, Installation: c.Installation})
	switch foreign, err := r.foreign(ctx, s.Installation); {
	case err != nil:
		return Standing{}, err
	case mode != LiveMode:
		s.Unverified = ""
	case s.Unverified != "":
	case foreign:
		s.Unverified = "its mark is not the one that it had when this process began: if that is meant, restart the service; " +
			"else point ROLLCALL_REDIS_URL to the right store, or run `rollcall state restore --audit FILE`"
	case rolledBack:
		// What is refused now must not let the sequence catch up.
		s.Unverified = "its audit sequence is lower than one that was already handed out, so it was rolled back: " +
			"run `rollcall state restore --audit FILE`, or `rollcall state init --accept-rollback` to give up what it lost"
		if err := r.ledger.Distrust(ctx, dev.TenantID, s.Unverified); err != nil {
			return Standing{}, err
		}
	}
	if !rolledBack {
		r.seen.saw(dev.TenantID, at)
	}
	return s, nil
}

// foreign reports whether the store bears another mark than the one that this
// process first saw, and that an operator did not put there for the same store.
func (r *Runner) foreign(ctx context.Context, installation string) (bool, error) {
	known := r.seen.installation(installation)
	if installation == "" || known == installation {
		return false, nil
	}
	follows, err := r.ledger.Follows(ctx, installation, known)
	if err != nil || !follows {
		return true, err
	}
	r.seen.adopt(installation)
	return false, nil
}

// look reads the device live. A limit or an outage of Central's is no failure of
// this device, so it never counts towards its third.
func (r *Runner) look(ctx context.Context, dev Ref, p policy.Params, ask Ask) (policy.Live, *Trouble) {
	live, trouble := r.central.Look(ctx, dev, p.NewestWithin, ask)
	if trouble != nil {
		live.Own = live.Own || !counts(trouble)
		if live.Problem == "" {
			live.Problem = trouble.Text
		}
		live.RetryAfter = max(live.RetryAfter, trouble.RetryAfter)
	}
	return live, trouble
}

// lookBy is look for who may ask Central until a time only. Once that has passed
// it asks no more, and the action answers as one whose own time was up.
func (r *Runner) lookBy(ctx context.Context, by time.Time, dev Ref, p policy.Params, ask Ask) (policy.Live, *Trouble) {
	if by.IsZero() {
		return r.look(ctx, dev, p, ask)
	}
	ctx, cancel := context.WithDeadline(ctx, by)
	defer cancel()
	if ctx.Err() == nil {
		return r.look(ctx, dev, p, ask)
	}
	t := &Trouble{Class: Transient, Own: true, Text: "The time for reading the device was up before Central could be asked."}
	return policy.Live{Status: policy.LiveFailed, At: r.now(), Own: true, Problem: t.Text}, t
}

// counts reports whether a failed read says something about this device.
func counts(t *Trouble) bool { return !t.Own && !t.Limited && !t.Outage }

// verified fills in the part of a note that tells how the live read went.
func (r *Runner) verified(n *Note, live policy.Live, trouble *Trouble, p policy.Params) {
	n.Apart = p.Failures.Apart
	switch live.Status {
	case policy.LiveFound:
		// What the snapshot shows does not say that the device can be read now.
		n.Verified, n.Fleet, n.Within = !live.FromSnapshot, FleetHeard, p.NewestWithin
		if policy.Silent(live, p, r.now()) {
			n.Fleet = FleetSilent
		}
	case policy.LiveNotFound:
		n.Verified = true
	case policy.LiveFailed, policy.LiveUnread:
		if trouble == nil {
			trouble = &Trouble{Class: Transient, Text: live.Problem}
		}
		n.VerifyFailed, n.CountFailure = trouble, counts(trouble)
	case policy.LiveForeignTenant:
	}
}

// cameBack marks a note where Central shows a device that is recorded as deleted.
func (n *Note) cameBack(s Standing, live policy.Live) {
	if s.DeletedAt.IsZero() || !s.CameBackAt.IsZero() || live.Status != policy.LiveFound {
		return
	}
	n.CameBack = true
	n.Why = "It was deleted at " + stamp(s.DeletedAt) + " and Central has it again: it is probably in use and unprotected." + deadline(s)
}

// deadline is until when Central can restore a deleted device.
func deadline(s Standing) string {
	if s.RestoreBy.IsZero() {
		return ""
	}
	return " Central can restore it until " + stamp(s.RestoreBy) + "."
}

// reenabled marks a note where the directory has enabled the account of a device
// again that was deleted as retired: somebody probably uses it, unprotected.
func (n *Note) reenabled(s *Standing, e policy.Event, now time.Time) {
	enabled := e.Directory.Enabled
	if n.CameBack || s.DeletedAt.IsZero() || !s.CameBackAt.IsZero() || now.Sub(s.DeletedAt) > restoreFor || !enabled.Known() || !enabled.Value {
		return
	}
	if at := e.ObservedAt; at.Known() && at.Value.Before(s.DeletedAt) {
		return // what the directory said before the delete
	}
	n.CameBack, n.ByDirectory = true, true
	n.Why = "It was deleted at " + stamp(s.DeletedAt) + " and its account in the directory is enabled again: it is probably in use and unprotected." + deadline(*s)
	s.CameBackAt = now
}

// bookTime bounds the writing down of what has happened, where nothing else was set.
const bookTime = 2 * time.Second

// bookkeeping is the context in which a step is written down: it outlives the
// caller's, which may have been spent on Central or given up.
func (r *Runner) bookkeeping(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), r.set.BookTime)
}

// note records a step, whatever has become of the caller's time, and remembers
// the sequence that it got. A store that can't be trusted is not written to: what
// stood there would be written over when it is mended. Such an answer is in the
// log alone, and its tokens say nothing.
func (r *Runner) note(ctx context.Context, st Standing, n Note) (Receipt, error) {
	if st.Unverified != "" {
		return Receipt{}, nil
	}
	ctx, cancel := r.bookkeeping(ctx)
	defer cancel()
	at, err := r.ledger.Note(ctx, n)
	if errors.Is(err, ErrUntrusted) {
		return Receipt{}, nil
	}
	if err == nil {
		r.seen.saw(n.Dev.TenantID, at)
	}
	return at, err
}
