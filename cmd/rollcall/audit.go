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
	store, err := openStore(p)
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
