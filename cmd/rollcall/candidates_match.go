package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// matchedEvent is an event: one account, and one device that bears its name.
type matchedEvent struct {
	ObservedAt time.Time       `json:"observedAt"`
	Directory  json.RawMessage `json:"directory"`
	Central    json.RawMessage `json:"central"`
}

// sifting is one run.
type sifting struct {
	p          *process
	strict     bool
	roster     roster
	begun      time.Time
	observedAt time.Time
	faults     faultTeller

	unreadable int
	devices    int
	events     int
}

// older sets the events back to the age of what they rest on. The zero time is
// that of standard input, which has none.
func (s *sifting) older(at time.Time) {
	if !at.IsZero() && at.Before(s.observedAt) {
		s.observedAt = at.UTC().Truncate(time.Second)
	}
}

// unreadableRow tells and counts a row that can't be read. It is an error where
// every row must be.
func (s *sifting) unreadableRow(file string, line int, problem string) error {
	s.unreadable++
	if s.strict {
		return fmt.Errorf("line %d: %s", line, printable(problem))
	}
	s.faults.w, s.faults.file = s.p.stderr, file
	s.faults.tell(line, problem)
	return nil
}

// sift writes an event for each device and each account whose name it bears.
func (s *sifting) sift(devices iter.Seq2[centralRecord, error], out *sheet) error {
	for d, err := range devices {
		if err != nil {
			return err
		}
		s.devices++
		for _, a := range s.roster.find(d.hostname) {
			if a.loggedOnSince(d.lastSeen) {
				continue
			}
			if err := out.write(matchedEvent{s.observedAt, a.directory, d.raw}); err != nil {
				return err
			}
			a.matched = true
			s.events++
		}
	}
	if s.devices == 0 {
		return errors.New("the inventory holds no device")
	}
	return nil
}

// summary says what became of the rows.
func (s *sifting) summary() {
	var disabled, matched, unmatched, held int
	for _, a := range s.roster.taken {
		if a.disabled != nil && *a.disabled {
			disabled++
		}
		switch {
		case a.matched:
			matched++
		case a.why != "":
			held++
		default:
			unmatched++
		}
	}
	say(s.p.stderr, "rows %d, below the OUs %d, disabled %d, devices %d, matched %d, events %d, unmatched %d, held back %d, unreadable %d",
		s.roster.rows, len(s.roster.taken), disabled, s.devices, matched, s.events, unmatched, held, s.unreadable)
}
