package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// The steps that stand in a journal.
const (
	stepStart     = "start"     // of a run
	stepEvaluated = "evaluated" // a device has a verdict
	stepDeleting  = "deleting"  // delete is about to be asked for
	stepDelete    = "delete"    // and this is what it answered
	stepLeft      = "left"      // the device was left as it is, for another run
	stepEnd       = "end"       // of a run that came to its end
)

// retireEntry is a line of the journal, and a row of the report. It never holds
// a token: what may be deleted is decided anew by every run.
type retireEntry struct {
	At            time.Time  `json:"at"`
	Run           string     `json:"run"`
	Step          string     `json:"step"`
	Mode          string     `json:"mode"`
	TenantID      string     `json:"tenantId,omitempty"`
	EndpointID    string     `json:"endpointId,omitempty"`
	Hostname      string     `json:"hostname,omitempty"`
	Line          int        `json:"line,omitempty"` // of the file
	Row           string     `json:"row,omitempty"`  // digest of what stood there
	Verdict       string     `json:"verdict,omitempty"`
	Outcome       string     `json:"outcome,omitempty"` // of the step
	ReasonCode    string     `json:"reasonCode,omitempty"`
	ReasonsText   string     `json:"reasonsText,omitempty"`
	LastSeenAt    *time.Time `json:"lastSeenAt,omitempty"`
	InactiveDays  *float64   `json:"inactiveDays,omitempty"`
	PolicyVersion string     `json:"policyVersion,omitempty"`
}

// dev is the device that the line is about.
func (e retireEntry) dev() action.Ref {
	return action.Ref{TenantID: e.TenantID, EndpointID: e.EndpointID}
}

// forGood reports whether the device is gone: no run needs to look at it again,
// whatever the file or the policy becomes.
func (e retireEntry) forGood() bool {
	return e.Step == stepDelete && (e.Outcome == api.OutcomeDeleted || e.Outcome == api.OutcomeAlreadyDeleted || e.Outcome == api.OutcomeGone)
}

// settled reports whether the device's delete was answered, and not with "not now"
// or "not known".
func (e retireEntry) settled() bool {
	if e.Step != stepDelete || e.ReasonCode == string(policy.TokenExpired) || e.ReasonCode == string(policy.ModeChanged) {
		return false // of what has run out there is a new one
	}
	return e.forGood() || e.Outcome == api.OutcomeRefused || e.Outcome == api.OutcomeFailed
}

// holds reports whether what settled the device does so for this row and policy
// too. Who edits the row, or the policy, asks anew; after a DELETE that failed a
// person must look at the device first, so there only the row counts.
func (e retireEntry) holds(row, policyVersion string) bool {
	switch {
	case e.forGood():
		return true
	case !e.settled() || e.Row != row:
		return false
	}
	return e.Outcome == api.OutcomeFailed || e.PolicyVersion == policyVersion
}

// retireJournal is what the runs of a file have done so far. Every line is on
// disk before the next step is taken.
type retireJournal struct {
	mu   sync.Mutex
	file *os.File
	last map[action.Ref]retireEntry // the last line of each device that still says something
}

// openRetireJournal opens the journal, or makes it, and keeps other runs from it.
// A last line that was cut off by a kill is taken away: the step that it would
// have told is looked at anew.
func openRetireJournal(path string) (*retireJournal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &retireJournal{file: file, last: map[action.Ref]retireEntry{}}
	if err := j.begin(path); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), file.Close())
	}
	return j, nil
}

func (j *retireJournal) begin(path string) error {
	err := syscall.Flock(int(j.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another run is using it")
	}
	if err != nil {
		return err
	}
	text, err := io.ReadAll(j.file)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if !cutLine(text[whole:]) {
		return errors.New("its last line is no line of a journal")
	}
	if err := j.read(text[:whole]); err != nil {
		return err
	}
	if err := j.file.Truncate(int64(whole)); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path)) // the file's name must survive too
}

// lineBegins is how every line of a journal begins, and lineTells what comes behind
// the time.
const (
	lineBegins = `{"at":"20`
	lineTells  = `","run":"`
)

// cutLine reports whether a text may be the begin of a line, or nothing at all.
func cutLine(text []byte) bool {
	if len(text) < len(lineBegins) {
		return strings.HasPrefix(lineBegins, string(text))
	}
	_, more, stands := bytes.Cut(text[len(lineBegins):], []byte(`"`))
	if more = append([]byte(`"`), more...); !stands {
		more = nil
	}
	n := min(len(more), len(lineTells))
	return bytes.HasPrefix(text, []byte(lineBegins)) && string(more[:n]) == lineTells[:n]
}

// syncFolder writes a folder's names to disk.
func syncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator names the file in it
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read takes up what earlier runs have done.
func (j *retireJournal) read(text []byte) error {
	line := 0
	for raw := range bytes.Lines(text) {
		line++
		var e retireEntry
		if err := json.Unmarshal(raw, &e); err != nil || e.Step == "" || e.At.IsZero() {
			return fmt.Errorf("line %d is no line of a journal", line)
		}
		switch {
		case e.Step == stepEnd:
			j.forgetVerdicts()
		case e.Step != stepStart && !j.last[e.dev()].forGood():
			j.last[e.dev()] = e
		}
	}
	return nil
}

// forgetVerdicts keeps only what is settled: a run that has ended decided for
// itself, and the next one decides anew.
func (j *retireJournal) forgetVerdicts() {
	for dev, e := range j.last {
		if !e.settled() {
			delete(j.last, dev)
		}
	}
}

// write puts a line on disk.
func (j *retireJournal) write(e retireEntry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// close lets other runs have it.
func (j *retireJournal) close() error { return j.file.Close() }
