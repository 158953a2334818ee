package rollcall_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxFile = 500 // lines
	maxFunc = 60  // lines, in what is no test
)

// shape is what the source of one file is held to.
type shape struct {
	set  *token.FileSet
	path string
	file *ast.File
	text []byte
}

// sources parses every Go file of the module that is not generated.
func sources(tb testing.TB) []shape {
	tb.Helper()
	var all []shape
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(file) {
			all = append(all, shape{set, path, file, text})
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// faults lists what is too long, and every init.
func (s shape) faults() []string {
	var out []string
	if n := bytes.Count(s.text, []byte("\n")); n > maxFile {
		out = append(out, s.path+": the file is too long")
	}
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if f.Recv == nil && f.Name.Name == "init" {
			out = append(out, s.path+": init")
		}
		lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
		excused := strings.HasSuffix(s.path, "_test.go") || slices.Contains([]string{"routes", "run"}, f.Name.Name)
		if lines > maxFunc && !excused {
			out = append(out, s.path+": "+f.Name.Name+" is too long")
		}
	}
	return out
}

func TestSourcesAreShort(t *testing.T) {
	all := sources(t)
	for _, s := range all {
		for _, fault := range s.faults() {
			t.Error(fault)
		}
	}
	if len(all) < 20 {
		t.Errorf("looked at %d files, which can't be all", len(all))
	}
}

func TestTooLongSourcesAreFound(t *testing.T) {
	long := strings.Repeat("\n", maxFunc)
	for _, tt := range []struct {
		name, path, text string
		want             []string
	}{
		{"a short file has no fault", "a.go", "package a\nfunc f() {}\n", nil},
		{"a long function is one", "a.go", "package a\nfunc f() {" + long + "}\n", []string{"a.go: f is too long"}},
		{"in a test it is none", "a_test.go", "package a\nfunc f() {" + long + "}\n", nil},
		{"the list of routes may be long", "a.go", "package a\nfunc routes() {" + long + "}\n", nil},
		{"init is one", "a.go", "package a\nfunc init() {}\n", []string{"a.go: init"}},
		{"a method of that name is none", "a.go", "package a\ntype t int\nfunc (t) init() {}\n", nil},
		{"a long file is one, a test too", "a_test.go", "package a\n" + strings.Repeat("\n", maxFile), []string{"a_test.go: the file is too long"}},
	} {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, tt.path, tt.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := (shape{set, tt.path, file, []byte(tt.text)}).faults(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
