// Package adexport reads what Active Directory's own tools write of computer
// accounts: the CSV and JSON of Get-ADComputer, and LDIF. It decides whether a row
// says one thing of one account; a row that does not is a fault with its line, and
// nothing is made of it. It refuses to know which accounts are retired, and what
// Central calls them.
package adexport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"rollcall/api"
	"rollcall/internal/policy"
)

// Format is a form of export.
type Format string

// The forms. Any tells them apart by their content.
const (
	Any  Format = ""
	CSV  Format = "csv"
	LDIF Format = "ldif"
	JSON Format = "json"
)

// Options say how an export is read.
type Options struct {
	Format Format
	// DisabledAt names the field, in any case, that holds the time at which the
	// account was disabled; empty = disabledAt. AD keeps no such time by itself:
	// whenChanged moves with every change.
	DisabledAt string
}

// Row is one account.
type Row struct {
	Line int // where it begins, from 1
	// Foreign is set for what is no computer's account, or nobody's any more: one that
	// AD has deleted, or holds as a conflict and disabled. Then nothing else is.
	Foreign bool
	// Directory is the account as an event tells it. MemberOf is nil where the
	// export does not say.
	Directory api.Directory
	DN        policy.DN
	// DNSHostName is the account's full name in DNS; empty where it has none.
	DNSHostName string
	// NetBIOS is the name by which the account logs on, without its dollar sign,
	// which may differ from the others; empty where the export does not say.
	NetBIOS string
	// LastLogon is the last time at which the directory says the account logged on;
	// zero where the export does not say.
	LastLogon time.Time
	// LogonUnreadable is what the export says of a logon that can't be read: it may
	// be a later one than LastLogon. Empty = there is no such thing.
	LogonUnreadable string
	// Unexpanded is set where the export holds the name of a type in place of the
	// groups, as Export-Csv writes it for every list.
	Unexpanded bool
}

// Fault is a row that can't be read. Those after it can. Whose row it is may be
// readable all the same, and must be heeded: the account may be in use.
type Fault struct {
	Line    int // from 1
	Problem string
	// Names are all names that the row gives its account. None = nobody can say
	// whose row it is: they are not there, or one of them can't be read either.
	Names []string
	// Some are names that such a row bears all the same.
	Some []string
	// Domain is the account's domain in DNS; empty = not known.
	Domain string
}

// Error tells the line and the problem.
func (f *Fault) Error() string { return fmt.Sprintf("line %d: %s", f.Line, f.Problem) }

// errForm is told of what is none of the three forms.
var errForm = errors.New("this is no export of computer accounts: neither JSON nor LDIF, nor CSV with a column DistinguishedName or DN " +
	"(write it with Get-ADComputer and Export-Csv -Encoding UTF8, csvde, ldifde or ldapsearch)")

// peek is how much is looked at to tell the form.
const peek = 64 << 10

// Read yields the rows. An error that is a *[Fault] is of one row; any other ends
// the sequence, and what was read is then not all.
func Read(r io.Reader, o Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		text := bufio.NewReaderSize(Text(r), peek)
		begin, err := text.Peek(peek)
		if err != nil && !errors.Is(err, io.EOF) {
			yield(Row{}, err)
			return
		}
		if bytes.IndexByte(begin, 0) >= 0 {
			yield(Row{}, errors.New("the export holds NUL bytes: it is UTF-16 without its byte order mark, or no text"))
			return
		}
		when := strings.ToLower(o.DisabledAt)
		if when == "" {
			when = "disabledat"
		}
		each := func(e entry, err error) bool {
			if err != nil {
				return yield(Row{}, err)
			}
			row, err := e.row(when)
			if err != nil {
				return yield(Row{}, err)
			}
			return yield(row, nil)
		}
		entries(o.Format, when, text, begin)(each)
	}
}

// entries chooses the reader.
func entries(f Format, when string, text *bufio.Reader, begin []byte) iter.Seq2[entry, error] {
	if f == Any {
		f = formOf(begin)
	}
	keep := wanted(when)
	switch f {
	case JSON:
		return readJSON(text, begin, keep)
	case LDIF:
		return readLDIF(text, keep)
	case CSV, Any:
	}
	return readCSV(text, keep)
}

// formOf tells the form by the first line that says something.
func formOf(begin []byte) Format {
	for line := range bytes.Lines(begin) {
		s := strings.ToLower(strings.TrimSpace(string(line)))
		name, _, colon := strings.Cut(s, ":")
		switch {
		case s == "":
			continue
		case strings.HasPrefix(s, "#type "):
			return CSV
		case s[0] == '#', line[0] == ' ': // a comment of LDIF, which may be folded
			continue
		case s[0] == '{', s[0] == '[':
			return JSON
		case colon && (name == "dn" || name == "version" || name == "search" || name == "ref" || name == "result"):
			return LDIF
		}
		return CSV
	}
	return CSV
}
