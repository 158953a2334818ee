package ledger

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"
)

// What an operator's word on the store itself looks like in the trail: behind it
// the numbers go on from where the store was set back to.
const (
	actionInit       = "state-init"
	rollbackAccepted = "rollback-accepted"
	actionRestore    = "state-restore"
	restored         = "restored"
)

// BrokenLinkError is the first entry of a trail that does not follow the one before.
type BrokenLinkError struct {
	TenantID string
	Seq      int64
	Where    string // file and line; empty for the store
	Why      string
}

// Error says where, and what is wrong.
func (b *BrokenLinkError) Error() string {
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
	pieces []piece
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
	text         []byte
	entry        []byte // the JSON without seq, at, prev and digest
	next         []*auditLine
}

// piece is the beginning of a line whose writer was cut off.
type piece struct {
	where string
	text  []byte
}

// maxAuditLine bounds one line: an intent holds Central's record of a device.
const maxAuditLine = 4 << 20

// lineBegins is how every line begins that the service writes.
const lineBegins = `{"seq":`

// Read adds the lines of r; name is what faults are told by. It returns
// *[BrokenLinkError] for a line whose digest is not its own.
func (a *AuditLines) Read(name string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAuditLine)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := a.add(fmt.Sprintf("%s:%d", name, n), slices.Clone(lines.Bytes())); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// add adds a line. A writer that was killed leaves a piece of one, alone or before
// the line that came next; the whole line was written again, which Check sees to.
func (a *AuditLines) add(where string, text []byte) error {
	l, err := readLine(where, text)
	begins := bytes.HasPrefix(text, []byte(lineBegins))
	if notJSON := (*json.SyntaxError)(nil); errors.As(err, &notJSON) && begins {
		rest := max(bytes.LastIndex(text, []byte(lineBegins)), 0)
		if rest == 0 {
			rest = len(text)
		}
		a.pieces = append(a.pieces, piece{where, text[:rest]})
		if rest == len(text) {
			return nil
		}
		l, err = readLine(where, text[rest:])
	}
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
	return nil
}

// readLine reads a line and proves its digest.
func readLine(where string, text []byte) (*auditLine, error) {
	l := &auditLine{where: where, text: text}
	var members map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(text, &members), json.Unmarshal(text, l)); err != nil {
		return nil, fmt.Errorf("%s: no audit line: %w", where, err)
	}
	if err := new(jsontext.Value(slices.Clone(text))).Canonicalize(); err != nil { // refuses a name that comes twice
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
		return nil, l.broken("was changed: its digest is not its own")
	}
	delete(members, "seq")
	delete(members, "at")
	l.entry, err = json.Marshal(members)
	return l, err
}

// AuditReport says what there is in audit lines that were found whole.
type AuditReport struct {
	Entries, Tenants int
	// GivenUp tells, a sentence each, where an operator gave up entries: by
	// accepting that the store was set back, or by a restore. They are in the lines
	// and hold no longer. Somebody who can add lines can make it look like that.
	GivenUp []string
}

// Check follows every tenant's chain. It returns the first fault as *[BrokenLinkError].
func (a *AuditLines) Check() (AuditReport, error) {
	r := AuditReport{Tenants: len(a.trails)}
	for _, t := range slices.Sorted(maps.Keys(a.trails)) {
		_, givenUp, err := a.trail(t)
		if err != nil {
			return AuditReport{}, err
		}
		r.Entries += len(a.trails[t])
		r.GivenUp = append(r.GivenUp, givenUp...)
	}
	for _, p := range a.pieces {
		if !a.written(p.text) {
			return AuditReport{}, fmt.Errorf("%s: a piece of an audit line that was not written again", p.where)
		}
	}
	return r, nil
}

// written reports whether a line that begins like this is there.
func (a *AuditLines) written(begins []byte) bool {
	for _, trail := range a.trails {
		for _, l := range trail {
			if bytes.HasPrefix(l.text, begins) {
				return true
			}
		}
	}
	return false
}

