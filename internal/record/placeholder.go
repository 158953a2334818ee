package record

import (
	"slices"
	"strings"
)

// Placeholder reports a text that a template or a playbook leaves where it has no
// value, in place of a name or an id: None, undefined, {{ticket.number}} and the like.
func Placeholder(text string) bool {
	s := strings.ToLower(strings.TrimSpace(text))
	if slices.ContainsFunc([]string{"{{", "}}", "${", "$(", "#{", "{%", "<%", "$exec", "[object ", "system.object[", "@{"}, func(mark string) bool {
		return strings.Contains(s, mark)
	}) {
		return true
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	return len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(noValues(), w) }) || s == "<no value>" || s == "[]" || s == "{}"
}

// noValues are the words that stand for no value.
func noValues() []string {
	return []string{"none", "null", "undefined", "nil", "nan", "n/a", "#n/a", "-", "--", "(null)", "<null>", "(none)", "<none>", "<nil>", `""`, "''"}
}
