package rollcall_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"rollcall/internal/policy"
)

func TestTheREADMEListsEveryReasonCode(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range policy.Codes() {
		if !strings.Contains(string(b), fmt.Sprintf("| `%s` |", c.Code)) {
			t.Errorf("README.md lacks %s", c.Code)
		}
	}
}
