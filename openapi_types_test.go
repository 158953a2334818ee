package rollcall_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"rollcall/api"
)

// field is what a schema and a Go type must agree on.
type field struct{ Nullable, Required bool }

func ofSchema(s *openapi3.Schema) map[string]field {
	out := map[string]field{}
	for name, p := range s.Properties {
		required := slices.Contains(s.Required, name)
		out[name] = field{p.Ref == "" && p.Value.Nullable && required, required}
	}
	return out
}

// ofType reads a Go type: a pointer or raw JSON that is always there can be
// null, and what may be left out is not required.
func ofType(kind reflect.Type) map[string]field {
	out := map[string]field{}
	for _, f := range reflect.VisibleFields(kind) {
		if f.Anonymous { // its fields stand beside the others
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		required := options == ""
		raw := f.Type == reflect.TypeFor[json.RawMessage]() && name != "event"
		out[name] = field{required && (f.Type.Kind() == reflect.Pointer || raw), required}
	}
	return out
}

func TestGoTypesAreTheSchemas(t *testing.T) {
	doc := loadSpec(t)
	device := doc.Components.Schemas["Answer"].Value.Properties["device"].Value
	for name, kind := range map[string]reflect.Type{
		"VerifyLiveRequest": reflect.TypeFor[api.VerifyLiveRequest](), "EvaluateRequest": reflect.TypeFor[api.EvaluateRequest](),
		"DeleteRequest": reflect.TypeFor[api.DeleteRequest](), "TicketOpenRequest": reflect.TypeFor[api.TicketOpenRequest](),
		"TicketCloseRequest": reflect.TypeFor[api.TicketCloseRequest](), "AckRequest": reflect.TypeFor[api.AckRequest](),
		"VerifyLiveBatchRequest": reflect.TypeFor[api.VerifyLiveBatchRequest](), "EvaluateBatchRequest": reflect.TypeFor[api.EvaluateBatchRequest](),
		"BatchAnswer": reflect.TypeFor[api.BatchAnswer](), "BatchItem": reflect.TypeFor[api.BatchItem](),
		"AdminRequest": reflect.TypeFor[api.AdminRequest](), "Answer": reflect.TypeFor[api.Answer](), "Reason": reflect.TypeFor[api.Reason](),
		"Error": reflect.TypeFor[api.Error](), "FieldError": reflect.TypeFor[api.FieldError](),
		"Exclusion": reflect.TypeFor[api.Exclusion](), "Ticket": reflect.TypeFor[api.Ticket](), "Failure": reflect.TypeFor[api.Failure](),
		"Ack": reflect.TypeFor[api.Ack](), "DeviceRecord": reflect.TypeFor[api.DeviceRecord](),
		"AdminState": reflect.TypeFor[api.AdminState](), "Me": reflect.TypeFor[api.Me](),
		"Decision": reflect.TypeFor[api.Decision](), "DecisionList": reflect.TypeFor[api.List[api.Decision]](),
		"Recovery": reflect.TypeFor[api.Recovery](), "ReplayRequest": reflect.TypeFor[api.ReplayRequest](),
		"Replay": reflect.TypeFor[api.Replay](), "ReplayVerdict": reflect.TypeFor[api.ReplayVerdict](),
		"ReplayBaseline": reflect.TypeFor[api.ReplayBaseline](), "ReplayChange": reflect.TypeFor[api.ReplayChange](),
		"ReplayFlip":      reflect.TypeFor[api.ReplayFlip](),
		"InventoryDevice": reflect.TypeFor[api.InventoryDevice](), "InventoryDeviceList": reflect.TypeFor[api.List[api.InventoryDevice]](),
		"ExclusionList": reflect.TypeFor[api.List[api.Exclusion]](), "device": reflect.TypeFor[api.Device](),
	} {
		schema := device
		if name != "device" {
			schema = doc.Components.Schemas[name].Value
		}
		want, got := ofSchema(schema), ofType(kind)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-openapi.yaml +Go):\n%s", name, diff)
		}
	}
}

// TestABatchsItemIsAnAnswer holds the two schemas together, which can't refer to
// each other: what a batch answers for an item is what the action answers.
func TestABatchsItemIsAnAnswer(t *testing.T) {
	schemas := loadSpec(t).Components.Schemas
	item, answer, fault := schemas["BatchItem"].Value, schemas["Answer"].Value, schemas["Error"].Value
	same := func(where string, want, got *openapi3.Schema, but ...string) {
		for name, p := range got.Properties {
			w := want.Properties[name]
			switch {
			case slices.Contains(but, name):
			case w == nil:
				t.Errorf("%s.%s: is no field of the single answer", where, name)
			default:
				a, errA := w.MarshalJSON()
				b, errB := p.MarshalJSON()
				if errA != nil || errB != nil || !cmp.Equal(string(a), string(b)) {
					t.Errorf("%s.%s: is %s, of the single answer %s; %v %v", where, name, b, a, errA, errB)
				}
			}
		}
	}
	same("BatchItem", answer, item, "action", "outcome", "error")
	if got, want := len(item.Properties), len(answer.Properties)+1; got != want {
		t.Errorf("BatchItem has %d fields, want %d", got, want)
	}
	inner := item.Properties["error"].Value
	same("BatchItem.error", fault, inner)
	if diff := cmp.Diff(fault.Required, inner.Required); diff != "" || len(inner.Properties) != len(fault.Properties) {
		t.Errorf("BatchItem.error (-Error +error):\n%s", diff)
	}
}

// TestEventTypesAreTheSchemas compares names only: what an event says may be
// left out, all of it.
func TestEventTypesAreTheSchemas(t *testing.T) {
	event := loadSpec(t).Components.Schemas["Event"].Value
	var walk func(where string, s *openapi3.Schema, kind reflect.Type)
	walk = func(where string, s *openapi3.Schema, kind reflect.Type) {
		names := map[string]reflect.Type{}
		for f := range kind.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names[name] = f.Type
		}
		for name := range s.Properties {
			if names[name] == nil {
				t.Errorf("%s.%s: is not in the Go type", where, name)
			} else if inner := s.Properties[name].Value; len(inner.Properties) > 0 {
				walk(where+"."+name, inner, names[name].Elem())
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if s.Properties[name] == nil {
				t.Errorf("%s.%s: is not in openapi.yaml", where, name)
			}
		}
	}
	walk("event", event, reflect.TypeFor[api.Event]())
}
