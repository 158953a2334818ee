package main

import (
	"errors"
	"fmt"
	"time"

	"rollcall/internal/httpapi"
	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

// policyCmd groups what is done with policy files.
type policyCmd struct {
	Check  policyCheckCmd  `cmd:"" help:"Validate a policy file and list every fault with its line, and warnings; exit 1 on faults."`
	Replay policyReplayCmd `cmd:"" help:"Ask a policy that is not in force yet about the decisions on record, and show what would change. Changes nothing."`
}

type policyCheckCmd struct {
	File string `arg:"" help:"The policy file."`
}

// Run checks the file as serve would.
func (c *policyCheckCmd) Run(p *process) error {
	params, err := loadCandidate(c.File)
	if err != nil {
		return err
	}
	for _, w := range policyfile.Warnings(params, time.Now()) {
		if _, err := fmt.Fprintf(p.stdout, "%s: warning: %s\n", c.File, w); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(p.stdout, "%s: no faults; policy version %s\n", c.File, params.Version)
	return err
}

// loadCandidate reads a policy file that is not in force.
func loadCandidate(file string) (policy.Params, error) {
	params, err := policyfile.Load(file)
	if err != nil {
		return policy.Params{}, fmt.Errorf("%s: %w", file, err)
	}
	return params, nil
}

// candidate reads the text of a policy for the edge, which knows no YAML.
func candidate(text []byte) (policy.Params, []httpapi.PolicyFault) {
	params, err := policyfile.Parse(text)
	if err == nil {
		return params, nil
	}
	faults, ok := errors.AsType[policyfile.Faults](err)
	if !ok {
		return policy.Params{}, []httpapi.PolicyFault{{Line: 1, Problem: "cannot be read"}}
	}
	out := make([]httpapi.PolicyFault, len(faults))
	for i, f := range faults {
		out[i] = httpapi.PolicyFault(f)
	}
	return policy.Params{}, out
}
