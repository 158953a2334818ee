package central

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// lasting is a budget whose every answer takes longer than a turn at reading lasts.
type lasting struct {
	purse
	redis *miniredis.Miniredis
}

func (l *lasting) Book(ctx context.Context, client string, kind action.CallKind, most time.Duration) (time.Duration, bool, error) {
	l.redis.FastForward(mergeSlow)
	return l.purse.Book(ctx, client, kind, most)
}

// Where a call is waited for longer than a turn at reading lasts, and nobody else has
// taken it, those who asked have their answer all the same.
func TestWhoWaitsForACallUntilItsTurnIsOverReadsAllTheSame(t *testing.T) {
	for name, tc := range map[string]struct {
		budget error
		want   policy.LiveStatus
	}{"a call comes": {nil, policy.LiveFound}, "none comes": {errors.New("no Redis"), policy.LiveFailed}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			redis := miniredis.RunT(t)
			c := sharersOn(t, r, redis, 1, nil)[0]
			lookedAt(t, r, []*Client{c}, 1) // signed in
			l := &lasting{purse: purse{left: -1, err: tc.budget}, redis: redis}
			c.budget = l
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if live, trouble := c.Look(ctx, nth(0), time.Hour, false); live.Status != tc.want || ctx.Err() != nil {
				t.Errorf("%v, want %v: %+v", live.Status, tc.want, trouble)
			}
			if tc.budget == nil && len(l.booked) != 1 {
				t.Errorf("%d booked", len(l.booked))
			}
		})
	}
}
