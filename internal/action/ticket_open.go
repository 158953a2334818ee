package action

import (
	"context"
	"errors"
)

// TicketOpen is still to be written.
func (r *Runner) TicketOpen(ctx context.Context, call Call, in TicketOpenInput) (Result, error) {
	return Result{}, errors.New("not written yet")
}
