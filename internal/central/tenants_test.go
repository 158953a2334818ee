package central

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

func TestTenants(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sim     func(*centralsim.Options)
		tenant  string
		add     centralsim.Tenant
		want    policy.LiveStatus
		outage  bool
		devices int // requests for devices
	}{
		{"a tenant's credential serves its tenant", nil, tenantID, centralsim.Tenant{}, policy.LiveFound, false, 1},
		{"another tenant is foreign to it, and is not asked for", nil, other, centralsim.Tenant{ID: other}, policy.LiveForeignTenant, false, 0},
		{"a partner's tenant", partnerOf("partner"), tenantID, centralsim.Tenant{}, policy.LiveFound, false, 1},
		{"an organization's tenant", partnerOf("organization"), tenantID, centralsim.Tenant{}, policy.LiveFound, false, 1},
		{"a tenant that a partner does not have", partnerOf("partner"), other, centralsim.Tenant{}, policy.LiveForeignTenant, false, 0},
		{"a tenant listed without a host", partnerOf("partner"), other, centralsim.Tenant{ID: other, NoAPIHost: true}, policy.LiveFailed, true, 0},
		{"a tenant that is listed but refused is no foreign one", partnerOf("partner"), other, centralsim.Tenant{ID: other, Refused: true}, policy.LiveFailed, false, 1},
		{"an identity of no known kind", func(o *centralsim.Options) { o.IDType = "reseller" }, tenantID, centralsim.Tenant{}, policy.LiveFailed, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.sim, nil)
			if tt.add.ID != "" {
				r.sim.AddTenant(tt.add)
			}
			live, trouble := r.Present(t.Context(), action.Ref{TenantID: tt.tenant, EndpointID: deviceID})
			sound(t, live, trouble)
			if live.Status != tt.want || trouble != nil && trouble.Outage != tt.outage {
				t.Errorf("got status %d, %+v; want %d", live.Status, trouble, tt.want)
			}
			r.counts(t, map[string]int{devices: tt.devices})
			for _, e := range r.sim.Journal() {
				if e.Tenant != "" && (slices.Contains(e.Headers, "X-Partner-Id") || slices.Contains(e.Headers, "X-Organization-Id")) {
					t.Errorf("%s went out with both headers: %v", e.Path, e.Headers)
				}
			}
		})
	}
}

func partnerOf(kind string) func(*centralsim.Options) {
	return func(o *centralsim.Options) { o.IDType, o.ID = kind, partner }
}

func TestPlacesAreKeptAWhile(t *testing.T) {
	r := newRig(t, partnerOf("partner"), nil)
	for range 3 {
		r.present(t)
	}
	r.counts(t, map[string]int{"/whoami/v1": 1, "/partner": 1})
	r.pass(keepPlace)
	r.present(t)
	r.counts(t, map[string]int{"/whoami/v1": 1, "/partner": 2})
}

func TestPlacesAreDistrustedAfterTrouble(t *testing.T) {
	r := newRig(t, partnerOf("partner"), nil)
	r.present(t)
	r.sim.Fault(centralsim.Fault{Path: devices, Status: 403})
	if live, trouble := r.Present(t.Context(), dev); live.Status != policy.LiveFailed || trouble.Status != 403 || trouble.Class != action.Permanent {
		t.Errorf("forbidden: %+v, %+v", live, trouble)
	}
	r.present(t)
	r.counts(t, map[string]int{"/whoami/v1": 2, "/partner": 2})
}

func TestForeignTenantsAreNotRemembered(t *testing.T) {
	r := newRig(t, partnerOf("partner"), nil)
	ref := action.Ref{TenantID: other, EndpointID: deviceID}
	if live, _ := r.Present(t.Context(), ref); live.Status != policy.LiveForeignTenant {
		t.Fatalf("status %d, want foreign", live.Status)
	}
	r.sim.Put(other, machine(deviceID, "PC-OLD-17", time.Now()))
	if live, trouble := r.Present(t.Context(), ref); live.Status != policy.LiveFound {
		t.Errorf("once it is the partner's: %+v", trouble)
	}
}

func TestIDsThatAreNoUUIDsAreNotAskedFor(t *testing.T) {
	r := newRig(t, nil, nil)
	for _, ref := range []action.Ref{{TenantID: tenantID, EndpointID: "../delete"}, {TenantID: "x", EndpointID: deviceID}, {},
		{TenantID: tenantID, EndpointID: "{" + deviceID + "}"}, {TenantID: tenantID, EndpointID: "urn:uuid:" + deviceID}} {
		live, trouble := r.Look(t.Context(), ref, time.Hour, action.AskAll)
		sound(t, live, trouble)
		if sent := r.Delete(t.Context(), ref, r.clock().Add(time.Second)); live.Status != policy.LiveFailed || sent.Kind != action.NotSent {
			t.Errorf("%v: %+v, %+v", ref, live, sent)
		}
	}
	r.counts(t, map[string]int{"/": 0})
}
