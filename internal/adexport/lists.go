package adexport

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"rollcall/api"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// netType is the name of a type of .NET, which PowerShell writes where it can't write a
// value.
var netType = regexp.MustCompile("^((Deserialized|Selected)\\.)*(System\\.(__ComObject|[A-Z][A-Za-z0-9]*([.][A-Z][A-Za-z0-9]*)*(`[0-9]+)?(\\[.*\\])?)|Microsoft\\.(ActiveDirectory|PowerShell)\\..+)$")

// typeName reports what PowerShell writes where it can't write a value.
func typeName(s string) bool { return netType.MatchString(strings.TrimSpace(s)) }

// whole reports text that was not damaged when it was turned from one encoding
// into another.
func whole(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError) }

// damage says what happened to a value on its way, and what to do; empty = nothing. In
// the names of accounts no question mark is meant.
func damage(name, value string) string {
	why := ""
	switch {
	case !whole(value):
		why = record.LostLetters(value)
	case isName(name) || name == "memberOf":
		first, _, _ := strings.Cut(value, "\n") // what AD adds to a name stands behind a line end
		why = record.Damage(strings.TrimSpace(first))
	}
	if why == "" {
		return ""
	}
	return name + " is damaged, " + why + ": export with -Encoding UTF8, or csvde -u"
}

// memberOf is nil where the export does not say. An empty cell does not: it is
// also what is written where nobody asked AD for the groups.
func (e entry) memberOf() (groups *[]string, unexpanded bool, err error) {
	values, given := e.values["memberof"]
	if !given {
		return nil, false, nil
	}
	out := []string{}
	for _, v := range values {
		if typeName(v) {
			return nil, true, nil
		}
		for _, group := range split(v) {
			if why := damage("memberOf", group); why != "" {
				return nil, false, errors.New(why)
			}
			out = append(out, group)
		}
	}
	return &out, false, nil
}

// split takes apart what an export joined by semicolons or line ends. A semicolon
// that is escaped belongs to a name.
func split(s string) []string {
	var out []string
	begin, escaped := 0, false
	add := func(end int) {
		if part := strings.TrimSpace(s[begin:end]); part != "" {
			out = append(out, part)
		}
	}
	for i := range len(s) {
		if c := s[i]; !escaped && (c == ';' || c == '\n' || c == '\r') {
			add(i)
			begin = i + 1
		}
		escaped = s[i] == '\\' && !escaped
	}
	add(len(s))
	return out
}

// unreadable names a field that the service would not be able to read in an event, and
// says why where that is known; empty = it reads them all. A build is left to it: there
// are accounts of other systems than Windows.
func unreadable(d api.Directory) (field, why string) {
	raw, err := json.Marshal(map[string]any{"directory": d})
	if err != nil {
		return "the account", ""
	}
	e, err := record.ParseEvent(raw)
	if err != nil {
		return "the account", ""
	}
	for _, note := range e.Notes {
		why += "; " + note
	}
	got := e.Directory
	for _, f := range []struct {
		name  string
		state policy.State
	}{
		{"name", got.Hostname.State},
		{"the domain", got.Domain.State},
		{"distinguishedName", got.DistinguishedName.State},
		{"operatingSystem", got.OperatingSystem.State},
		{"enabled", got.Enabled.State},
		{"disabledAt", got.DisabledAt.State},
		{"memberOf", got.MemberOf.State},
		{"managedBy", got.ManagedBy.State},
		{"managedBy", got.ManagedByDN.State},
		{"primaryGroupID", got.PrimaryGroupID.State},
		{"userAccountControl", got.UserAccountControl.State},
	} {
		if f.state == policy.Unreadable {
			return f.name, why
		}
	}
	return "", ""
}
