package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// retireDrawEach is how often the bar is drawn anew, at most.
const retireDrawEach = 100 * time.Millisecond

// retireProgress shows how far something is: a bar on a terminal,
// else lines at every tenth of the way.
type retireProgress struct {
	mu    sync.Mutex
	w     io.Writer
	what  string
	of    int
	done  int
	bar   bool
	drawn time.Time
	told  int // tenths
}

func newRetireProgress(p *process, what string, of int) *retireProgress {
	return &retireProgress{w: p.stderr, what: what, of: of, bar: p.drawsBar()}
}

// step says that one more is done.
func (b *retireProgress) step() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done++
	tenths := b.done * 10 / b.of
	switch {
	case b.bar && (time.Since(b.drawn) >= retireDrawEach || b.done == b.of):
		b.draw()
	case !b.bar && tenths > b.told:
		b.told = tenths
		say(b.w, "%d of %d %s", b.done, b.of, b.what)
	}
}

func (b *retireProgress) draw() {
	b.drawn = time.Now()
	_, _ = fmt.Fprintf(b.w, "\r%s %d of %d %s\x1b[K", bar(b.done, b.of), b.done, b.of, b.what)
}

// say writes a line without spoiling the bar.
func (b *retireProgress) say(format string, a ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar {
		_, _ = fmt.Fprint(b.w, "\r\x1b[K")
	}
	say(b.w, format, a...)
}

// end leaves the bar's line.
func (b *retireProgress) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar && !b.drawn.IsZero() {
		_, _ = fmt.Fprintln(b.w)
	}
}
