// Package policyfile reads a policy file into the parameters of the policy. It
// decides whether the file says one thing and says it well: an unknown key, a
// key given twice, a value that could be meant otherwise are faults, and a file
// with a fault yields no policy at all. It refuses to know what the parameters
// do to a device.
package policyfile

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the sample
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"rollcall/internal/policy"
)

// maxFile is how large a policy file may be, in bytes.
const maxFile = 1 << 20

//go:embed sample.yaml
var sample []byte

// Sample returns a commented policy to begin with. It parses; the OU in it is
// nobody's, so that it lets nothing be deleted before someone has edited it.
func Sample() []byte { return slices.Clone(sample) }

// Fault is one thing that is wrong with a policy file.
type Fault struct {
	Line    int    // from 1
	Path    string // such as exclusions[0].id; empty where the file as a whole is meant
	Problem string
}

// String is the fault as an operator reads it.
func (f Fault) String() string {
	if f.Path == "" {
		return fmt.Sprintf("line %d: %s", f.Line, f.Problem)
	}
	return fmt.Sprintf("line %d: %s: %s", f.Line, f.Path, f.Problem)
}

// Faults is everything that is wrong with a file, by line.
type Faults []Fault

// Error lists the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads and checks a policy file. The error is Faults when the file could
// be read, else that of the file system.
func Load(path string) (policy.Params, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return policy.Params{}, fmt.Errorf("policy file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return policy.Params{}, fmt.Errorf("policy file: %w", err)
	}
	return Parse(b)
}

// Parse reads and checks a policy. What the file leaves out is as
// [policy.DefaultParams] has it; only disabledOUs has no default. The error, if
// any, is Faults and holds all of them.
func Parse(b []byte) (policy.Params, error) {
	root, faults := document(b)
	if len(faults) > 0 {
		return policy.Params{}, faults
	}
	c := &checker{params: policy.DefaultParams()}
	c.file(root)
	if len(c.faults) > 0 {
		slices.SortStableFunc(c.faults, func(a, b Fault) int { return a.Line - b.Line })
		return policy.Params{}, c.faults
	}
	sum := sha256.Sum256(b)
	c.params.Version = hex.EncodeToString(sum[:])[:12]
	return c.params, nil
}

// document returns the file's one document, nil when the file holds nothing.
func document(b []byte) (*yaml.Node, Faults) {
	if len(b) > maxFile {
		return nil, Faults{{Line: 1, Problem: fmt.Sprintf("the file is larger than %d bytes", maxFile)}}
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, Faults{syntaxFault(err)}
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, Faults{syntaxFault(err)}
	default:
		return nil, Faults{{Line: max(second.Line, 1), Problem: "the file holds more than one document"}}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// syntaxFault takes the line out of the library's error.
func syntaxFault(err error) Fault {
	f := Fault{Line: 1, Problem: err.Error()}
	if m := yamlError.FindStringSubmatch(f.Problem); m != nil {
		f.Problem = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			f.Line = n
		}
	}
	f.Problem = "not YAML: " + strings.ReplaceAll(f.Problem, "\n", " ")
	return f
}
