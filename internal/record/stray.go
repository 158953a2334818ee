package record

import (
	"strconv"
	"strings"
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

// nearMiss is the known name that another one stands for: equal to it but for case,
// blanks, braces, hyphens and underscores; or dotted, and its last part is known in any
// object of an event. It is empty where there is none.
func nearMiss(name string, known []string) string {
	if len(name) > 4*maxName {
		return ""
	}
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		known, name = eventNames(), name[dot+1:]
	}
	plain := plainName(name)
	for _, k := range known {
		if plain == strings.ToLower(k) {
			return k
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

// plainName is a name without what templates and exports put into it.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '{', '}', '[', ']', '_', '-', ' ', '\t', '\u00a0':
			return -1
		}
		return r
	}, strings.ToLower(strings.TrimSpace(name)))
}
