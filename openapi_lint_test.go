package rollcall_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// mangled are the parts of names that one generator cuts out of them, so that it
// then sends a field that the service does not know.
var mangled = regexp.MustCompile(`(?i)br|para|span|[^A-Za-z0-9]`)

func TestNamesSurviveTheGenerators(t *testing.T) {
	doc := loadSpec(t)
	count := 0
	name := func(where, name string) {
		count++
		if found := mangled.FindString(name); found != "" {
			t.Errorf("%s: the name %q holds %q", where, name, found)
		}
	}
	for schema, ref := range doc.Components.Schemas {
		name("schema", schema)
		eachProperty(ref, func(property string, _ *openapi3.SchemaRef) { name(schema, property) })
	}
	for id, op := range operations(t, doc) {
		name("operation", id)
		for _, p := range op.Parameters {
			name(id, p.Value.Name)
		}
	}
	if count < 150 {
		t.Errorf("looked at %d names, which can't be all", count)
	}
}

// eachProperty visits the properties of a schema, those of inner objects too,
// but does not follow references.
func eachProperty(ref *openapi3.SchemaRef, f func(string, *openapi3.SchemaRef)) {
	if ref == nil || ref.Ref != "" {
		return
	}
	for name, p := range ref.Value.Properties {
		f(name, p)
		eachProperty(p, f)
	}
	eachProperty(ref.Value.Items, f)
}

func TestSchemasSurviveTheGenerators(t *testing.T) {
	for name, ref := range loadSpec(t).Components.Schemas {
		if s := ref.Value; len(s.OneOf)+len(s.AnyOf)+len(s.AllOf) > 0 || s.Not != nil {
			t.Errorf("%s: is composed; neither generator reads that", name)
		}
		eachProperty(ref, func(property string, p *openapi3.SchemaRef) {
			switch {
			case p.Ref != "" && name == "Answer":
				t.Errorf("%s.%s: a reference is lost from the outputs", name, property)
			case p.Ref != "":
			case p.Value.Type == nil && property != "event":
				t.Errorf("%s.%s: has no type", name, property)
			case p.Value.Type != nil && len(*p.Value.Type) != 1:
				t.Errorf("%s.%s: has the types %v; one loader reads a single word only", name, property, *p.Value.Type)
			case len(p.Value.OneOf)+len(p.Value.AnyOf)+len(p.Value.AllOf) > 0:
				t.Errorf("%s.%s: is composed", name, property)
			}
		})
	}
}

func TestRequestsAreClosedAndEventsOpen(t *testing.T) {
	for name, ref := range loadSpec(t).Components.Schemas {
		extra := ref.Value.AdditionalProperties.Has
		switch {
		case strings.HasSuffix(name, "Request") && (extra == nil || *extra):
			t.Errorf("%s: must not allow fields that it does not name", name)
		case name == "Event" && (extra == nil || !*extra):
			t.Errorf("%s: must allow fields that it does not name", name)
		}
	}
}

func TestOperationsSurviveTheGenerators(t *testing.T) {
	doc := loadSpec(t)
	words := regexp.MustCompile(`^[A-Z][A-Za-z]*( [A-Za-z]+){1,3}$`)
	for path, item := range doc.Paths.Map() {
		if len(item.Parameters) > 0 {
			t.Errorf("%s: parameters at path level become a command of their own", path)
		}
	}
	seen := map[string]string{}
	for id, op := range operations(t, doc) {
		if !words.MatchString(op.Summary) || mangled.MatchString(strings.ReplaceAll(op.Summary, " ", "")) {
			t.Errorf("%s: the summary %q is no short action name", id, op.Summary)
		}
		if other := seen[strings.ToLower(op.Summary)]; other != "" {
			t.Errorf("%s: has the summary of %s", id, other)
		}
		seen[strings.ToLower(op.Summary)] = id
		if op.Responses.Default() != nil {
			t.Errorf("%s: a default response is taken for the answer", id)
		}
		for _, p := range op.Parameters {
			if p.Value.In == "header" || p.Value.In == "cookie" {
				t.Errorf("%s: the parameter %s in a %s is sent as a constant, or never", id, p.Value.Name, p.Value.In)
			}
			if p.Ref != "" || !p.Value.Schema.Value.Type.Is("string") {
				t.Errorf("%s: the parameter %s must be a plain string", id, p.Value.Name)
			}
		}
	}
}

func TestDocumentSurvivesTheGenerators(t *testing.T) {
	doc := loadSpec(t)
	if doc.OpenAPI != "3.0.3" || doc.Info.Title == "" || len(doc.Servers) == 0 {
		t.Errorf("openapi %q, title %q, %d servers", doc.OpenAPI, doc.Info.Title, len(doc.Servers))
	}
	var got []string
	for name, scheme := range doc.Components.SecuritySchemes {
		got = append(got, name)
		if scheme.Value.Description != "" {
			t.Errorf("%s: the description is taken for a prefix of the key", name)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"ApiKeyAuth", "BasicAuth", "BearerAuth"}, got); diff != "" {
		t.Errorf("security schemes (-want +got):\n%s", diff)
	}
	key := doc.Components.SecuritySchemes["ApiKeyAuth"].Value
	if key.In != "header" || key.Name != "X-API-Key" {
		t.Errorf("ApiKeyAuth is %s in %s, want X-API-Key in header", key.Name, key.In)
	}
	for id, op := range operations(t, doc) {
		open := op.Security != nil && len(*op.Security) == 0
		if answers401 := op.Responses.Value("401") != nil; open == answers401 {
			t.Errorf("%s: needs a key: %v, answers 401: %v", id, !open, answers401)
		}
	}
}

// policyCodes reads the constants of type Code from the policy's source.
func policyCodes(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("internal/policy/*.go")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no source of the policy: %v", err)
	}
	var codes []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			tb.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			kind, named := spec.Type.(*ast.Ident)
			lit, literal := spec.Values[0].(*ast.BasicLit)
			if named && literal && kind.Name == "Code" {
				code, err := strconv.Unquote(lit.Value)
				if err != nil {
					tb.Fatal(err)
				}
				codes = append(codes, code)
			}
			return true
		})
	}
	return codes
}

func TestReasonCodesAreThePolicys(t *testing.T) {
	schema := loadSpec(t).Components.Schemas["ReasonCode"].Value
	listed, codes := enumOf(schema), policyCodes(t)
	for _, code := range codes {
		if !strings.Contains(schema.Description, "| `"+code+"` |") {
			t.Errorf("%s has no row in the description's table", code)
		}
	}
	slices.Sort(listed)
	slices.Sort(codes)
	if diff := cmp.Diff(codes, listed); diff != "" {
		t.Errorf("codes (-policy +openapi.yaml):\n%s", diff)
	}
}
