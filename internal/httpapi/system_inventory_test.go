package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/internal/centralsim"
)

func sceneInventory(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c})
	for _, path := range []string{
		"/v1/inventory", "/v1/inventory?format=json&inactiveDays=30&type=computer", "/v1/inventory?format=csv&tenantId=" + tenant,
		"/v1/inventory?tenantId=" + centralsim.ForeignTenant,
	} {
		if status, b := s.raw(http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, b)
		}
	}
	for _, query := range []string{"inactiveDays=x", "type=phone", "tenantId=1"} {
		if status, b := s.raw(http.MethodGet, "/v1/inventory?"+query, nil); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", query, status, b)
		}
	}
	s.fault(centralsim.Fault{Path: "/endpoint/", Status: 500, Times: centralsim.Always})
	if status, a := s.call(http.MethodGet, "/v1/inventory", nil); status != http.StatusServiceUnavailable || a.is("code") != "central_unavailable" {
		t.Errorf("Central fails: %d %v", status, a)
	}
}

// A row of the inventory in the place of what the search found gives the same verdict.
func TestARowOfTheInventoryIsTheCentralOfAnEvent(t *testing.T) {
	s := newSystem(t, setup{})
	s.change(labGroupToo)
	_, text := s.raw(http.MethodGet, "/v1/inventory", nil)
	rows := map[string]map[string]any{}
	for line := range strings.Lines(string(text)) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		rows[fmt.Sprint(row["id"])] = row
	}
	pasted := 0
	for label, d := range s.sample {
		row, event := rows[d.ID], map[string]any{}
		central, _ := d.Event["central"].(map[string]any)
		if row == nil || central == nil || len(d.Also) > 0 || d.Fault != nil {
			continue
		}
		for k, v := range d.Event {
			event[k] = v
		}
		event["central"] = row
		a := s.act("evaluate", map[string]any{"event": event})
		pasted++
		// Where the search found another thing than Central says now, the row is what Central says now.
		changed := map[string]bool{"input-invalid": true, "active-since-event": true, "renamed": true, "last-seen-invalid": true}
		if got := a.is("outcome"); got != d.Verdict && !changed[label] || got == "delete" && d.Verdict != "delete" && label != "input-invalid" {
			t.Errorf("%s: %s %s, want %s %s", label, got, a.codes(), d.Verdict, d.Want)
		}
	}
	if pasted < 25 {
		t.Errorf("%d rows were pasted, which can't be all", pasted)
	}
}
