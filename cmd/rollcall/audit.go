package main

import (
	"context"
	"errors"
	"fmt"
	"os"

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
	entries, tenants, err := c.verify(ctx, p)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "the chain is whole: %d entries of %d tenants\n", entries, tenants)
	return err
}

func (c auditVerifyCmd) verify(ctx context.Context, p *process) (entries, tenants int, err error) {
	if len(c.Audit) > 0 {
		lines, err := auditLines(p, c.Audit)
		if err != nil {
			return 0, 0, err
		}
		return lines.Check() // counts
	}
	store, err := openStore(ctx, p)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = store.Close() }()
	return store.VerifyAudit(ctx)
}

// auditLines reads files of audit lines; - is standard input. Files without a
// line are a mistake: a chain that is whole because nobody looked proves nothing.
func auditLines(p *process, files []string) (*ledger.AuditLines, error) {
	lines := &ledger.AuditLines{}
	for _, name := range files {
		if err := readAudit(p, lines, name); err != nil {
			return nil, err
		}
	}
	n, _, err := lines.Check()
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, errors.New("there is no audit line to read")
	}
	return lines, nil
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
	storeFlags `group:"settings"`
	Audit      []string `name:"audit" required:"" placeholder:"FILE" help:"Files of audit lines as serve wrote them to standard output, in any order; - is standard input."`
}

// Run implements the command.
func (c stateRestoreCmd) Run(ctx context.Context, p *process) error {
	lines, err := auditLines(p, c.Audit)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, p)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	done, err := store.Restore(ctx, lines, operator())
	if err != nil {
		return fmt.Errorf("not restored: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "restored %d entries of %d tenants, installation %s\n"+
		"approvals that were waiting are undecided again; tickets that were open can be closed with keep or none\n", done.Entries, done.Tenants, done.Installation)
	return err
}
