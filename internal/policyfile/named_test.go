package policyfile_test

import (
	"testing"
	"time"

	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

// A text that names a VIP beside something else is still a VIP's.
func TestAVIPNamedBesideSomethingElseIsNeverADelete(t *testing.T) {
	p, err := policyfile.Parse([]byte(spellingPolicy))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
	for _, text := range []string{
		"Chief Person <ceo@corp.example.test>", "<ceo@corp.example.test>", `Chief Person [CORPEX\ceo]`, `(CORPEX\ceo) Chief Person`, "[ceo] Chief Person",
		`CORPEX\ceo, CORPEX\j.doe`, `CORPEX\ceo;CORPEX\j.doe`, `CORPEX\ceo CORPEX\j.doe`, "ceo@corp.example.test, j.doe@corp.example.test", "Chief Person; J. Doe", "Chief Person / J. Doe",
		`"Chief Person"`, `mailto:ceo@corp.example.test`, `CORPEX\ceo (Chief Person) - left`, "Chief Person (CEO) (left)", "ceo - Chief Person",
		"Chief Person & J. Doe", "Chief Person | J. Doe",
	} {
		for _, field := range []string{"name", "managedBy", "event name", "event viaLogin"} {
			event, live := document(now)
			switch field {
			case "name":
				object(live, "associatedPerson")["name"] = text
			case "managedBy":
				object(event, "directory")["managedBy"] = text
			case "event name":
				object(object(event, "central"), "associatedPerson")["name"] = text
			default:
				object(object(event, "central"), "associatedPerson")["viaLogin"] = text
			}
			if got := verdict(t, p, event, live, now); got.Verdict == policy.Delete {
				t.Errorf("deleted with %s %q", field, text)
			}
		}
	}
}

// An account that is enabled by its bits is not deleted, whatever enabled says.
func TestAnAccountThatIsEnabledByItsBitsIsNeverADelete(t *testing.T) {
	p, err := policyfile.Parse([]byte(spellingPolicy))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
	for _, bits := range []any{4096, "4096", "0x1000", 69632, 0} {
		event, live := document(now)
		object(event, "directory")["userAccountControl"] = bits
		if got := verdict(t, p, event, live, now); got.Verdict == policy.Delete {
			t.Errorf("deleted with userAccountControl %v", bits)
		}
	}
}

// A DN whose letters stand escaped is the same person.
func TestAnEscapedDNOfAVIPIsNeverADelete(t *testing.T) {
	p, err := policyfile.Parse([]byte(spellingPolicy))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
	for _, text := range []string{`CN=M\C3\A4rta M\C3\BCller,OU=Moved,DC=corp,DC=example,DC=test`, `CN=Chief\20Person,OU=Moved,DC=corp,DC=example,DC=test`,
		`CN=Chief Person+UID=1,OU=Moved,DC=corp,DC=example,DC=test`} {
		event, live := document(now)
		object(event, "directory")["managedBy"] = text
		if got := verdict(t, p, event, live, now); got.Verdict == policy.Delete {
			t.Errorf("deleted with managedBy %q", text)
		}
	}
}
