package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/ledger"
	"rollcall/internal/policy"
)

// errLeft ends a run that did not do all that it was to do.
var errLeft = errors.New("not all was done; run it again to go on where it stopped")

// retireCmd takes a file of devices through evaluate and delete.
type retireCmd struct {
	storeFlags   `group:"settings"`
	serviceFlags `group:"settings"`

	File     string        `required:"" placeholder:"FILE" help:"Events, or rows of the inventory or of Sophos's connector: JSON in any shape, rows of the inventory also as CSV."`
	Live     bool          `help:"Really delete. Needs ROLLCALL_MODE=live (or --mode live) as well; without both nothing is deleted."`
	Yes      []string      `sep:"none" placeholder:"TENANT:COUNT" help:"For scripts, instead of typing it: the tenant's id and how many of its devices will be deleted. Once for each tenant; must match exactly."`
	Journal  string        `placeholder:"FILE" help:"What was done, step by step; the same file lets a run that was stopped go on (FILE.journal.ndjson)."`
	Report   []string      `sep:"none" placeholder:"FILE" help:"Write a report at the end: FILE ends in .json, .csv or .html. Repeatable."`
	SkipBad  bool          `help:"Go on without the lines that can't be used. Without it, one such line stops everything."`
	Wait     time.Duration `default:"10m" placeholder:"TIME" help:"How long at most to wait for one device's turn: spacing, Central's limits, an inventory that is being read (${default})."`
	Parallel int           `default:"32" placeholder:"N" help:"How many devices to evaluate at once (${default}). Deletes come one after another."`
}

// Help is what --help says below the flags.
func (retireCmd) Help() string {
	return `Every device of the file is evaluated first, with the policy, the store and the limits of the service, and a table shows the verdicts and what would
be deleted, oldest last-seen first. With --live the tenant's id and the number of devices are then to be typed, and only then devices are
deleted, one after another, each looked at again right before.

An inventory row has no facts of the directory, and the verdict on it is manual, DIRECTORY_MISSING: a list that a person has edited is no
directory. "rollcall candidates" makes events with these facts.

The journal keeps what became of each device, and the next run with the same journal passes it over: for good where it is deleted or gone; while
its row and the policy are the same where the delete was refused; and while its row is the same where the delete failed, since a person must
look there first (GET /v1/failures tells why). To have it asked for again, edit the row. The journal holds no tokens.

The run ends where the policy file changes after the table; the next one shows a new table. A device whose record in Central changed after it, but not
its last-seen time, is evaluated once more, and deleted only where the verdict is the same.

The audit trail is written as ever; its lines are exported by "rollcall serve".

Exit codes: 0 all done, 1 something was left, failed or not confirmed, 2 wrong usage or configuration.`
}

// Run implements the command.
func (c *retireCmd) Run(ctx context.Context, p *process) error {
	yes, err := c.check()
	if err != nil {
		return err
	}
	cfg, force, err := c.load(p)
	if err != nil {
		return err
	}
	rows, err := c.read(p)
	if err != nil {
		return err
	}
	journal, err := openRetireJournal(c.Journal)
	if err != nil {
		return err
	}
	defer func() { _ = journal.close() }()
	store, err := ledger.Open(cfg.store())
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = store.Close() }()
	s := service{cfg: cfg, force: force, store: store}
	if s.mark, err = c.trusted(ctx, p, cfg, store); err != nil {
		return err
	}
	client, runner, err := s.actions()
	if err != nil {
		return err
	}
	defer client.Close()
	r := &retireRun{
		cmd: c, p: p, runner: runner, rules: force.Rules().Params, journal: journal, mode: cfg.Mode, yes: yes,
		policyFile: cfg.PolicyFile, id: uuid.NewString(), begun: time.Now(), settle: 2 * (cfg.ActionTimeout + cfg.CentralTimeout),
	}
	r.take(rows)
	return r.run(ctx)
}

