package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/internal/centralsim"
)

func TestAnInventoryThatCanNotBeReadIsSeenByOperators(t *testing.T) {
	for _, tt := range []struct {
		name, logged, metric string
		fault                *centralsim.Fault
	}{
		{"one that was read", `"level":"info","tenantId":"` + centralsim.SampleTenant + `","whole":true,"devices":`, "rollcall_rolls_failing 0", nil},
		{"one that Central refuses", `"level":"warn","error":"`, "rollcall_rolls_failing 1", &centralsim.Fault{
			Path: "/endpoint/v1/endpoints", When: func(r *http.Request) bool { return r.URL.Query().Get("pageSize") == "500" },
			Status: http.StatusForbidden, Times: centralsim.Always,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			central, sample := sim()
			if tt.fault != nil {
				central.Fault(*tt.fault)
			}
			env, key := setUp(t, redisServer(t), central)
			r := start(t, env, "serve")
			addr := r.address(t)
			for range 12 { // so many that a reading is worth it
				if code, a := post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": sample["eligible"].Event}); code >= 500 && code != 503 {
					t.Fatal(code, a)
				}
			}
			until(t, fmt.Sprintf("%q is logged", tt.logged), func() bool { return strings.Contains(r.stderr.String(), tt.logged) })
			until(t, tt.metric, func() bool {
				_, metrics, err := get(t.Context(), addr, "", "/metrics")
				return err == nil && strings.Contains(string(metrics), "\n"+tt.metric+"\n")
			})
		})
	}
}
