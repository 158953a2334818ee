package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"rollcall/internal/ledger"
)

// auditCmd groups what is done with the audit trail.
type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check the audit chain, in the store or in audit lines; exit 1 at the first broken link."`
}

// auditVerifyCmd checks the chain.
type auditVerifyCmd struct {
	storeFlags `group:"settings"`
	Audit      []string `name:"audit" placeholder:"FILE" help:"Files of audit lines as serve wrote them to standard output, in any order; - is standard input. Without, the store is checked."`
}

// Run implements the command.
func (c auditVerifyCmd) Run(ctx context.Context, p *process) error {
	r, err := c.verify(ctx, p)
	if err != nil {
		return err
	}
	for _, place := range r.GivenUp {
		_, _ = fmt.Fprintln(p.stderr, "note:", place)
	}
	_, err = fmt.Fprintf(p.stdout, "the chain is whole: %d entries of %d tenants\n", r.Entries, r.Tenants)
	return err
}

func (c auditVerifyCmd) verify(ctx context.Context, p *process) (ledger.AuditReport, error) {
	if len(c.Audit) > 0 {
		_, r, err := auditLines(p, c.Audit)
		return r, err
	}
	store, err := openStore(ctx, p)
	if err != nil {
		return ledger.AuditReport{}, err
	}
	defer func() { _ = store.Close() }()
	return store.VerifyAudit(ctx)
}

// auditLines reads files of audit lines; - is standard input. Files without a
// line are a mistake: a chain that is whole because nobody looked proves nothing.
func auditLines(p *process, files []string) (*ledger.AuditLines, ledger.AuditReport, error) {
	lines := &ledger.AuditLines{}
	for _, name := range files {
		if err := readAudit(p, lines, name); err != nil {
			return nil, ledger.AuditReport{}, err
		}
	}
	r, err := lines.Check()
	if err == nil && r.Entries == 0 {
		err = errors.New("there is no audit line to read")
	}
	return lines, r, err
}

func readAudit(p *process, lines *ledger.AuditLines, name string) error {
	if name == "-" {
		return lines.Read("standard input", p.stdin)
	}
	f, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = f.Close() }()
	return lines.Read(name, f)
}

// stateRestoreCmd rebuilds a store.
type stateRestoreCmd struct {
	storeFlags     `group:"settings"`
	AcceptRollback bool     `help:"Leave out entries that were given up before, at an accepted rollback or a restore."`
	Audit          []string `name:"audit" required:"" placeholder:"FILE" help:"Files of audit lines as serve wrote them to standard output, in any order; - is standard input."`
}

// Run implements the command.
func (c stateRestoreCmd) Run(ctx context.Context, p *process) error {
	lines, _, err := auditLines(p, c.Audit)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, p)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	done, err := store.Restore(ctx, lines, operator(), c.AcceptRollback)
	if err != nil {
		return fmt.Errorf("not restored: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "restored %d entries of %d tenants, the newest of %s, installation %s\n"+
		"approvals that were waiting are undecided again; tickets that were open can be closed with keep or none\n", done.Entries, done.Tenants, done.Until.UTC().Format(time.RFC3339), done.Installation)
	return err
}
