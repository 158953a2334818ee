package central

import (
	"context"
	"iter"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Heard implements [action.Central].
func (c *Client) Heard(ctx context.Context, tenantID string, since time.Time) iter.Seq2[[]policy.Device, *action.Trouble] {
	return func(yield func([]policy.Device, *action.Trouble) bool) {}
}
