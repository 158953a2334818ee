package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/swaggest/swgui/v5emb"
)

// docs are the contract in the forms that callers and generators read, all made
// once at the start.
type docs struct {
	asYAML, v3, v2 []byte
	ui             http.Handler
}

func newDocs(spec []byte) (*docs, error) {
	v3, err := asJSON(spec, func(doc *openapi3.T) (any, error) { return doc, nil })
	if err != nil {
		return nil, err
	}
	v2, err := asJSON(spec, func(doc *openapi3.T) (any, error) { return openapi2conv.FromV3(doc) })
	if err != nil {
		return nil, err
	}
	return &docs{asYAML: spec, v3: v3, v2: v2, ui: v5emb.New("rollcall", "/openapi.json", "/docs/")}, nil
}

// asJSON loads the spec afresh, since a conversion changes what it converts.
func asJSON(spec []byte, convert func(*openapi3.T) (any, error)) ([]byte, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	if doc.Info == nil || doc.Paths == nil || doc.Components == nil { // the conversion takes them for granted
		return nil, errors.New("spec: info, paths and components are needed")
	}
	out, err := convert(doc)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	return b, nil
}

func (d *docs) yaml(x *exchange) error    { return x.document("application/yaml", d.asYAML) }
func (d *docs) openAPI(x *exchange) error { return x.document("application/json", d.v3) }
func (d *docs) swagger(x *exchange) error { return x.document("application/json", d.v2) }

func (x *exchange) document(kind string, b []byte) error {
	x.head(kind)
	x.c.Data(http.StatusOK, kind, b)
	return nil
}

// page serves the documentation and what it loads, all from this process; the
// policy sees to it that the page asks nobody else.
func (d *docs) page(x *exchange) error {
	x.head("text/html; charset=utf-8")
	h := x.c.Writer.Header()
	h.Del("Content-Type") // an asset has its own
	h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "+
		"script-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	d.ui.ServeHTTP(x.c.Writer, x.c.Request)
	return nil
}
