package action

import (
	"context"
	"errors"
)

// VerifyLive is still to be written.
func (r *Runner) VerifyLive(ctx context.Context, call Call, in VerifyLiveInput) (Result, error) {
	return Result{}, errors.New("not written yet")
}