// trail returns a tenant's entries in their order. Where an operator gave up a
// tail, the numbers go on behind that, and what had them before is left out; each
// such place is told.
func (a *AuditLines) trail(tenant string) (out []*auditLine, givenUp []string, err error) {
	byDigest := a.trails[tenant]
	all := slices.SortedFunc(maps.Values(byDigest), func(x, y *auditLine) int {
		return cmp.Or(cmp.Compare(x.Seq, y.Seq), x.At.Compare(y.At), cmp.Compare(x.Digest, y.Digest))
	})
	if len(all) == 0 {
		return nil, nil, nil
	}
	first := all[0]
	if first.Seq == 1 && first.Prev != genesis() {
		return nil, nil, first.broken("is the first and follows another")
	}
	for _, l := range all {
		l.next = nil
	}
	for _, l := range all[1:] {
		before := byDigest[l.Prev]
		if before == nil || before.Seq+1 != l.Seq {
			return nil, nil, l.broken("does not follow the one before: that is missing, or another")
		}
		before.next = append(before.next, l)
	}
	return first.walk()
}

// operators reports whether an entry is an operator's word on the store itself,
// behind which its numbers may go on anew.
func (l *auditLine) operators() bool {
	return l.Action == actionInit && l.Outcome == rollbackAccepted || l.Action == actionRestore && l.Outcome == restored
}

// walk follows the chain from l on.
func (l *auditLine) walk() (out []*auditLine, givenUp []string, err error) {
	for l != nil {
		out = append(out, l)
		var plain, word *auditLine
		for _, n := range l.next { // by their time: the last word holds
			switch {
			case n.operators():
				word = n
			case plain != nil:
				return nil, nil, n.broken("is there twice, and differs")
			default:
				plain = n
			}
		}
		next := plain
		if word != nil {
			next = word
		}
		if len(l.next) > 1 {
			givenUp = append(givenUp, fmt.Sprintf("tenant %s: what came after entry %d was given up at %s (%s)",
				l.TenantID, l.Seq, next.At.UTC().Format(time.RFC3339), next.Action))
		}
		l = next
	}
	return out, givenUp, nil
}

// broken is the fault of a line.
func (l *auditLine) broken(why string) error {
	return &BrokenLinkError{TenantID: l.TenantID, Seq: l.Seq, Where: l.where, Why: why}
}

// VerifyAudit walks the trail of every tenant as the store has it: no entry is
// missing, the digest that was kept when it was exported is the one that comes
// out, and the last entry bears the last number. It returns the first fault as
// *[BrokenLinkError].
func (s *Store) VerifyAudit(ctx context.Context) (AuditReport, error) {
	mark, err := s.Mark(ctx)
	if err == nil && mark == "" {
		err = errors.New("the store can't be trusted: " + noMark) // a trail that was lost whole has no broken link
	}
	if err != nil {
		return AuditReport{}, err
	}
	ids, err := s.tenantIDs(ctx)
	if err != nil {
		return AuditReport{}, err
	}
	r := AuditReport{Tenants: len(ids)}
	for _, t := range ids {
		n, err := s.verifyTrail(ctx, t)
		if err != nil {
			return AuditReport{}, err
		}
		r.Entries += n
	}
	return r, nil
}

// verifyTrail walks one tenant's trail. The last number is read first: entries
// may be added meanwhile.
func (s *Store) verifyTrail(ctx context.Context, tenant string) (int, error) {
	last, err := s.rdb.HGet(ctx, keyMeta.of(tenant), "seq").Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, away(err)
	}
	lost, _, err := s.lost(ctx, tenant)
	if err != nil {
		return 0, err
	}
	base, exported, err := s.start(ctx, tenant)
	if err != nil {
		return 0, err
	}
	broken := func(seq int64, why string) error { return &BrokenLinkError{TenantID: tenant, Seq: seq, Why: why} }
	if lost {
		return 0, broken(1, "is missing: there was a trail, and it is gone")
	}
	at, n := base, 0
	for c, err := range s.chain(ctx, tenant, base) {
		if gap, ok := errors.AsType[*gapError](err); ok {
			return 0, broken(gap.after+1, fmt.Sprintf("is missing: after %d comes %d", gap.after, gap.next))
		}
		if err != nil {
			return 0, err
		}
		if c.seq == exported.seq && c.digest != exported.digest {
			return 0, broken(c.seq, "or one before it is not what was exported")
		}
		at, n = c.place, n+1
	}
	switch {
	case at.seq < exported.seq:
		return 0, broken(at.seq+1, fmt.Sprintf("is missing: the trail was exported as far as %d", exported.seq))
	case at.seq < last:
		return 0, broken(at.seq+1, fmt.Sprintf("is missing: the last number given is %d", last))
	}
	return n, nil
}
