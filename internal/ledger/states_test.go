package ledger_test

import (
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
	if want := ledger.Drawn(); !strings.Contains(string(b), want) {
		t.Errorf("README.md lacks the table of states, which is now:\n%s", want)
	}
}
