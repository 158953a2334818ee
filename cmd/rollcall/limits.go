package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/ledger"
)

// budget is how often a credential may call Central; every rate holds at once.
type budget []ledger.Rate

// UnmarshalText reads "10/s,100/m,1000/h,200000/d". Each unit may stand once,
// and a longer span must allow at least as much as a shorter one: a budget
// that contradicts itself is a slip of the pen.
func (b *budget) UnmarshalText(text []byte) error {
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	var out budget
	for part := range strings.SplitSeq(string(text), ",") {
		number, unit, found := strings.Cut(strings.TrimSpace(part), "/")
		calls, err := strconv.Atoi(strings.TrimSpace(number))
		per := units[strings.TrimSpace(unit)]
		if !found || err != nil || calls < 1 || per == 0 {
			return fmt.Errorf("%q is no rate: write a number, a slash and one of s, m, h, d", part)
		}
		if last := len(out) - 1; last >= 0 {
			if per <= out[last].Per {
				return errors.New("the spans must grow: seconds, minutes, hours, days, each once")
			}
			if calls < out[last].Calls {
				return fmt.Errorf("%q allows less than the shorter span before it", part)
			}
		}
		out = append(out, ledger.Rate{Calls: calls, Per: per})
	}
	*b = out
	return nil
}
