package policyfile_test

import (
	"testing"
	"time"

	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

// A field under a flattened or misspelt name is not passed over.
func TestAFlattenedFieldThatProtectsIsNeverADelete(t *testing.T) {
	p, err := policyfile.Parse([]byte(spellingPolicy))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
	kiosk := "CN=Kioskgeräte,OU=Groups,DC=corp,DC=example,DC=test"
	for _, name := range []string{"memberOf.0", "memberOf[0]", "memberOf{}.dn", "memberOf{0}", "directory/memberOf", "directory:memberOf", "directoryMemberOf",
		"memberOf\u200b", "memberOf\ufeff", "\ufeffmemberOf", "memberOf:", `"memberOf"`, "memberOf;range=0-1499", "values(memberOf)", "memberOf\n", "ｍemberOf", "$memberOf", "@memberOf"} {
		for _, keep := range []bool{true, false} {
			event, live := document(now)
			if !keep {
				delete(object(event, "directory"), "memberOf")
			}
			object(event, "directory")[name] = kiosk
			if got := verdict(t, p, event, live, now); got.Verdict == policy.Delete {
				t.Errorf("deleted with directory %q (memberOf [] beside it: %v)", name, keep)
			}
		}
	}
}
