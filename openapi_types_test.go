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
	for f := range kind.Fields() {
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
		"AdminRequest": reflect.TypeFor[api.AdminRequest](), "Answer": reflect.TypeFor[api.Answer](), "Reason": reflect.TypeFor[api.Reason](),
		"Error": reflect.TypeFor[api.Error](), "FieldError": reflect.TypeFor[api.FieldError](),
		"Exclusion": reflect.TypeFor[api.Exclusion](), "Ticket": reflect.TypeFor[api.Ticket](), "Failure": reflect.TypeFor[api.Failure](),
		"Ack": reflect.TypeFor[api.Ack](), "DeviceRecord": reflect.TypeFor[api.DeviceRecord](),
		"AdminState": reflect.TypeFor[api.AdminState](), "Me": reflect.TypeFor[api.Me](),
		"Decision": reflect.TypeFor[api.Decision](), "DecisionList": reflect.TypeFor[api.List[api.Decision]](),
		"Recovery": reflect.TypeFor[api.Recovery](), "ReplayRequest": reflect.TypeFor[api.ReplayRequest](),
		"Replay": reflect.TypeFor[api.Replay](), "ReplayVerdict": reflect.TypeFor[api.ReplayVerdict](),
		"ReplayBaseline": reflect.TypeFor[api.ReplayBaseline](), "ReplayChange": reflect.TypeFor[api.ReplayChange](),
		"ReplayFlip":    reflect.TypeFor[api.ReplayFlip](),
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
