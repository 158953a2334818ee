package record

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"rollcall/internal/policy"
)

// maxName is how many bytes of a strange name are shown.
const maxName = 64

// stray passes over a member that has no meaning here. In an event, one that looks like
// a member that has is noted as a fault: to ignore it could hide what protects a device.
func (r *reader) stray(path, name string, known ...string) {
	r.skip()
	if r.live {
		return
	}
	if meant := nearMiss(name, known); meant != "" {
		r.garble(fieldPath(path, shown(name)) + " (" + fieldPath(path, meant) + " is probably meant)")
	}
}

// fieldPath puts a name behind the path of its object.
func fieldPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// shown is a name as a person may read it.
func shown(name string) string {
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "") + "..."
	}
	if LostLetters(name) != "" {
		return strconv.QuoteToASCII(name)
	}
	return name
}

// nearMiss is the known name that another one stands for; it is empty where there is
// none. That is one of this object's that is equal to it but for case and signs. Where the
// name is a path, as flattening makes it, its last part is held against the names of all
// objects of an event; and so is a name with that of its object before it.
func nearMiss(name string, known []string) string {
	if len(name) > 4*maxName {
		return ""
	}
	parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(`.[]{}()/\:;`, r) })
	parts = slices.DeleteFunc(parts, isIndex)
	if len(parts) > 1 {
		return equalTo(plainName(parts[len(parts)-1]), eventNames())
	}
	plain := plainName(name)
	if len(parts) == 1 {
		plain = plainName(parts[0])
	}
	if meant := equalTo(plain, known); meant != "" {
		return meant
	}
	for _, object := range []string{"directory", "owner", "central", "associatedperson"} {
		if rest, ok := strings.CutPrefix(plain, object); ok {
			return equalTo(rest, append(directoryNames(), "login", "viaLogin", "online", "lastSeenAt"))
		}
	}
	return ""
}

// isIndex reports a part of a path that names no field: the place in a list, the range of
// a value that AD gives in pieces, or the form of one.
func isIndex(part string) bool {
	p := plainName(part)
	return p == "" || p == "dn" || strings.HasPrefix(p, "range") || strings.Trim(p, "0123456789") == ""
}

// equalTo is the name that is equal to a plain one; empty where none is.
func equalTo(plain string, names []string) string {
	for _, n := range names {
		if plain == strings.ToLower(n) {
			return n
		}
	}
	return ""
}

// eventNames are the names of an event's fields at any depth that decide something.
func eventNames() []string {
	return append(directoryNames(), "observedAt", "directory", "owner", "central", "login", "id", "tenant", "type", "lastSeenAt", "registeredAt",
		"online", "cloned", "group", "groupHierarchy", "os", "isServer", "platform", "name", "build", "health", "overall", "threats", "status",
		"isolation", "adminIsolated", "selfIsolated", "associatedPerson", "viaLogin")
}

// plainName are the letters and digits of a name, in lower case.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return r
	}, policy.Loose(name))
}
