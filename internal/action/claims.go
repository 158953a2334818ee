package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/policy"
)

// The kinds of token. What is sealed as one never opens as another.
const (
	kindEvidence = "evidence" // verify-live's
	kindVerdict  = "verdict"  // evaluate's, and what a refused delete hands on
	kindApproval = "approval" // ticket-close's, for decision delete
)

// claims is what a token holds. Only what a later step needs is in it; which
// fields are set depends on the kind.
type claims struct {
	ID           string          `json:"id"` // sends at most one DELETE
	At           time.Time       `json:"at"`
	Till         time.Time       `json:"till"`
	Mode         string          `json:"mode"`
	Dev          Ref             `json:"dev"`
	Installation string          `json:"inst,omitempty"`
	Seq          int64           `json:"seq,omitempty"` // the tenant's audit sequence when it was sealed
	Event        policy.Event    `json:"event,omitzero"`
	Live         policy.Live     `json:"live,omitzero"` // evidence only
	Digest       string          `json:"digest,omitempty"`
	Verdict      policy.Verdict  `json:"verdict,omitempty"`
	Reasons      []policy.Reason `json:"reasons,omitempty"`
	Shown        []policy.Code   `json:"shown,omitempty"` // every hit, waived ones too: what an approver sees
	TwoPersons   bool            `json:"two,omitempty"`
	TicketID     string          `json:"ticket,omitempty"`
	OpenedAt     time.Time       `json:"opened,omitzero"`
	// Parked is set alone beside ID, Dev and Till when the rest was too large
	// for a token and lies in the ledger under this digest.
	Parked string `json:"parked,omitempty"`
}

// approval is the policy's view of an approval's claims, nil for other kinds.
func (c claims) approval() *policy.Approval {
	if c.TicketID == "" {
		return nil
	}
	return &policy.Approval{ID: c.ID, Waives: c.Shown, OpenedAt: c.OpenedAt}
}

// newClaims starts a token for dev.
func (r *Runner) newClaims(dev Ref, mode string, now time.Time, ttl time.Duration, at Receipt) claims {
	return claims{
		ID: uuid.NewString(), At: now, Till: now.Add(ttl), Mode: mode, Dev: dev,
		Installation: at.Installation, Seq: at.Seq,
	}
}

// seal makes a token of c; what is too large for one is parked in the ledger,
// whatever has become of the caller's time.
func (r *Runner) seal(ctx context.Context, kind string, c claims) (string, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	token, err := r.sealer.Seal(kind, plain)
	if !errors.Is(err, ErrTokenSize) {
		return token, err
	}
	sum := sha256.Sum256(plain)
	small := claims{ID: c.ID, Dev: c.Dev, Till: c.Till, Parked: hex.EncodeToString(sum[:])}
	ctx, cancel := r.bookkeeping(ctx)
	defer cancel()
	if err := r.ledger.Park(ctx, c.Dev.TenantID, small.Parked, plain, c.Till.Sub(c.At)); err != nil {
		return "", err
	}
	if plain, err = json.Marshal(small); err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	return r.sealer.Seal(kind, plain)
}

// open opens a token given in field, of one of the kinds. Parked claims that
// are no longer there come back expired, which no step takes for valid.
func (r *Runner) open(ctx context.Context, field, token string, kinds ...string) (string, claims, error) {
	kind, plain, err := r.sealer.Open(token)
	if errors.Is(err, ErrToken) {
		return "", claims{}, &Invalid{Field: field, Problem: "is not a token of this service, or is damaged or cut"}
	}
	if err != nil {
		return "", claims{}, err
	}
	if !slices.Contains(kinds, kind) {
		return "", claims{}, &Invalid{Field: field, Problem: "is a token of another kind: " + kind}
	}
	c, err := r.unpark(ctx, plain)
	return kind, c, err
}

// unpark decodes claims, fetching them from the ledger where they are parked.
func (r *Runner) unpark(ctx context.Context, plain []byte) (claims, error) {
	var c claims
	if err := json.Unmarshal(plain, &c); err != nil {
		return claims{}, fmt.Errorf("claims: %w", err)
	}
	if c.Parked == "" {
		return c, nil
	}
	b, ok, err := r.ledger.Unpark(ctx, c.Dev.TenantID, c.Parked)
	if err != nil {
		return claims{}, err
	}
	sum := sha256.Sum256(b)
	if !ok || hex.EncodeToString(sum[:]) != c.Parked {
		return claims{ID: c.ID, Dev: c.Dev}, nil
	}
	var full claims
	if err := json.Unmarshal(b, &full); err != nil {
		return claims{}, fmt.Errorf("parked claims: %w", err)
	}
	return full, nil
}
