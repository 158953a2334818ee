package action

import (
	"context"
	"errors"
)

// Evaluate is still to be written.
func (r *Runner) Evaluate(ctx context.Context, call Call, in EvaluateInput) (Result, error) {
	return Result{}, errors.New("not written yet")
}
