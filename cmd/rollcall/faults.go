package main

import (
	"fmt"
	"io"
	"strings"
)

// faultTeller tells what is wrong with the lines of a file: of those with the same
// fault the first, and at the end where the others are.
type faultTeller struct {
	w    io.Writer
	file string
	told []string         // faults in the order in which they came
	more map[string][]int // the lines after the first, by fault
}

// tell tells a fault, or keeps its line for the end.
func (t *faultTeller) tell(line int, problem string) {
	if t.more == nil {
		t.more = map[string][]int{}
	}
	if lines, again := t.more[problem]; again {
		t.more[problem] = append(lines, line)
		return
	}
	t.told, t.more[problem] = append(t.told, problem), nil
	say(t.w, "%s: line %d: %s", printable(t.file), line, printable(problem))
}

// faultLines is how many lines are named for one fault.
const faultLines = 20

// rest tells where else the faults are. After it all begins anew.
func (t *faultTeller) rest() {
	for _, problem := range t.told {
		lines := t.more[problem]
		if len(lines) == 0 {
			continue
		}
		var text strings.Builder
		for _, line := range lines[:min(len(lines), faultLines)] {
			_, _ = fmt.Fprintf(&text, " %d,", line)
		}
		where := strings.TrimSuffix(text.String(), ",")
		if n := len(lines) - faultLines; n > 0 {
			where += fmt.Sprintf(" and %d more", n)
		}
		first, _, _ := strings.Cut(problem, ":")
		if len(lines) > 1 {
			where = "s" + where
		}
		say(t.w, "%s: the same in line%s (%s)", printable(t.file), where, printable(first))
	}
	t.told, t.more = nil, nil
}