// check finds out whether the flags make sense, before anything is read.
func (c *retireCmd) check() (map[string]int, error) {
	if c.Journal == "" {
		c.Journal = c.File + ".journal.ndjson"
	}
	if c.Parallel < 1 || c.Parallel > 256 || c.Wait < 0 {
		return nil, usagef("--parallel must be from 1 to 256, and --wait not negative")
	}
	taken := []string{absolute(c.File)}
	for _, file := range append([]string{c.Journal}, c.Report...) {
		if slices.Contains(taken, absolute(file)) {
			return nil, usagef("%s is named for two things", file)
		}
		taken = append(taken, absolute(file))
		if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
			return nil, usagef("%s: there is no such folder", file)
		}
	}
	for _, file := range c.Report {
		if !slices.Contains([]string{".json", ".csv", ".html"}, strings.ToLower(filepath.Ext(file))) {
			return nil, usagef("--report %s: the name must end in .json, .csv or .html", file)
		}
	}
	if len(c.Yes) > 0 && !c.Live {
		return nil, usagef("--yes says what --live may delete, and --live is not given")
	}
	return readYes(c.Yes)
}

// absolute names a file in one way only.
func absolute(path string) string {
	whole, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	if real, err := filepath.EvalSymlinks(whole); err == nil {
		return real
	}
	return whole
}

// load reads the configuration that serve has, but for what concerns its callers.
// Without --live the mode is dry-run, whatever the service's is.
func (c *retireCmd) load(p *process) (Config, *inForce, error) {
	cfg, bad := readConfig(p, append(storeSettings(), "Mode", "PolicyFile", "TokenKeys", "CentralClientID", "CentralClientSecret",
		"CentralDeleteClientID", "CentralDeleteClientSecret", "CentralIDURL", "CentralAPIURL", "CentralTimeout", "ActionTimeout")...)
	cfg.APIKeysFile, cfg.TLSCert, cfg.TLSKey = "", "", ""
	force := &inForce{}
	if more, ok := errors.AsType[faults](force.load(cfg)); ok {
		bad = append(bad, more...)
	}
	if err := bad.err(); err != nil {
		return Config{}, nil, err
	}
	switch {
	case c.Live && cfg.Mode != action.LiveMode:
		return Config{}, nil, usagef("--live deletes devices only where ROLLCALL_MODE=live (or --mode live) is set as well, and the mode is %s", cfg.Mode)
	case !c.Live:
		cfg.Mode = action.DryRun
	}
	return cfg, force, nil
}

// read reads the whole file and tells every line that can't be used.
func (c *retireCmd) read(p *process) ([]retireRow, error) {
	file, err := readRetireFile(c.File)
	if err != nil {
		return nil, err
	}
	told := faultTeller{w: p.stderr, file: c.File}
	for _, bad := range file.bad {
		told.tell(bad.line, bad.text)
	}
	told.rest()
	switch n := len(file.bad); {
	case n > 0 && !c.SkipBad:
		return nil, fmt.Errorf("%d lines of %s can't be used; mend them, or leave them out with --skip-bad; nothing was done", n, c.File)
	case len(file.rows) == 0:
		return nil, fmt.Errorf("%s names no device", c.File)
	}
	return file.rows, nil
}

// trusted asks of the store what serve asks of it, and that it answers.
func (c *retireCmd) trusted(ctx context.Context, p *process, cfg Config, store *ledger.Store) (mark string, err error) {
	log := logger(p.stderr, max(cfg.LogLevel, zerolog.WarnLevel))
	redis.SetLogger(redisLog{log})
	if err := store.Ping(ctx); err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	weak, mark, err := trust(ctx, cfg, store, log)
	if err != nil || cfg.Mode != action.LiveMode {
		return "", err
	}
	for _, w := range weak {
		_, _ = fmt.Fprintln(p.stderr, "warning:", w)
	}
	return mark, nil
}

// retireRun is one run of the command.
type retireRun struct {
	cmd        *retireCmd
	p          *process
	runner     *action.Runner
	rules      policy.Params
	journal    *retireJournal
	mode       string
	yes        map[string]int // tenant: count, as given for scripts; nil = to be typed
	policyFile string
	id         string
	begun      time.Time
	settle     time.Duration // how long what outlives its action is waited for at the end
	items      []*retireItem // in the order of the file
	doomed     []*retireItem // what may be deleted, oldest last-seen first
}

