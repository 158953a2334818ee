package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"rollcall/internal/adexport"
	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
	"rollcall/internal/record"
)

// candidatesCmd makes events of what the directory and Central say.
type candidatesCmd struct {
	readFlags   `group:"settings"`
	storeFlags  `group:"settings"`
	policyFlags `group:"settings"`

	AD         string   `name:"ad" required:"" placeholder:"FILE" help:"Export of the computer accounts: CSV or JSON of Get-ADComputer, or LDIF; - is standard input."`
	ADFormat   string   `name:"ad-format" enum:",csv,ldif,json" default:"" placeholder:"FORMAT" help:"csv, ldif or json (told by the content)."`
	DisabledAt string   `name:"disabled-at-field" default:"disabledAt" placeholder:"NAME" help:"The export's field with the time at which the account was disabled (${default}). AD itself keeps none; whenChanged is not it."`
	OU         []string `name:"ou" sep:"none" placeholder:"DN" help:"Take only accounts below this OU. Repeatable (the policy's disabledOUs)."`
	All        bool     `help:"Take every account, wherever it is."`
	Inventory  string   `placeholder:"FILE" help:"What \"rollcall inventory\" wrote as NDJSON or JSON, in place of Central itself; - is standard input."`
	ObservedAt string   `name:"observed-at" placeholder:"TIME" help:"When the directory was as the export says, in RFC 3339, or now (the time of the older of the two files). Needed with standard input."`
	Out        string   `placeholder:"FILE" help:"Where the events go (standard output). It is there once all is done, or not at all."`
	Unmatched  string   `placeholder:"FILE" help:"Where the accounts without an event go, as NDJSON, each with its reason."`
	Strict     bool     `help:"Fail at the first row that can't be read."`

	SkipUnreadable bool `help:"Go on without the rows of the export of which not even the names can be read. Without it they end it: each may be the account of a device in use."`
}

// Help is what --help says below the flags.
func (candidatesCmd) Help() string {
	return `Every account below the OUs is looked for among Central's devices by its short name, in any case; each device of that name makes an event, one a
line, as evaluate, the batch routes and "rollcall retire" take it. Which of them may go is for the policy to say. A name of 15 characters, at
which AD cuts names, also finds the devices of which it is the beginning, where no account has their whole name.

An account that finds no device is unmatched, and that says nothing of any device. An account whose name is also that of another account of its
domain, which is enabled or not in the OUs, is held back: the device may be the other's. So export the whole domain, not the OUs alone. And so is one that logged on a day
or more after Central last heard from the device, where the export has lastLogonTimestamp: it was in use, and its agent silent. A last logon
that can't be read (a spreadsheet's 1.34E+17, a date in a culture's words) may be any, and holds its account back too. An account that is listed
twice is one account; where the two rows differ, it is held back. What AD has deleted holds nobody back.

Rows that can't be read are told with their line and left out; with --strict the first one ends it. A row of the export that can't be read, but for
its names, holds every account of these names back: in its domain, or in any where that can't be read either. One of which not even the names
can be read (a cell too few, a quote that is not closed, a search that was not whole) ends it: mend the row, export anew, or go on with --skip-unreadable.

Events are as old as the older of the two files. How old standard input is nobody knows: say it with --observed-at, which may be the word now. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.`
}

// Run implements the command.
func (c *candidatesCmd) Run(ctx context.Context, p *process) error {
	policyFile, err := c.load(p)
	if err != nil {
		return err
	}
	s := &sifting{p: p, strict: c.Strict, roster: roster{all: c.All}, begun: time.Now().UTC()}
	s.observedAt = s.begun
	if s.roster.ous, err = c.ous(p, policyFile); err != nil {
		return err
	}
	if err := c.readAD(s); err != nil {
		return fmt.Errorf("%s: %w", c.AD, err)
	}
	records, done, err := c.records(s)
	if err != nil {
		return err
	}
	defer done()
	c.stamp(s)
	out, err := newSheet(p.stdout, c.Out)
	if err != nil {
		return err
	}
	defer out.drop()
	if err := s.sift(records(ctx), out); err != nil {
		return err
	}
	err = errors.Join(c.listUnmatched(s), out.keep())
	s.summary()
	return err
}

// load checks the flags that can be checked before anything is read, and finds the
// policy's file where its OUs are needed.
func (c *candidatesCmd) load(p *process) (policyFile string, err error) {
	switch {
	case c.All && len(c.OU) > 0:
		return "", usagef("--all and --ou contradict each other")
	case c.Strict && c.SkipUnreadable:
		return "", usagef("--strict and --skip-unreadable contradict each other")
	case c.AD == "-" && c.Inventory == "-":
		return "", usagef("only one of --ad and --inventory can be standard input")
	case c.ObservedAt == "" && (c.AD == "-" || c.Inventory == "-"):
		return "", usagef("how old standard input is can't be told: say with --observed-at when the directory was as the export says (--observed-at now, where it is made this moment)")
	}
	if _, ok := record.ParseTime(c.ObservedAt); c.ObservedAt != "" && c.ObservedAt != "now" && !ok {
		return "", usagef("--observed-at must be a time in RFC 3339 with its zone, or now")
	}
	for _, file := range []string{c.Out, c.Unmatched} {
		if _, err := os.Lstat(file); file != "" && err == nil {
			return "", usagef("%s is there already, and is not written over", file)
		}
	}
	if c.All || len(c.OU) > 0 {
		return "", nil
	}
	cfg, err := loadConfig(p, "PolicyFile")
	if err != nil {
		return "", fmt.Errorf("%w (or say with --ou or --all which accounts are meant)", err)
	}
	return cfg.PolicyFile, nil
}

