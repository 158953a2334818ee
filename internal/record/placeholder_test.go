package record_test

import (
	"testing"

	"rollcall/internal/record"
)

func TestWhatTemplatesLeaveBehindIsNoNameAndNoID(t *testing.T) {
	for _, s := range []string{
		"None", "null", "NULL", "undefined", "N/A", "n/a", "NaN", "-", "[object Object]", "{{ticket.number}}", "{{ticket", "${ticket}", "$exec.ticket", "a $exec b",
		"None None", "undefined, undefined", "<no value>", "nil", "(null)", "<nil>", "#N/A", "System.Object[]", "{% ticket %}", "<%= ticket %>", "$(ticket.id)", "#{ticket}",
		"INC-{{id}}", " none ", "[object Array]", "@{id=7}", "{}", "[]", `""`, "--",
	} {
		if !record.Placeholder(s) {
			t.Errorf("%q passes", s)
		}
	}
	for _, s := range []string{"", "INC-1", "1", "ann", `CORPEX\ann`, "ann@corp.example.test", "Ann (IT)", "Nina Nullmann", "none-such", "Noneman", "A-1", "INC[7]", "O'Brien", "null-7", "Nan Goldin", "a - b", "$5", "#7", "{7}"} {
		if record.Placeholder(s) {
			t.Errorf("%q is refused", s)
		}
	}
}
