package adexport

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/record"
)

// AD counts from the begin of 1601, which fileTimeZero is in Unix seconds, in ticks, of
// which a second has fileTimeSecond. There is no AD older than fileTimeFirst: a number
// below it counts something else, such as seconds.
const (
	fileTimeZero   = -11644473600
	fileTimeSecond = 10_000_000
	fileTimeFirst  = 125_000_000_000_000_000 // early in 1997
)

// lastLogon is the latest of those that the export gives, and what of them can't be
// read: that may be a later one. The words for LastLogonDate are passed over where
// lastLogonTimestamp, of which AD's tools make it, can be read.
func (e entry) lastLogon() (last time.Time, unreadable string) {
	stamped := false
	for _, name := range []string{"lastlogontimestamp", "lastlogon", "lastlogondate"} {
		for _, value := range e.values[name] {
			value = strings.TrimSpace(value)
			if value == "" || never(value) {
				continue
			}
			at, ok := logon(name, value)
			switch {
			case ok:
				last, stamped = later(last, at), stamped || name == "lastlogontimestamp"
			case name == "lastlogondate" && stamped:
			default:
				unreadable = fmt.Sprintf("%s is %.40q", name, value)
			}
		}
	}
	return last, unreadable
}

// logon reads one time of a logon.
func logon(name, value string) (time.Time, bool) {
	if name != "lastlogondate" {
		if ticks, ok := wholeNumber(value); ok {
			return time.Unix(fileTimeZero+ticks/fileTimeSecond, 0).UTC(), ticks >= fileTimeFirst && ticks != 1<<63-1
		}
		if digitsOnly.MatchString(value) {
			return time.Time{}, false
		}
	}
	return instant(value)
}

var (
	digitsOnly = regexp.MustCompile(`^[0-9.,]*$`)
	// exponent is a number as a spreadsheet writes a long one.
	exponent = regexp.MustCompile(`^([0-9])\.([0-9]+)[eE]\+?([0-9]{1,2})$`)
	groups   = regexp.MustCompile(`[0-9]+`)
	ticksOf  = regexp.MustCompile(`^/Date\((-?[0-9]+)([+-][0-9]{4})?\)/$`)
)

// wholeNumber reads a number with all its digits, also one with an exponent from which
// no digit is missing.
func wholeNumber(s string) (int64, bool) {
	if m := exponent.FindStringSubmatch(s); m != nil {
		shift, err := strconv.Atoi(m[3])
		if err != nil || len(m[2]) < shift || strings.Trim(m[2][shift:], "0") != "" {
			return 0, false
		}
		s = m[1] + m[2][:shift]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// never reports what stands for no logon at all: zero, the begin of AD's count or of
// .NET's in any words and zone, or the word.
func never(s string) bool {
	if s == "0" || strings.EqualFold(s, "never") {
		return true
	}
	if m := ticksOf.FindStringSubmatch(s); m != nil {
		ms, err := strconv.ParseInt(m[1], 10, 64)
		return err == nil && ms <= (fileTimeZero+24*60*60)*1000
	}
	if at, err := time.Parse("20060102150405Z0700", s); err == nil {
		return at.Year() <= 1601
	}
	parts := groups.FindAllString(s, -1)
	for i, part := range parts {
		parts[i] = strings.TrimLeft(part, "0")
		if part == "0001" {
			parts[i] = part // the year 1
		}
	}
	return beginOfCount(parts)
}

// beginOfCount reports a date, in any order and with its month as a number or in words,
// that is the first day of 1601 or of the year 1, or the day before.
func beginOfCount(parts []string) bool {
	for _, day := range [][]string{{"1", "1", "1601"}, {"12", "1600", "31"}, {"0001", "1", "1"}, {"1", "1601"}, {"1600", "31"}, {"0001", "1"}} {
		if len(parts) < len(day) {
			continue
		}
		if first := slices.Sorted(slices.Values(parts[:len(day)])); slices.Equal(first, day) {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// guid is empty where there is none, or none that can be read: it decides nothing.
func (e entry) guid() string {
	values := e.values["objectguid"]
	if len(values) == 16 { // a list of its bytes
		values = []string{byteList(values)}
	}
	if len(values) != 1 {
		return ""
	}
	if id, ok := record.ID(values[0]); ok {
		return id
	}
	b := []byte(values[0])
	if len(b) != 16 { // LDIF holds its bytes; the first three groups are little-endian
		return ""
	}
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return uuid.UUID(b).String()
}

// byteList are the bytes of which each stands as a number; empty where one does not.
func byteList(values []string) string {
	var out []byte
	for _, v := range values {
		n, err := strconv.ParseUint(v, 10, 8)
		if err != nil {
			return ""
		}
		out = append(out, byte(n))
	}
	return string(out)
}

// csvdeBytes is what csvde writes for what it takes for no text.
var csvdeBytes = regexp.MustCompile(`^X'([0-9A-Fa-f]*)'$`)

// cellText is what a cell of CSV holds.
func cellText(cell string) string {
	if m := csvdeBytes.FindStringSubmatch(strings.TrimSpace(cell)); m != nil {
		if b, err := hex.DecodeString(m[1]); err == nil {
			return string(b)
		}
	}
	return cell
}
