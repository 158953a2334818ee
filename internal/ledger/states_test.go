package ledger_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"rollcall/internal/ledger"
)

// The README draws the table of states; it is drawn from the code.
func TestTheTableOfStatesInTheREADMEIsTheCodes(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := drawn(); !strings.Contains(string(b), want) {
		t.Errorf("README.md lacks the table of states, which is now:\n%s", want)
	}
}

// drawn is the table of states in Markdown: a row for each state, with what can
// happen to a device in it, and where that leads.
func drawn() string {
	var b strings.Builder
	b.WriteString("| state | what can happen, and the state after it |\n|---|---|\n")
	for _, s := range ledger.States() {
		var out []string
		for _, a := range ledger.Table() {
			if a.From == s {
				out = append(out, a.By+" → "+a.To)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", s, strings.Join(out, ", "))
	}
	return b.String()
}
