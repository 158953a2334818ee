package policy

import "time"

// Verdict is what is to be done with a device. Its zero value, Manual, is the
// one that can do no harm.
type Verdict uint8

// The verdicts.
const (
	Manual Verdict = iota // a person must look
	Skip                  // nothing to do now
	Keep                  // must stay
	Delete                // every check passed
)

// Code is a reason's stable name. Codes are only ever added.
type Code string

// Reason is one rule's finding.
type Reason struct {
	Code    Code    `json:"code"`
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"` // one sentence for an operator
}

// Decision is the outcome of Evaluate.
type Decision struct {
	Verdict    Verdict
	Reasons    []Reason      // most decisive first, never empty
	Tier       int           // the tier that decided
	Waived     []Code        // hits that an approval waived
	EligibleAt time.Time     // when time alone would make it Delete; zero = it would not
	RetryAfter time.Duration // when asking again makes sense; zero = it does not
	Activity   Activity
}

// Code is the code that decided.
func (d Decision) Code() Code { return d.Reasons[0].Code }

// Activity is what the live record says of the device's use. All zero when it
// was not read or says nothing.
type Activity struct {
	LastSeenAt   Field[time.Time]
	InactiveDays Field[float64] // (now - lastSeenAt) / 86400 s
	Active       Field[bool]
}
