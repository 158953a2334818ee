package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/httpapi"
)

// listing writes rows of the inventory in one form. In JSON and NDJSON a row is a
// line, so that a person can take lines out.
type listing struct {
	form  string
	out   *bufio.Writer
	csv   *csv.Writer
	count int // rows so far, those of an earlier run too
	goOn  bool
}

func newListing(form string, w io.Writer) *listing {
	l := &listing{form: form, out: bufio.NewWriterSize(w, 64<<10)}
	l.csv = csv.NewWriter(l.out)
	return l
}

// begin writes what stands before the rows, unless it stands there already.
func (l *listing) begin() (err error) {
	switch {
	case l.goOn:
	case l.form == "json":
		_, err = l.out.WriteString(`{"items":[`)
	case l.form == "csv":
		err = l.csv.Write(httpapi.InventoryColumns())
	}
	return err
}

// write writes a row.
func (l *listing) write(row api.InventoryDevice) error {
	l.count++
	if l.form == "csv" {
		return l.csv.Write(httpapi.InventoryCells(row))
	}
	text, err := httpapi.Line(row)
	if err != nil {
		return fmt.Errorf("row: %w", err)
	}
	if l.form == "json" {
		text = append([]byte("\n"), bytes.TrimSuffix(text, []byte("\n"))...)
		if l.count > 1 {
			text = append([]byte(","), text...)
		}
	}
	_, err = l.out.Write(text)
	return err
}

// flush hands on what was written.
func (l *listing) flush() error {
	l.csv.Flush()
	return errors.Join(l.csv.Error(), l.out.Flush())
}

// end writes what stands behind the rows.
func (l *listing) end() error {
	if l.form == "json" {
		if _, err := fmt.Fprintf(l.out, "\n],\"count\":%d,\"next\":null}\n", l.count); err != nil {
			return err
		}
	}
	return l.flush()
}

// inventoryFile is where a list goes, with what is needed to go on with it.
type inventoryFile struct {
	rows    *listing
	from    action.Halt // where it goes on
	name    string      // empty = standard output
	part    *os.File
	journal *os.File
}

// inventoryLine is a line of the journal: the options at its head, then a line for
// every page that is whole in the list.
type inventoryLine struct {
	Options   string   `json:"options,omitempty"`
	TenantID  string   `json:"tenantId,omitempty"`
	Key       string   `json:"key,omitempty"` // empty = the tenant is finished
	Read      int      `json:"read,omitempty"`
	Announced int      `json:"announced,omitempty"`
	IDs       []string `json:"ids,omitempty"`
	Rows      int      `json:"rows"`
	Bytes     int64    `json:"bytes"` // of the list, up to the end of the page
}

// open opens where the list goes.
func (c *inventoryCmd) open(p *process, want action.Wanted) (*inventoryFile, error) {
	f := &inventoryFile{name: c.Out, rows: newListing(c.Format, p.stdout)}
	if c.Out == "" {
		return f, nil
	}
	if _, err := os.Lstat(c.Out); err == nil {
		return nil, usagef("%s is there already, and is not written over", c.Out)
	}
	var err error
	if f.part, err = os.OpenFile(partOf(c.Out), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, usageError{err}
	}
	if f.journal, err = os.OpenFile(journalOf(c.Out), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, errors.Join(usageError{err}, f.close())
	}
	f.rows = newListing(c.Format, f.part)
	id := p.flags[prefix+"CENTRAL_CLIENT_ID"]
	if id == "" {
		id = p.environ[prefix+"CENTRAL_CLIENT_ID"]
	}
	if err := f.start(c.options(want, id), c.Resume); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// start begins anew, or goes on behind the last page that both files hold.
func (f *inventoryFile) start(options string, resume bool) error {
	var at inventoryLine
	var journal int64
	if resume {
		var err error
		if at, journal, err = f.read(options); err != nil {
			return err
		}
	}
	err := errors.Join(shorten(f.part, at.Bytes), shorten(f.journal, journal))
	if err == nil && journal == 0 {
		f.from = action.Halt{}
		err = f.append(inventoryLine{Options: options})
	}
	f.rows.count, f.rows.goOn = at.Rows, at.Bytes > 0
	return err
}

// shorten takes what is behind a place away.
func shorten(f *os.File, at int64) error {
	if err := f.Truncate(at); err != nil {
		return err
	}
	_, err := f.Seek(at, io.SeekStart)
	return err
}

// read reads the journal of an earlier run, up to its last whole line. One of other
// options is none to go on with: two lists would be mixed.
func (f *inventoryFile) read(options string) (last inventoryLine, end int64, err error) {
	info, err := f.part.Stat()
	if err != nil {
		return last, 0, err
	}
	in := bufio.NewReader(f.journal)
	for {
		text, err := in.ReadBytes('\n')
		var l inventoryLine
		if err != nil || json.Unmarshal(text, &l) != nil { // the end, or a line that was being written
			return last, end, nil
		}
		switch {
		case end == 0 && l.Options != options:
			return last, 0, usagef("%s was begun with other options: give those, or leave out --resume to begin anew", f.name)
		case l.Bytes > info.Size():
			return last, 0, fmt.Errorf("%s is shorter than its journal says; leave out --resume to begin anew", partOf(f.name))
		}
		end += int64(len(text))
		last = l
		f.took(l)
	}
}

// took follows a line of the journal.
func (f *inventoryFile) took(l inventoryLine) {
	switch {
	case l.Options != "":
	case l.Key == "":
		f.from = action.Halt{Done: append(f.from.Done, l.TenantID)}
	default:
		f.from.TenantID, f.from.Key, f.from.Read, f.from.Announced = l.TenantID, l.Key, l.Read, l.Announced
		f.from.IDs = append(f.from.IDs, l.IDs...)
	}
}

// note puts on record that a page is whole in the list.
func (f *inventoryFile) note(page action.InventoryPage) error {
	if err := f.rows.flush(); err != nil || f.journal == nil {
		return err
	}
	at, err := f.part.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	l := inventoryLine{TenantID: page.TenantID, Key: page.Next, Rows: f.rows.count, Bytes: at}
	if page.Next != "" {
		l.Read, l.Announced, l.IDs = page.Read, page.Announced, page.IDs
	}
	return f.append(l)
}

// append writes a line of the journal.
func (f *inventoryFile) append(l inventoryLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = f.journal.Write(append(b, '\n'))
	return err
}

// done gives the list, which is whole, its name.
func (f *inventoryFile) done() error {
	if f.part == nil {
		return nil
	}
	if err := f.part.Sync(); err != nil {
		return err
	}
	if _, err := os.Lstat(f.name); err == nil {
		return fmt.Errorf("%s has come to be there meanwhile, and is not written over: the list is in %s", f.name, f.part.Name())
	}
	return errors.Join(os.Rename(f.part.Name(), f.name), os.Remove(f.journal.Name()))
}

// discard takes the files of a list away that there is nothing to go on with.
func (f *inventoryFile) discard() error {
	if f.part == nil {
		return nil
	}
	return errors.Join(os.Remove(f.part.Name()), os.Remove(f.journal.Name()))
}

// close closes the files.
func (f *inventoryFile) close() error {
	var all []error
	for _, file := range []*os.File{f.part, f.journal} {
		if file != nil {
			all = append(all, file.Close())
		}
	}
	return errors.Join(all...)
}