// ous are the OUs of the flags, or else of the policy.
func (c *candidatesCmd) ous(p *process, policyFile string) ([]policy.DN, error) {
	if c.All {
		return nil, nil
	}
	var out []policy.DN
	for _, s := range c.OU {
		dn, err := record.ParseDN(s)
		if err != nil {
			return nil, usagef("--ou: %w", err)
		}
		out = append(out, dn)
	}
	if len(out) > 0 {
		return out, nil
	}
	params, err := policyfile.Load(policyFile)
	if err != nil {
		return nil, usagef("%s: %w", policyFile, err)
	}
	if len(params.VIP.Groups) > 0 {
		say(p.stderr, "note: an export of computers does not tell the groups of their users, so vip.groups of the policy meets only computers in them; "+
			"name the users in vip.users, or set require: [owner] in the policy")
	}
	return params.DisabledOUs, nil
}

// readAD reads the whole export, of which only the accounts below the OUs are kept.
func (c *candidatesCmd) readAD(s *sifting) error {
	in, age, err := openInput(s.p, c.AD)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	s.older(age)
	for row, err := range adexport.Read(in, adexport.Options{Format: adexport.Format(c.ADFormat), DisabledAt: c.DisabledAt}) {
		fault, single := errors.AsType[*adexport.Fault](err)
		switch {
		case single:
			s.roster.unreadable(fault)
			err = s.unreadableRow(c.AD, fault.Line, fault.Problem)
		case err == nil:
			err = s.roster.add(row)
		}
		if err != nil {
			return err
		}
	}
	s.faults.rest()
	if err := c.usable(&s.roster); err != nil {
		return err
	}
	s.roster.index()
	c.noteAD(s)
	return nil
}

// usable asks whether anything can be made of the export.
func (c *candidatesCmd) usable(r *roster) error {
	switch {
	case r.nameless > 0 && !c.SkipUnreadable:
		return fmt.Errorf("of %d rows, the first in line %d, not even the names can be read, and any candidate may be the one that is in use there: "+
			"mend them or export anew (--skip-unreadable leaves them out, and with them the look for namesakes among their accounts: a device in use may become a candidate)",
			r.nameless, r.firstNameless)
	case r.rows == 0:
		return errors.New("it holds no computer account that can be read")
	}
	return nil
}

// noteAD says what the export holds, and what it lacks.
func (c *candidatesCmd) noteAD(s *sifting) {
	r, w := &s.roster, s.p.stderr
	say(w, "%s: %d accounts, %d of them below the OUs", printable(c.AD), r.rows, len(r.taken))
	if len(r.taken) == 0 {
		say(w, "note: no account of the export lies below the OUs: see that it holds them, that the OUs are spelt as in its DNs, "+
			"and that it did not lose letters (? for umlauts: export with -Encoding UTF8)")
	}
	if r.unnamed > 0 {
		say(w, "note: of %d accounts managedBy is a display name, which no entry of vip.users can meet; export it as AD keeps it, as a DN", r.unnamed)
	}
	if !c.All && r.rows == len(r.taken) {
		say(w, "note: the export holds no account outside the OUs, so whether a name is in use elsewhere can't be seen. Export the whole domain.")
	}
	if r.unexpanded > 0 {
		say(w, "note: of %d accounts the export holds no groups but the name of a type; events say nothing of groups there. "+
			`Export them with: Select-Object *,@{n="MemberOf";e={$_.MemberOf -join ";"}} -ExcludeProperty MemberOf`, r.unexpanded)
	}
}

// stamp takes the time that was given in place of the files' own.
func (c *candidatesCmd) stamp(s *sifting) {
	if c.ObservedAt == "" {
		return
	}
	at, ok := record.ParseTime(c.ObservedAt)
	if !ok { // the word now
		at = s.begun
	}
	if at.After(s.observedAt) {
		say(s.p.stderr, "note: --observed-at is later than a file was written that the events rest on, at %s", s.observedAt.Format(time.RFC3339))
	}
	s.observedAt = at
}

// listUnmatched writes the accounts that made no event.
func (c *candidatesCmd) listUnmatched(s *sifting) error {
	if c.Unmatched == "" {
		return nil
	}
	out, err := newSheet(s.p.stdout, c.Unmatched)
	if err != nil {
		return err
	}
	defer out.drop()
	for _, a := range s.roster.taken {
		if reason := a.reason(); reason != "" {
			line := struct {
				Line      int             `json:"line"`
				Reason    string          `json:"reason"`
				Directory json.RawMessage `json:"directory"`
			}{a.line, reason, a.directory}
			if err := out.write(line); err != nil {
				return err
			}
		}
	}
	return out.keep()
}

// openInput opens a file that the operator names, and says when it was written.
func openInput(p *process, name string) (io.ReadCloser, time.Time, error) {
	if name == "-" {
		return io.NopCloser(p.stdin), time.Time{}, nil
	}
	f, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, time.Time{}, usageError{err}
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return nil, time.Time{}, usageError{errors.Join(fmt.Errorf("%s is no file", name), err, f.Close())}
	}
	return f, info.ModTime(), nil
}
