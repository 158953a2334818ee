package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
)

// Requests as platforms really send them, byte for byte, and what is right for each.
func TestRequestsAsPlatformsSendThem(t *testing.T) {
	cases := fieldCases(t, "callers")
	s := fieldSystem(t, cases[0].Now)
	for _, tc := range cases {
		t.Run(tc.Case, func(t *testing.T) {
			s := s
			if len(tc.Steps) > 1 { // what is on record of a device must not be another case's
				s = fieldSystem(t, tc.Now)
			}
			if tc.Live != nil {
				s.sim.Put(s.tenantOf(tc.Live), tc.Live)
			}
			s.policyOf(tc.Policy)
			status, a, token := 0, answer{}, ""
			for _, step := range tc.Steps {
				if status, a = s.send(t, step, tokenFor(tc.Case, token)); status >= http.StatusBadRequest {
					break // nothing was done, so nothing follows
				}
				if a.is("token") != "" {
					token = a.is("token")
				}
			}
			for _, want := range tc.Want {
				if want.meets(status, a) {
					return
				}
			}
			t.Errorf("%s: %d %s%s %v %v, want one of %+v", tc.About, status, a.is("outcome"), a.is("code"), a.codes(), a["errors"], tc.Want)
		})
	}
}

// tokenFor is the token as the case changes it on its way: t33 breaks it into lines, as
// base64 tools do, and t35 loses nothing.
func tokenFor(name, token string) string {
	if name != "t33" {
		return token
	}
	var lines []string
	for len(token) > 76 {
		lines, token = append(lines, token[:76]), token[76:]
	}
	return strings.Join(append(lines, token), "\n")
}
