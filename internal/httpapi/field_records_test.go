package httpapi_test

import (
	"slices"
	"testing"
)

// Central's records as they really are, and what is right for each.
func TestRecordsAsCentralGivesThem(t *testing.T) {
	cases := fieldCases(t, "records")
	s := fieldSystem(t, cases[0].Now)
	for _, tc := range cases {
		t.Run(tc.Case, func(t *testing.T) {
			s.sim.Put(s.tenantOf(tc.Live), tc.Live)
			for _, want := range tc.Want {
				s.policyOf(want.Policy)
				a := s.act("evaluate", map[string]any{"event": tc.Event})
				if !slices.Contains(want.Verdicts, a.is("outcome")) {
					t.Errorf("%s under %s: %s %v, want one of %v: %s", tc.About, want.Policy, a.is("outcome"), a.codes(), want.Verdicts, a.is("reasonsText"))
				}
				if len(want.ReasonsAnyOf) > 0 && !slices.ContainsFunc(want.ReasonsAnyOf, func(c string) bool { return slices.Contains(a.codes(), c) }) {
					t.Errorf("%s under %s: reasons %v, want one of %v", tc.About, want.Policy, a.codes(), want.ReasonsAnyOf)
				}
			}
		})
	}
}

// tenantOf is the tenant that a record names.
func (s *system) tenantOf(record map[string]any) string {
	s.t.Helper()
	tenant, _ := record["tenant"].(map[string]any)
	id, _ := tenant["id"].(string)
	if id == "" {
		s.t.Fatalf("a record without a tenant: %v", record)
	}
	return id
}