// retireItem is one device on its way.
type retireItem struct {
	retireRow
	is     retireEntry // what is known of it
	token  string      // of a verdict of this run; never written anywhere
	passed bool        // what is known comes from an earlier run
	// shownAs is the host name under which the operator has confirmed it.
	shownAs string
}

// run evaluates, shows, asks, deletes and reports. What was interrupted is told
// in journal and report as well.
func (r *retireRun) run(ctx context.Context) error {
	if err := r.journal.write(r.entry(stepStart)); err != nil {
		return err
	}
	err := r.evaluateAll(ctx)
	if err == nil {
		r.choose()
		err = r.table()
	}
	if err == nil && r.cmd.Live {
		err = r.deleteConfirmed(ctx)
	}
	if err == nil || errors.Is(err, errLeft) { // not cut short: the next run decides anew
		err = errors.Join(err, r.journal.write(r.entry(stepEnd)))
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.settle)
	defer cancel()
	if wait := r.runner.Wait(end); wait != nil {
		err = errors.Join(err, fmt.Errorf("a delete was still under way at the end; the service settles it: %w", wait))
	}
	return errors.Join(err, r.report(err))
}

// deleteConfirmed deletes what the operator has confirmed.
func (r *retireRun) deleteConfirmed(ctx context.Context) error {
	if len(r.doomed) == 0 {
		return nil
	}
	if err := r.confirm(ctx); err != nil {
		return err
	}
	cut := r.deleteAll(ctx)
	done, err := r.outcomes()
	if err = errors.Join(cut, err); err == nil && !done {
		err = errLeft
	}
	return err
}

// entry starts a line of the journal.
func (r *retireRun) entry(step string) retireEntry {
	return retireEntry{At: time.Now().UTC(), Run: r.id, Step: step, Mode: r.mode, PolicyVersion: r.rules.Version}
}

// note writes what became of a device down, and keeps it.
func (r *retireRun) note(it *retireItem, step string) error {
	it.is.At, it.is.Run, it.is.Step = time.Now().UTC(), r.id, step
	return r.journal.write(it.is)
}

// call says in the audit trail who did it.
func (r *retireRun) call() action.Call { return action.Call{RequestID: r.id, Key: operator()} }

// take begins with the rows, and passes over what earlier runs have settled.
func (r *retireRun) take(rows []retireRow) {
	for _, row := range rows {
		it := &retireItem{retireRow: row}
		if e, known := r.journal.last[row.dev]; known && r.stands(e, row) {
			it.is, it.passed = e, true
		} else {
			it.is = r.entry("")
			it.is.TenantID, it.is.EndpointID, it.is.Row = row.dev.TenantID, row.dev.EndpointID, row.digest
			it.is.Hostname = row.event.Central.Hostname.Value
		}
		it.is.Line = row.line
		r.items = append(r.items, it)
	}
}

// stands reports whether a line of an earlier run still holds. What was done does,
// and what was refused while row and policy are the same. A verdict does where the
// run was cut short and all that it rests on is the same and young; one that time or
// a repetition may change is asked for again, and so is one that leads to a delete.
func (r *retireRun) stands(e retireEntry, row retireRow) bool {
	if e.settled() {
		return e.holds(row.digest, r.rules.Version)
	}
	if e.Step != stepEvaluated || e.Mode != r.mode || e.Row != row.digest || e.PolicyVersion != r.rules.Version || r.begun.Sub(e.At) > r.rules.VerdictTTL {
		return false
	}
	return e.Verdict == api.OutcomeManual || e.Verdict == api.OutcomeKeep || e.Verdict == api.OutcomeDelete && r.mode == action.DryRun
}

// say writes a line for a person.
func say(w io.Writer, format string, a ...any) { _, _ = fmt.Fprintf(w, format+"\n", a...) }
