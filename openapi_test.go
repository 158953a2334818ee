package rollcall_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rollcall"
)

// loadSpec reads the contract as its consumers get it, checked whole.
func loadSpec(tb testing.TB) *openapi3.T {
	tb.Helper()
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewCallbackValidator(uuid.Validate))
	doc, err := openapi3.NewLoader().LoadFromData(rollcall.OpenAPI())
	if err != nil {
		tb.Fatalf("openapi.yaml does not load: %v", err)
	}
	if err := doc.Validate(tb.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation()); err != nil {
		tb.Fatalf("openapi.yaml is not valid: %v", err)
	}
	return doc
}

// operations are the contract's operations by id.
func operations(tb testing.TB, doc *openapi3.T) map[string]*openapi3.Operation {
	tb.Helper()
	all := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == "" || all[op.OperationID] != nil {
				tb.Fatalf("%s %s: operationId %q is empty or taken", method, path, op.OperationID)
			}
			all[op.OperationID] = op
		}
	}
	return all
}

func TestContractHasEveryRoute(t *testing.T) {
	var got []string
	for path, item := range loadSpec(t).Paths.Map() {
		for method := range item.Operations() {
			got = append(got, method+" "+path)
		}
	}
	want := []string{
		"POST /v1/actions/verify-live", "POST /v1/actions/evaluate", "POST /v1/actions/delete",
		"POST /v1/actions/ticket-open", "POST /v1/actions/ticket-close",
		"POST /v1/actions/verify-live/batch", "POST /v1/actions/evaluate/batch",
		"GET /v1/exclusions", "GET /v1/tickets", "GET /v1/tickets/{ticketId}",
		"GET /v1/failures", "POST /v1/failures/{endpointId}/ack", "GET /v1/audit",
		"GET /v1/devices", "GET /v1/devices/{endpointId}", "GET /v1/devices/{endpointId}/recovery",
		"GET /v1/decisions", "GET /v1/inventory", "POST /v1/policy/replay",
		"POST /v1/admin/pause", "POST /v1/admin/resume", "POST /v1/admin/circuit-reset", "GET /v1/me",
		"GET /livez", "GET /readyz", "GET /metrics",
		"GET /openapi.yaml", "GET /openapi.json", "GET /swagger.json", "GET /docs",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// TestSwaggerLosesNothing converts as the server does for generators that read
// Swagger 2.0 only, and looks for what they need.
func TestSwaggerLosesNothing(t *testing.T) {
	doc := loadSpec(t)
	want := slices.Sorted(maps.Keys(operations(t, doc)))
	v2, err := openapi2conv.FromV3(loadSpec(t)) // converting changes its input
	if err != nil {
		t.Fatalf("conversion: %v", err)
	}
	b, err := json.Marshal(v2)
	if err != nil {
		t.Fatal(err)
	}
	back := new(openapi2.T)
	if err := json.Unmarshal(b, back); err != nil {
		t.Fatalf("what was converted does not read: %v", err)
	}
	var got []string
	for path, item := range back.Paths {
		for method, op := range item.Operations() {
			got = append(got, op.OperationID)
			checkSwagger(t, method+" "+path, op)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-3.0 +2.0):\n%s", diff)
	}
	for name := range doc.Components.Schemas {
		if back.Definitions[name] == nil {
			t.Errorf("schema %s is lost", name)
		}
	}
}

// checkSwagger looks at one operation: a body must refer to a named schema, or
// the generator makes no arguments of it; the answer too, or it makes no outputs.
func checkSwagger(t *testing.T, name string, op *openapi2.Operation) {
	t.Helper()
	bodies := 0
	for _, p := range op.Parameters {
		if p.In != "body" {
			continue
		}
		bodies++
		if !strings.HasPrefix(p.Schema.Ref, "#/definitions/") {
			t.Errorf("%s: the body refers to %q, not to a definition", name, p.Schema.Ref)
		}
	}
	if strings.HasPrefix(name, "POST ") && bodies != 1 {
		t.Errorf("%s: has %d bodies, want 1", name, bodies)
	}
	if ok := op.Responses.Value("200"); ok == nil {
		t.Errorf("%s: has no 200", name)
	} else if strings.HasPrefix(name, "POST ") && ok.Schema.Ref == "" {
		t.Errorf("%s: the answer refers to no definition", name)
	}
}

var update = flag.Bool("update", false, "note the sum of openapi.yaml; refused unless info.version was raised")

const sumFile = "testdata/openapi.sha256"

func TestVersionRisesWithEveryChange(t *testing.T) {
	sum := sha256.Sum256(rollcall.OpenAPI())
	version, digest := loadSpec(t).Info.Version, hex.EncodeToString(sum[:])
	noted, err := os.ReadFile(sumFile)
	if err != nil && (!*update || !os.IsNotExist(err)) {
		t.Fatal(err)
	}
	oldVersion, oldDigest, _ := bytes.Cut(bytes.TrimSpace(noted), []byte(" "))
	switch {
	case digest == string(oldDigest) && version == string(oldVersion):
	case !newer(t, version, string(oldVersion)):
		t.Fatalf("openapi.yaml has changed, but its info.version %s is not above %s: raise it, then run with -update", version, oldVersion)
	case !*update:
		t.Fatalf("openapi.yaml is now %s: run this test with -update to note its sum", version)
	default:
		if err := os.WriteFile(sumFile, fmt.Appendf(nil, "%s %s\n", version, digest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// newer compares versions of the form 1.2.3; anything is newer than none.
func newer(tb testing.TB, version, than string) bool {
	tb.Helper()
	if than == "" {
		return true
	}
	return slices.Compare(numbers(tb, version), numbers(tb, than)) > 0
}

func numbers(tb testing.TB, version string) []int {
	tb.Helper()
	var out []int
	for _, part := range strings.Split(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			tb.Fatalf("version %q: %v", version, err)
		}
		out = append(out, n)
	}
	return out
}

func TestNewerVersions(t *testing.T) {
	for _, tt := range []struct {
		version, than string
		want          bool
	}{
		{"0.1.0", "", true},
		{"0.1.0", "0.1.0", false},
		{"0.1.1", "0.1.0", true},
		{"0.10.0", "0.9.9", true},
		{"0.9.9", "0.10.0", false},
	} {
		if got := newer(t, tt.version, tt.than); got != tt.want {
			t.Errorf("newer(%q, %q) = %v, want %v", tt.version, tt.than, got, tt.want)
		}
	}
}
