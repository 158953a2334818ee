package httpapi_test

import (
	"time"

	"rollcall/internal/policy"
)

// shut is a window that is open on no day.
func shut() *policy.Window { return &policy.Window{Location: time.UTC, From: 0, To: 1} }
