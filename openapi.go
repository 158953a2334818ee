// Package rollcall holds the HTTP contract of the service, and nothing else: it
// stands at the root because a file can only be embedded from there. It refuses
// to know who serves the contract or who keeps it.
package rollcall

import _ "embed"

//go:embed openapi.yaml
var spec []byte

// OpenAPI is openapi.yaml: OpenAPI 3.0.3, as YAML. The caller gets its own copy.
func OpenAPI() []byte { return append([]byte(nil), spec...) }
