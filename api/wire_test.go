package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/api"
)

// TestAnswersLeaveNothingOut: a field that is absent can't be branched on.
func TestAnswersLeaveNothingOut(t *testing.T) {
	for _, v := range []any{
		api.Answer{}, api.BatchAnswer{}, api.Reason{}, api.Device{}, api.Error{}, api.FieldError{}, api.List[api.Ticket]{},
		api.Exclusion{}, api.Ticket{}, api.Failure{}, api.Ack{}, api.AuditEntry{}, api.DeviceRecord{}, api.AdminState{}, api.Me{},
		api.Decision{}, api.Recovery{}, api.Replay{}, api.ReplayVerdict{}, api.ReplayBaseline{}, api.ReplayChange{}, api.ReplayFlip{},
		api.InventoryDevice{}, api.InventoryTenant{}, api.InventoryOS{}, api.InventoryHealth{}, api.InventoryPerson{}, api.InventoryGroup{},
	} {
		kind := reflect.TypeOf(v)
		for field := range kind.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" || options != "" {
				t.Errorf("%s.%s: tag %q must name the field and leave it in", kind, field.Name, field.Tag.Get("json"))
			}
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != kind.NumField() {
			t.Errorf("%s: %d of %d fields in %s", kind, len(got), kind.NumField(), b)
		}
	}
}

func TestTicketIDs(t *testing.T) {
	for _, tt := range []struct {
		text string
		want api.TicketID
		ok   bool
	}{
		{`"HELP-1"`, "HELP-1", true},
		{`1207`, "1207", true},
		{`123456789012345678901234567890`, "123456789012345678901234567890", true},
		{`null`, "", true},
		{`""`, "", true},
		{`1.5`, "", false},
		{`1e3`, "", false},
		{`true`, "", false},
		{`["HELP-1"]`, "", false},
		{`{}`, "", false},
	} {
		var got struct{ TicketID api.TicketID }
		err := json.Unmarshal([]byte(`{"ticketId":`+tt.text+`}`), &got)
		if (err == nil) != tt.ok || got.TicketID != tt.want {
			t.Errorf("%s: got %q, %v", tt.text, got.TicketID, err)
		}
	}
}

func TestEventsAsRequestsCarryThem(t *testing.T) {
	raw, err := api.Event{
		Directory: &api.Directory{Hostname: "WS-1", Enabled: new(false), MemberOf: &[]string{}},
		Central:   &api.Central{ID: "i", Tenant: &api.Tenant{ID: "t"}, OS: &api.OS{Build: 22631}},
	}.Raw()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"directory":{"hostname":"WS-1","enabled":false,"memberOf":[]},"central":{"id":"i","tenant":{"id":"t"},"os":{"build":22631}}}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	if raw, err := (api.Event{ObservedAt: &late}).Raw(); err == nil || raw != nil {
		t.Errorf("the year 10000 gives %s, %v", raw, err)
	}
}

func TestErrorsSayWhatTheyAre(t *testing.T) {
	for _, tt := range []struct {
		err  api.Error
		want string
	}{
		{api.Error{Status: 409, Code: api.CodeConflict, Detail: "taken"}, "rollcall: conflict (409): taken"},
		{api.Error{Status: 502}, "rollcall: status 502"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
