package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/internal/policy"
)

// The times of the come-back watch.
const (
	// watchFor is how long after its delete a device is watched for: as long as
	// Central can restore it.
	watchFor = restoreFor
	// watchTurn is how long one process has a tenant to itself. A read that fails
	// is made again when it has run out, and one that takes longer than watchMost
	// is given up, so that no two read at once.
	watchTurn = 50 * time.Minute
	watchMost = 45 * time.Minute
	// watchRest is how long nobody reads a tenant again after a read that was
	// whole: it takes all devices that are in use, which Central's limits allow
	// once a day.
	watchRest = 23 * time.Hour
	// watchTraits is how many traits are looked up on the snapshot at once.
	watchTraits = 100
)

// Watch looks among the devices that Central has heard from for those that were
// deleted in the last 30 days: each that is found is put on record as come back,
// which opens its tenant's circuit. Call it about once an hour, in every replica:
// a tenant is read once a day by one of them, and again within the hour where its
// read failed; between, it is looked up on the tenant's snapshot, where there is a young
// one. Trouble in one tenant does not keep it from the others; the error
// tells of all, and is ErrState where the ledger did not answer.
func (r *Runner) Watch(ctx context.Context) error {
	lists, err := r.watchlists(ctx)
	if err != nil {
		return fmt.Errorf("come-back watch: %w", err)
	}
	var faults []error
	for _, w := range lists {
		if ctx.Err() != nil {
			return errors.Join(append(faults, ctx.Err())...)
		}
		if err := r.watch(ctx, w); err != nil {
			faults = append(faults, fmt.Errorf("come-back watch of tenant %s: %w", w.tenantID, err))
		}
	}
	return errors.Join(faults...)
}

// watchlists are the devices to be watched for, by tenant. A list that could not
// be read to its end is none: with it a whole read would count as done.
func (r *Runner) watchlists(ctx context.Context) ([]*watchlist, error) {
	var lists []*watchlist
	for g, err := range r.ledger.Gone(ctx, r.now().Add(-watchFor)) {
		if err != nil {
			return nil, err
		}
		if len(lists) == 0 || lists[len(lists)-1].tenantID != g.TenantID {
			lists = append(lists, newWatchlist(g.TenantID))
		}
		lists[len(lists)-1].add(g)
	}
	return lists, nil
}

// watch reads one tenant, if it is this process's turn, or looks at its snapshot.
func (r *Runner) watch(ctx context.Context, w *watchlist) error {
	task := "watch:" + w.tenantID
	mine, err := r.ledger.Turn(ctx, task, watchTurn)
	if err != nil {
		return err
	}
	if !mine {
		return r.watchSnapshot(ctx, w)
	}
	trouble := r.listen(ctx, w)
	fault := r.cameBack(ctx, w, trouble == nil)
	if trouble != nil {
		fault = errors.Join(errors.New(trouble.Text), fault)
	}
	if fault != nil {
		return fault
	}
	ctx, cancel := r.bookkeeping(ctx)
	defer cancel()
	return r.ledger.Rest(ctx, task, watchRest)
}

// listen hears who was heard from since the oldest delete on the list. It keeps
// what it needs of a page and no page.
func (r *Runner) listen(ctx context.Context, w *watchlist) *Trouble {
	ctx, cancel := context.WithTimeout(ctx, watchMost)
	defer cancel()
	for page, trouble := range r.central.Heard(ctx, w.tenantID, w.since) {
		if trouble != nil {
			return trouble
		}
		for _, d := range page {
			w.hear(d)
		}
	}
	return nil
}

// watchSnapshot looks a tenant's deleted devices up on its snapshot, if it is young and this
// process's turn: Central is not asked.
func (r *Runner) watchSnapshot(ctx context.Context, w *watchlist) error {
	if r.set.Snapshots == nil {
		return nil
	}
	f, err := r.set.Snapshots.Find(ctx, w.tenantID, nil)
	if err != nil || !f.State.Young() {
		return err
	}
	mine, err := r.ledger.Turn(ctx, "watch-snapshot:"+w.tenantID, watchTurn)
	if err != nil || !mine {
		return err
	}
	whole, err := r.recall(ctx, w)
	return errors.Join(err, r.cameBack(ctx, w, whole))
}

// recall hears of the devices on the snapshot that bear a trait of the list; whole is
// false where the snapshot did not last until all were looked up.
func (r *Runner) recall(ctx context.Context, w *watchlist) (whole bool, err error) {
	for traits := range slices.Chunk(slices.Collect(maps.Keys(w.by)), watchTraits) {
		f, err := r.set.Snapshots.Find(ctx, w.tenantID, traits)
		if err != nil || !f.State.Young() {
			return false, err
		}
		w.recall(f)
	}
	return true, nil
}

// cameBack puts those on record that were found. One that can't be put there
// does not keep the others from it.
func (r *Runner) cameBack(ctx context.Context, w *watchlist, whole bool) error {
	p := r.rules().Params
	var faults []error
	for _, f := range w.found(whole) {
		n := Note{CameBack: true, Why: f.sentence()}
		n.Mark = Mark{
			Dev: f.gone.Ref, Hostname: f.gone.Hostname, Action: "watch", Outcome: "came_back", Code: policy.CameBack,
			By: "rollcall", Mode: r.modeFor(w.tenantID, p), PolicyVersion: p.Version,
		}
		_, err := r.note(ctx, Standing{}, n)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}
