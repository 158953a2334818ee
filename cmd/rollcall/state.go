package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"rollcall/internal/ledger"
)

// stateCmd looks after the store.
type stateCmd struct {
	Init    stateInitCmd    `cmd:"" help:"Mark this Redis as rollcall's store, once; live mode does not start without the mark."`
	Restore stateRestoreCmd `cmd:"" help:"Rebuild a lost store from audit lines; refuses gaps. Stop the service first, and begin with an empty Redis or an older backup of it."`
}

// stateInitCmd marks the store.
type stateInitCmd struct {
	storeFlags     `group:"settings"`
	AcceptRollback bool `help:"Begin a new installation after the store was lost or rolled back: older tokens say nothing any more."`
}

// Run implements the command.
func (c stateInitCmd) Run(ctx context.Context, p *process) error {
	store, err := openStore(p)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if c.AcceptRollback {
		id, err := store.AcceptRollback(ctx, operator())
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		_, err = fmt.Fprintf(p.stdout, "marked anew, installation %s; tokens of before are refused\n", id)
		return err
	}
	id, existed, err := store.InitMark(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("store: %w", err)
	case existed:
		_, err = fmt.Fprintf(p.stdout, "already marked, installation %s\n", id)
	default:
		_, err = fmt.Fprintf(p.stdout, "marked, installation %s\n", id)
	}
	return err
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
	store, err := openStore(p)
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

// openStore opens the store for a command that needs nothing else.
func openStore(p *process) (*ledger.Store, error) {
	cfg, err := loadConfig(p, storeSettings()...)
	if err != nil {
		return nil, err
	}
	store, err := ledger.Open(cfg.store())
	if err != nil {
		return nil, usageError{err}
	}
	return store, nil
}

// operator is the user of the operating system.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}
