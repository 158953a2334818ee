package main

import (
	"fmt"

	"rollcall/internal/policyfile"
)

// policyCmd groups what is done with policy files.
type policyCmd struct {
	Check policyCheckCmd `cmd:"" help:"Validate a policy file and list every fault with its line; exit 1 on faults."`
}

type policyCheckCmd struct {
	File string `arg:"" help:"The policy file."`
}

// Run checks the file as serve would.
func (c *policyCheckCmd) Run(p *process) error {
	params, err := policyfile.Load(c.File)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	_, err = fmt.Fprintf(p.stdout, "%s: no faults; policy version %s\n", c.File, params.Version)
	return err
}
