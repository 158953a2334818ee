package ledger

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// What an operator's acceptance of a lost tail looks like in the trail: behind
// it the numbers go on from where the store was set back to.
const (
	actionInit       = "state-init"
	rollbackAccepted = "rollback-accepted"
)

// BrokenLink is the first entry of a trail that does not follow the one before.
type BrokenLink struct {
	TenantID string
	Seq      int64
	Where    string // file and line; empty for the store
	Why      string
}

// Error says where, and what is wrong.
func (b *BrokenLink) Error() string {
	s := fmt.Sprintf("tenant %s: audit entry %d %s", b.TenantID, b.Seq, b.Why)
	if b.Where != "" {
		s = b.Where + ": " + s
	}
	return s
}

// AuditLines are audit lines as the service wrote them, of any tenants, in any
// order, each as often as it may have been written. The zero value is ready.
type AuditLines struct {
	trails map[string]map[string]*auditLine // tenant -> digest
}

// auditLine is one line that proved its own digest.
type auditLine struct {
	Seq          int64
	At           time.Time
	TenantID     string
	Prev, Digest string
	Action       string
	Outcome      string
	where        string
	entry        []byte // the JSON without seq, at, prev and digest
	next         []*auditLine
}

// maxAuditLine bounds one line: an intent holds Central's record of a device.
const maxAuditLine = 4 << 20

// Read adds the lines of r; name is what faults are told by. It returns
// *[BrokenLink] for a line whose digest is not its own.
func (a *AuditLines) Read(name string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAuditLine)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		where := fmt.Sprintf("%s:%d", name, n)
		l, err := readLine(where, lines.Bytes())
		if err != nil {
			return err
		}
		if a.trails == nil {
			a.trails = map[string]map[string]*auditLine{}
		}
		if a.trails[l.TenantID] == nil {
			a.trails[l.TenantID] = map[string]*auditLine{}
		}
		if _, again := a.trails[l.TenantID][l.Digest]; !again {
			a.trails[l.TenantID][l.Digest] = l
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// readLine reads a line and proves its digest.
func readLine(where string, text []byte) (*auditLine, error) {
	if err := new(jsontext.Value(slices.Clone(text))).Canonicalize(); err != nil { // also refuses a name that comes twice
		return nil, fmt.Errorf("%s: not one JSON object: %w", where, err)
	}
	l := &auditLine{where: where}
	var members map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(text, &members), json.Unmarshal(text, l)); err != nil {
		return nil, fmt.Errorf("%s: no audit line: %w", where, err)
	}
	if l.TenantID == "" || l.Seq < 1 || l.Digest == "" || l.At.IsZero() {
		return nil, fmt.Errorf("%s: no audit line: seq, at, tenantId and digest are needed", where)
	}
	delete(members, "prev")
	delete(members, "digest")
	whole, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	_, digest, err := link(l.Prev, whole)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if digest != l.Digest {
		return nil, &BrokenLink{TenantID: l.TenantID, Seq: l.Seq, Where: where, Why: "was changed: its digest is not its own"}
	}
	delete(members, "seq")
	delete(members, "at")
	l.entry, err = json.Marshal(members)
	return l, err
}

// Check follows every tenant's chain. It returns how many entries and tenants
// there are, or the first fault as *[BrokenLink].
func (a *AuditLines) Check() (entries, tenants int, err error) {
	for _, t := range slices.Sorted(maps.Keys(a.trails)) {
		if _, err := a.trail(t); err != nil {
			return 0, 0, err
		}
		entries += len(a.trails[t])
	}
	return entries, len(a.trails), nil
}

// trail returns a tenant's entries in their order. Where an operator accepted
// that a tail was lost, the numbers begin again behind the acceptance, and what
// had them before is left out.
func (a *AuditLines) trail(tenant string) ([]*auditLine, error) {
	byDigest := a.trails[tenant]
	all := slices.SortedFunc(maps.Values(byDigest), func(x, y *auditLine) int {
		return cmp.Or(cmp.Compare(x.Seq, y.Seq), x.At.Compare(y.At), cmp.Compare(x.Digest, y.Digest))
	})
	if len(all) == 0 {
		return nil, nil
	}
	first := all[0]
	if first.Seq == 1 && first.Prev != genesis() {
		return nil, first.broken("is the first and follows another")
	}
	for _, l := range all {
		l.next = nil
	}
	for _, l := range all[1:] {
		before := byDigest[l.Prev]
		if before == nil || before.Seq+1 != l.Seq {
			return nil, l.broken("does not follow the one before: that is missing, or another")
		}
		before.next = append(before.next, l)
	}
	return first.walk()
}

// walk follows the chain from l on.
func (l *auditLine) walk() ([]*auditLine, error) {
	var out []*auditLine
	for l != nil {
		out = append(out, l)
		plain, accepted := 0, (*auditLine)(nil)
		var next *auditLine
		for _, n := range l.next { // by their time
			if n.Action == actionInit && n.Outcome == rollbackAccepted {
				accepted = n
				continue
			}
			plain, next = plain+1, n
		}
		if plain > 1 {
			return nil, next.broken("is there twice, and differs")
		}
		if accepted != nil {
			next = accepted
		}
		l = next
	}
	return out, nil
}

// broken is the fault of a line.
func (l *auditLine) broken(why string) error {
	return &BrokenLink{TenantID: l.TenantID, Seq: l.Seq, Where: l.where, Why: why}
}
