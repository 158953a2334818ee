package record

import (
	"slices"
	"strings"

	"rollcall/internal/policy"
)

// Placeholder reports a text that a template or a playbook leaves where it has no
// value, in place of a name or an id: None, undefined, {{ticket.number}} and the like.
func Placeholder(text string) bool {
	s := policy.Loose(text)
	if unfilled(s) {
		return true
	}
	if slices.Contains(noValues(), s) {
		return true
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" ,;@", r) })
	return len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(noValues(), w) })
}

// unfilled reports the marks of a template that was not filled in.
func unfilled(text string) bool {
	return slices.ContainsFunc([]string{"{{", "}}", "${", "$(", "#{", "{%", "<%", "$exec", "[object ", "system.object[", "@{", "[["}, func(mark string) bool {
		return strings.Contains(text, mark)
	})
}

// noValues are the words that stand for no value.
func noValues() []string {
	return []string{"none", "null", "undefined", "nil", "nan", "n/a", "#n/a", "-", "--", "(null)", "<null>", "(none)", "<none>", "<nil>", "<undefined>", "<no value>",
		"[]", "{}", `""`, "''"}
}
