package centralsim

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// one is one device. An id that is no UUID is a bad request, one that is not
// there (any more, or ever) is not found.
func (s *Sim) one(c *call, t *tenant) answer {
	keys, known := viewKeys(c.query.Get("view"))
	if !known {
		return s.failure(http.StatusBadRequest)
	}
	d, wrong := s.device(c, t)
	if d == nil {
		return wrong
	}
	return ok200(project(s.render(d), fieldsOr(c.query, keys)))
}

// device finds the device of the path, or gives the answer instead.
func (s *Sim) device(c *call, t *tenant) (*device, answer) {
	id := c.PathValue("id")
	if uuid.Validate(id) != nil {
		return nil, s.failure(http.StatusBadRequest)
	}
	if d := t.find(id); d != nil {
		return d, answer{}
	}
	return nil, s.failure(http.StatusNotFound)
}

// delete takes a device away.
func (s *Sim) delete(c *call, t *tenant) answer {
	id := c.PathValue("id")
	if uuid.Validate(id) != nil {
		return s.failure(http.StatusBadRequest)
	}
	if t.remove(id) {
		c.entry.Deleted = append(c.entry.Deleted, strings.ToLower(id))
		return ok200(map[string]any{"deleted": true})
	}
	switch s.switches.UnknownDelete {
	case UnknownFalse:
		return ok200(map[string]any{"deleted": false})
	case UnknownTrue:
		return ok200(map[string]any{"deleted": true})
	case UnknownFails:
		return s.failure(http.StatusInternalServerError)
	case UnknownNotFound:
	}
	return s.failure(http.StatusNotFound)
}

// bulkDelete takes several devices away and answers with those that were there.
func (s *Sim) bulkDelete(c *call, t *tenant) answer {
	var in struct {
		EndpointIDs []string `json:"endpointIds"`
	}
	limit := s.switches.BulkLimit
	if limit == 0 {
		limit = 100
	}
	if json.Unmarshal(c.body, &in) != nil || len(in.EndpointIDs) == 0 || len(in.EndpointIDs) > limit {
		return s.failure(http.StatusBadRequest)
	}
	for _, id := range in.EndpointIDs {
		if uuid.Validate(id) != nil {
			return s.failure(http.StatusBadRequest)
		}
	}
	gone := []string{}
	for _, id := range in.EndpointIDs {
		if t.remove(id) {
			gone = append(gone, id)
			c.entry.Deleted = append(c.entry.Deleted, strings.ToLower(id))
		}
	}
	return ok200(map[string]any{"endpointIds": gone})
}

// tamper is a device's tamper protection with its passwords, which are digits.
func (s *Sim) tamper(c *call, t *tenant) answer {
	d, wrong := s.device(c, t)
	if d == nil {
		return wrong
	}
	return ok200(d.tamper())
}

func (d *device) tamper() map[string]any {
	if d.password == "" {
		d.password = digits()
	}
	enabled, _ := d.record["tamperProtectionEnabled"].(bool)
	previous := d.previous
	if previous == nil {
		previous = []map[string]any{}
	}
	return map[string]any{"enabled": enabled, "password": d.password, "previousPasswords": previous}
}

// digits is a password: a string of digits that begins with a zero, so that a
// client which takes it for a number loses it.
func digits() string {
	n := new(big.Int).SetBytes(random(8))
	return "0" + fmt.Sprintf("%011d", n.Mod(n, big.NewInt(100_000_000_000)))
}

// setTamper turns tamper protection on or off, or makes a new password.
func (s *Sim) setTamper(c *call, t *tenant) answer {
	d, wrong := s.device(c, t)
	if d == nil {
		return wrong
	}
	var in struct {
		Enabled            any  `json:"enabled"`
		RegeneratePassword bool `json:"regeneratePassword"`
	}
	if json.Unmarshal(c.body, &in) != nil {
		return s.failure(http.StatusBadRequest)
	}
	switch fmt.Sprint(in.Enabled) { // real clients also send it as a string
	case "true":
		d.record["tamperProtectionEnabled"] = true
	case "false":
		d.record["tamperProtectionEnabled"] = false
	case "<nil>":
	default:
		return s.failure(http.StatusBadRequest)
	}
	if in.RegeneratePassword {
		d.tamper() // so that there is an old one
		d.previous = append([]map[string]any{{"password": d.password, "invalidatedAt": stamp(s.opt.Now())}}, d.previous...)
		d.password = digits()
	}
	a := ok200(d.tamper())
	a.status = http.StatusCreated
	return a
}

// tamperSetting is the tenant's own switch: on.
func (s *Sim) tamperSetting(*call, *tenant) answer { return ok200(map[string]any{"enabled": true}) }

// isolationOf is a device's isolation, as an administrator set it.
func (s *Sim) isolationOf(c *call, t *tenant) answer {
	d, wrong := s.device(c, t)
	if d == nil {
		return wrong
	}
	if d.isolation == nil {
		return ok200(map[string]any{"enabled": at(d.record, "isolation", "adminIsolated") == true})
	}
	return ok200(d.isolation)
}

// isolation is what the two isolation routes take.
type isolation struct {
	Enabled *bool    `json:"enabled"`
	Comment string   `json:"comment"`
	IDs     []string `json:"ids"`
}

// isolate isolates one device, or ends that.
func (s *Sim) isolate(c *call, t *tenant) answer {
	d, wrong := s.device(c, t)
	if d == nil {
		return wrong
	}
	var in isolation
	if json.Unmarshal(c.body, &in) != nil || in.Enabled == nil {
		return s.failure(http.StatusBadRequest)
	}
	s.setIsolation(d, in)
	return ok200(d.isolation)
}

// bulkIsolate begins to isolate several devices. While one of them has not taken
// up the last order, by checking in, another is a conflict.
func (s *Sim) bulkIsolate(c *call, t *tenant) answer {
	var in isolation
	if json.Unmarshal(c.body, &in) != nil || in.Enabled == nil || len(in.IDs) == 0 {
		return s.failure(http.StatusBadRequest)
	}
	var found []*device
	for _, id := range in.IDs {
		d := t.find(id)
		switch {
		case d == nil:
		case d.isolating:
			return s.failure(http.StatusConflict)
		default:
			found = append(found, d)
		}
	}
	items := []any{}
	for _, d := range found {
		d.isolating = true
		s.setIsolation(d, in)
		items = append(items, map[string]any{"id": d.record["id"], "isolation": d.isolation})
	}
	return answer{status: http.StatusAccepted, body: encode(map[string]any{"items": items})}
}

// setIsolation puts an order into the record and the isolation's own document.
func (s *Sim) setIsolation(d *device, in isolation) {
	status, when := "notIsolated", "lastDisabledAt"
	if *in.Enabled {
		status, when = "isolated", "lastEnabledAt"
	}
	d.record["isolation"] = map[string]any{"status": status, "adminIsolated": *in.Enabled, "selfIsolated": false}
	d.isolation = map[string]any{"enabled": *in.Enabled, when: stamp(s.opt.Now()), "comment": in.Comment}
}
