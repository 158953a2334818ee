package main

import (
	"context"
	"fmt"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
	"rollcall/internal/record"
)

// switchFlags say who throws a switch, and why.
type switchFlags struct {
	storeFlags `group:"settings"`
	Tenant     *string `placeholder:"UUID" help:"Only this tenant; else all."`
	Reason     string  `required:"" help:"Why, for the audit trail."`
	By         string  `help:"Who; the user of the operating system if not given."`
}

// throw throws a switch right in the store, so that it works while the service
// is down.
func (f switchFlags) throw(ctx context.Context, p *process, how func(*ledger.Store, action.Switch) (action.SwitchState, error)) error {
	tenant := ""
	if f.Tenant != nil {
		var ok bool
		if tenant, ok = record.ID(*f.Tenant); !ok {
			return usagef("--tenant must be a tenant's id (a UUID), and %q is none", *f.Tenant)
		}
	}
	if record.Placeholder(f.By) {
		return usagef("--by %q is what a template leaves where it has no value; name the person", f.By)
	}
	store, err := openStore(p)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if mark, err := store.Mark(ctx); err == nil && mark == "" {
		_, _ = fmt.Fprintln(p.stderr, "warning: this Redis does not have rollcall's mark; is it the one that the service uses?")
	}
	st, err := how(store, action.Switch{TenantID: tenant, Reason: f.Reason, By: f.by()})
	if err != nil {
		return fmt.Errorf("it is not known whether the switch was thrown: %w", err)
	}
	scope := "all tenants"
	if st.TenantID != "" {
		scope = "tenant " + st.TenantID
	}
	_, err = fmt.Fprintf(p.stdout, "%s: paused %t, circuit open %t\n", scope, st.Paused, st.CircuitOpen)
	return err
}

// by is who is to stand in the audit trail.
func (f switchFlags) by() string {
	if f.By != "" {
		return f.By
	}
	return operator()
}

// pauseCmd stops deletes.
type pauseCmd struct{ switchFlags }

// Run implements the command.
func (c pauseCmd) Run(ctx context.Context, p *process) error {
	return c.throw(ctx, p, func(s *ledger.Store, w action.Switch) (action.SwitchState, error) { return s.Pause(ctx, w) })
}

// resumeCmd lets deletes go on.
type resumeCmd struct{ switchFlags }

// Run implements the command.
func (c resumeCmd) Run(ctx context.Context, p *process) error {
	return c.throw(ctx, p, func(s *ledger.Store, w action.Switch) (action.SwitchState, error) { return s.Resume(ctx, w) })
}

// circuitResetCmd closes the circuit.
type circuitResetCmd struct{ switchFlags }

// Run implements the command.
func (c circuitResetCmd) Run(ctx context.Context, p *process) error {
	return c.throw(ctx, p, func(s *ledger.Store, w action.Switch) (action.SwitchState, error) { return s.ResetCircuit(ctx, w) })
}
