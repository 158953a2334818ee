package record

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

var (
	htmlEscape    = regexp.MustCompile(`(?i)&(#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,31}\d{0,2});`)
	percentEscape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
)

// Damage says what happened to a name (a DN, host name, domain or login) on its way,
// as the end of a sentence about it; empty where nothing did. A damaged name matches
// no rule that protects, so it must not be read at all.
func Damage(name string) string {
	if d := LostLetters(name); d != "" {
		return d
	}
	switch {
	case strings.Contains(name, "?"):
		return "it holds a question mark, which stands for a letter that was lost: send and export UTF-8 " +
			"(older PowerShell: -ContentType 'application/json; charset=utf-8', Export-Csv -Encoding UTF8)"
	case htmlEscape.MatchString(name):
		return "it holds an HTML escape: send the letter itself (in a mustache template {{{ }}} or {{& }})"
	case percentEscape.MatchString(name):
		return "it holds a percent escape: send the letter itself"
	case unfilled(strings.ToLower(name)):
		return "it is what a template left that was not filled in: send the value itself"
	}
	return ""
}

// LostLetters is [Damage] for texts in which question marks and escapes may be meant,
// such as the name of a group in Central.
func LostLetters(text string) string {
	if ascii(text) {
		if !clean(text) {
			return "it holds control characters"
		}
		return ""
	}
	switch {
	case !utf8.ValidString(text):
		return "it is not UTF-8"
	case !clean(text):
		return "it holds control characters"
	case strings.ContainsRune(text, utf8.RuneError):
		return "it holds the sign for a letter that was lost (U+FFFD): send and export UTF-8"
	case strings.ContainsFunc(text, unseen):
		return "it holds a mark that can't be seen (of zero width, or for the direction of writing)"
	case mojibake(text):
		return "it is UTF-8 that was read as another encoding: read it as UTF-8"
	}
	return ""
}

// ascii reports text of ASCII alone.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// unseen reports characters that change a name without being seen.
func unseen(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u3164', '\uffa0': // joiners and fillers that are no format characters
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// mojibake reports characters beyond ASCII that are, in one of the encodings that text
// is read as by mistake, the bytes of another letter in UTF-8. Letters alone may be a
// name as it is; but no name has an Ã or Â before such a letter.
func mojibake(text string) bool {
	runes := []rune(text)
	for i, first := range runes {
		if first < utf8.RuneSelf {
			continue
		}
		for _, as := range []*charmap.Charmap{charmap.Windows1252, charmap.CodePage850, charmap.CodePage437, charmap.Macintosh} {
			letter := hiddenLetter(runes[i:], as)
			odd := first == 'Ã' || first == 'Â' || slices.ContainsFunc(letter, func(r rune) bool { return !unicode.IsLetter(r) })
			if len(letter) > 0 && odd {
				return true
			}
		}
	}
	return false
}

// hiddenLetter are the first of some runes that are, each as a byte of an encoding, one
// letter in UTF-8; none where they are not.
func hiddenLetter(runes []rune, as *charmap.Charmap) []rune {
	var raw []byte
	for i, r := range runes {
		b, ok := as.EncodeRune(r)
		if !ok || b < utf8.RuneSelf || i == utf8.UTFMax {
			return nil
		}
		raw = append(raw, b)
		if _, size := utf8.DecodeRune(raw); size > 1 {
			return runes[:i+1]
		}
	}
	return nil
}
