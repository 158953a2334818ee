package action

import (
	"context"
	"errors"
)

// Delete is still to be written.
func (r *Runner) Delete(ctx context.Context, call Call, in DeleteInput) (Result, error) {
	return Result{}, errors.New("not written yet")
}
