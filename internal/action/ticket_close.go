package action

import (
	"context"
	"errors"
)

// TicketClose is still to be written.
func (r *Runner) TicketClose(ctx context.Context, call Call, in TicketCloseInput) (Result, error) {
	return Result{}, errors.New("not written yet")
}
