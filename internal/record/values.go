package record

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// maxHostname is how many characters a host name may have. DNS allows 253;
// computer names of other origins come with blanks, apostrophes and emoji.
const maxHostname = 255

// Hostname returns a host name without the blanks, dots and dollar signs that
// directories and exports put at its ends. It is false for what can't be one:
// nothing left, control characters, more than 255 characters.
func Hostname(s string) (string, bool) {
	if !clean(s) {
		return "", false
	}
	s = norm.NFC.String(s) // decomposed letters are the same letters
	for {
		t := strings.TrimRight(strings.TrimSpace(s), ".$")
		if t == s {
			break
		}
		s = t
	}
	if s == "" || tooLong(s, maxHostname) {
		return "", false
	}
	return s, true
}

// ID returns a UUID in lower case. Blanks around it and signs that enclose it,
// in curly, round or pointed brackets or in quotes, are taken off; what is then no UUID with its four hyphens is
// no id.
func ID(s string) (string, bool) {
	for {
		s = strings.TrimSpace(s)
		inner, ok := enclosed(s)
		if !ok {
			break
		}
		s = inner
	}
	if len(s) != 36 || uuid.Validate(s) != nil {
		return "", false
	}
	return strings.ToLower(s), true
}

// enclosed takes off one pair of signs.
func enclosed(s string) (string, bool) {
	if len(s) < 2 {
		return "", false
	}
	switch s[:1] + s[len(s)-1:] {
	case "{}", "()", `""`, "''", "<>":
		return s[1 : len(s)-1], true
	}
	return "", false
}

// The years in which a time is believable. Placeholders for "never" (1601,
// 1970, year 1) lie before them and must not pass for "long ago"; milliseconds
// taken for seconds lie after them.
const (
	minYear = 1990
	maxYear = 2200
)

// ParseTime reads an RFC 3339 time with its zone, with or without fractions and
// the zone's colon, or Unix seconds, and returns it in UTC. A time without zone,
// in words, with an exponent (which hides lost digits) or outside the years
// 1990 to 2200 is unreadable.
func ParseTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	t, ok := unixSeconds(s)
	if !ok {
		t, ok = rfc3339(s)
	}
	if !ok || t.Year() < minYear || t.Year() > maxYear {
		return time.Time{}, false
	}
	return t, true
}

// unixSeconds reads digits, and up to nine more after a point.
func unixSeconds(s string) (time.Time, bool) {
	whole, frac, pointed := strings.Cut(s, ".")
	if !digits(whole) || len(whole) > 11 || whole[0] == '0' {
		return time.Time{}, false
	}
	if pointed && (!digits(frac) || len(frac) > 9) {
		return time.Time{}, false
	}
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	var nsec int64
	if pointed {
		if nsec, err = strconv.ParseInt((frac + "000000000")[:9], 10, 64); err != nil {
			return time.Time{}, false
		}
	}
	return time.Unix(sec, nsec).UTC(), true
}

// rfc3339 checks the shape itself, for time.Parse takes more than RFC 3339
// does: hours of one digit, a comma before the fraction.
func rfc3339(s string) (time.Time, bool) {
	const shape = "0000-00-00T00:00:00"
	if len(s) <= len(shape) || len(s) > 64 || !shaped(s[:len(shape)], shape) {
		return time.Time{}, false
	}
	rest := s[len(shape):]
	if rest[0] == '.' {
		n := countDigits(rest[1:])
		if n == 0 {
			return time.Time{}, false
		}
		rest = rest[1+n:]
	}
	layout := time.RFC3339
	switch {
	case rest == "Z" || rest == "z":
	case zoned(rest, "00:00"):
	case zoned(rest, "0000"):
		layout = "2006-01-02T15:04:05Z0700"
	default:
		return time.Time{}, false
	}
	t, err := time.Parse(layout, strings.ToUpper(s))
	if err != nil {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// zoned reports a signed offset of the given shape.
func zoned(s, shape string) bool {
	return s != "" && (s[0] == '+' || s[0] == '-') && shaped(s[1:], shape) && s[1:3] <= "14"
}

// shaped reports whether s has a digit for each 0 of shape, and else the same
// bytes; T may be in lower case.
func shaped(s, shape string) bool {
	if len(s) != len(shape) {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; shape[i] {
		case '0':
			if c < '0' || c > '9' {
				return false
			}
		case 'T':
			if c != 'T' && c != 't' {
				return false
			}
		default:
			if c != shape[i] {
				return false
			}
		}
	}
	return true
}

// ParseBuild reads the number of a Windows build from the three forms in which
// it is written: "10.0 (22631)" (AD), "10.0.22631.5624" (Entra; also without its
// last part), and alone with four to six digits. Anything else is no build; "10.0" least of all, which
// every Windows since 2015 calls itself.
func ParseBuild(s string) (int, bool) {
	s = strings.TrimSpace(s)
	if version, rest, ok := strings.Cut(s, "("); ok {
		inner, closed := strings.CutSuffix(rest, ")")
		if !closed || !version2(strings.TrimSpace(version)) {
			return 0, false
		}
		return build(strings.TrimSpace(inner))
	}
	if !strings.Contains(s, ".") {
		return build(s)
	}
	parts := strings.SplitN(s, ".", 5)
	if len(parts) != 3 && len(parts) != 4 {
		return 0, false
	}
	for _, p := range parts {
		if !digits(p) {
			return 0, false
		}
	}
	return build(parts[2])
}

// version2 reports a version of two numbers, such as 10.0.
func version2(s string) bool {
	major, minor, ok := strings.Cut(s, ".")
	return ok && digits(major) && digits(minor)
}

// build reads four to six digits that do not begin with a zero.
func build(s string) (int, bool) {
	if len(s) < 4 || len(s) > 6 || !digits(s) || s[0] == '0' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, false
	}
	return n, true
}

// digits reports whether s is one or more decimal digits.
func digits(s string) bool { return s != "" && countDigits(s) == len(s) }

// countDigits counts the decimal digits that s begins with.
func countDigits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}
