package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"rollcall/internal/action"
)

const (
	barCells  = 24
	plainStep = 5000 // devices between two plain lines
	nameMost  = 32   // characters of a tenant's name
)

// progress tells a person how far the list is: on a terminal in one line that is
// written over again and again, else in plain lines.
type progress struct {
	w       io.Writer
	bar     bool
	onLine  bool // the bar stands on the line
	told    int  // devices of the tenant at the last plain line
	tenants int  // read whole
	devices int  // read, of those
	skipped int
	unknown int // listed, of unknown age
}

func newProgress(p *process) *progress {
	return &progress{w: p.stderr, bar: p.drawsBar()}
}

// drawsBar reports whether progress is shown as a bar, which is drawn anew in its
// line: on a terminal that can.
func (p *process) drawsBar() bool { return terminal(p.stderr) && p.environ["TERM"] != "dumb" }

// terminal reports whether a writer is a terminal.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// page tells of a page.
func (g *progress) page(page action.InventoryPage, listed int) {
	name := page.TenantID
	if page.TenantName != "" {
		name = short(printable(page.TenantName))
	}
	if page.Skipped != nil {
		g.skipped++
		g.line("skipped: tenant %s (%s): %s", name, page.TenantID, page.Skipped.Text)
		return
	}
	for _, d := range page.Devices {
		if !d.InactiveDays.Known() {
			g.unknown++
		}
	}
	whole := page.Next == ""
	if whole {
		g.tenants++
		g.devices += page.Read
	}
	text := fmt.Sprintf("tenant %d of %d, %s: %s of %s devices read, %s listed", page.Number, page.Of, name, grouped(page.Read), grouped(max(page.Announced, page.Read)), grouped(listed))
	switch {
	case g.bar:
		_, _ = fmt.Fprintf(g.w, "\r%s %s\x1b[K", bar(page.Read, page.Announced), text)
		g.onLine = true
	case whole || page.Read-g.told >= plainStep:
		g.line("%s", text)
		g.told = page.Read
	}
	if whole {
		g.told = 0
	}
}

// end tells what it came to.
func (g *progress) end(rows int) {
	text := fmt.Sprintf("%s rows; %s devices of %d tenants read to their end", grouped(rows), grouped(g.devices), g.tenants)
	if g.skipped > 0 {
		text += fmt.Sprintf("; %d tenants skipped", g.skipped)
	}
	if g.unknown > 0 {
		text += fmt.Sprintf("; of %s listed devices the age is not known", grouped(g.unknown))
	}
	g.line("%s", text)
}

// line writes a line of its own.
func (g *progress) line(format string, a ...any) {
	if g.onLine {
		_, _ = fmt.Fprintln(g.w)
		g.onLine = false
	}
	_, _ = fmt.Fprintf(g.w, format+"\n", a...)
}

// bar draws a part of a whole.
func bar(part, whole int) string {
	full := 0
	if whole > 0 {
		full = min(barCells, barCells*part/whole)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barCells-full) + "]"
}

// grouped is a number with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short cuts a name that is too long for one line.
func short(s string) string {
	if r := []rune(s); len(r) > nameMost {
		return string(r[:nameMost-1]) + "…"
	}
	return s
}
