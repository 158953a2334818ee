package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Snapshots implements action.Snapshots in Redis.
type Snapshots struct{ s *Store }

var _ action.Snapshots = Snapshots{}

// Snapshots returns the tenants' snapshots of their inventories.
func (s *Store) Snapshots() Snapshots { return Snapshots{s} }

// How long a snapshot that nobody refreshes or asks for stays, and a reading that
// nobody ended.
const (
	snapshotStays = 48 * time.Hour
	readingStays  = time.Hour
)

// traitBearers is how many devices that bear one trait are found by it. More than a
// few are not one device's own.
const traitBearers = 16

// run runs one of the snapshot's scripts. A reading names the tenant as Central
// writes it, others as an event did.
func (k Snapshots) run(ctx context.Context, script, tenantID string, more args) *redis.Cmd {
	all := args{"offset": k.s.offset().Milliseconds(), "stays": snapshotStays.Milliseconds(), "readingStays": readingStays.Milliseconds()}
	maps.Copy(all, more)
	tenantID = strings.ToLower(tenantID)
	arg, err := json.Marshal(all)
	if err != nil {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(err)
		return cmd
	}
	return k.s.scripts["snapshot_"+script].Run(ctx, k.s.rdb, []string{keySnapshot.of(tenantID, "state"), keySnapshot.of(tenantID, "")}, string(arg))
}

// step is run for a step of a reading, which may be refused.
func (k Snapshots) step(ctx context.Context, script string, r action.Reading, more args) error {
	all := args{"reading": r.ID}
	maps.Copy(all, more)
	switch said, err := k.run(ctx, script, r.TenantID, all).Text(); {
	case err != nil:
		return away(fmt.Errorf("snapshot: %w", err))
	case said == "turn":
		return fmt.Errorf("snapshot: %w", action.ErrNotTheTurn)
	case said != "":
		return errors.New("snapshot: a part of what was read is lost")
	}
	return nil
}

// row is a device as the snapshot keeps it: its whole record, and what it is found by.
type row struct {
	ID      string `json:"id"`
	Entries string `json:"entries"` // of the index, with a tab between them
	Record  string `json:"record"`
}

// rows makes the form in which devices are kept. One without an id can't be kept, and
// a snapshot without it is not whole.
func rows(devices []policy.Device) ([]row, error) {
	out := make([]row, 0, len(devices))
	for _, d := range devices {
		if !d.ID.Known() {
			return nil, errors.New("a device without an id can't be kept on the snapshot")
		}
		record, err := json.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		out = append(out, row{strings.ToLower(d.ID.Value), strings.Join(indexEntries(d), "\t"), string(record)})
	}
	return out, nil
}

// indexEntries are what a device is found by: its traits, and those of a device without a
// readable name once more, apart from all others.
func indexEntries(d policy.Device) []string {
	var out, apart []string
	named := false
	for _, t := range action.TraitsOf(d) {
		if t.Sign == action.SameID {
			continue
		}
		out, apart = append(out, indexEntry(t)), append(apart, "u"+indexEntry(t))
		named = named || t.Sign == action.SameName
	}
	if named {
		return out
	}
	return append(out, apart...)
}

// beside are the entries of the devices that may be a device's namesakes.
func beside(d policy.Device) []string {
	out := []string{}
	for _, t := range action.TraitsOf(d) {
		switch t.Sign {
		case action.SameName:
			out = append(out, indexEntry(t))
		case action.SameSerial, action.SameMAC:
			out = append(out, "u"+indexEntry(t))
		case action.SameID:
		}
	}
	return out
}

// indexEntry is a trait as it stands in the index: its kind, and its value without the
// signs that part entries.
func indexEntry(t action.Trait) string {
	const kinds = "ismn" // in the order of the signs
	return kinds[t.Sign:t.Sign+1] + plain(t.Value)
}

// plain is a text without control characters, which is as different from others as
// it was, or nearly so.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Begin implements action.Snapshots.
func (k Snapshots) Begin(ctx context.Context, r action.Reading) (bool, error) {
	seen := ""
	if !r.Seen.IsZero() {
		seen = strconv.FormatInt(r.Seen.UnixMilli(), 10)
	}
	more := args{"seen": seen, "turn": r.Turn.Milliseconds()}
	if r.Refresh {
		more["refresh"] = true
	}
	err := k.step(ctx, "begin", r, more)
	if errors.Is(err, action.ErrNotTheTurn) {
		return false, nil
	}
	return err == nil, err
}

// Write implements action.Snapshots.
func (k Snapshots) Write(ctx context.Context, r action.Reading, devices []policy.Device, left int) error {
	kept, err := rows(devices)
	if err != nil {
		return err
	}
	return k.step(ctx, "write", r, args{"devices": kept, "left": left})
}

// Commit implements action.Snapshots. The snapshot before it goes at once.
func (k Snapshots) Commit(ctx context.Context, r action.Reading, with action.ReadingEnd) error {
	more := args{"central": with.Central.UnixMilli(), "newest": 0}
	if !with.Newest.IsZero() {
		more["newest"] = with.Newest.UnixMilli()
	}
	if with.Groups != nil {
		groups, err := json.Marshal(with.Groups)
		if err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		more["groups"] = string(groups)
	}
	return k.step(ctx, "end", r, more)
}

// Abandon implements action.Snapshots.
func (k Snapshots) Abandon(ctx context.Context, r action.Reading, rest time.Duration) error {
	err := k.step(ctx, "end", r, args{"rest": rest.Milliseconds()})
	if errors.Is(err, action.ErrNotTheTurn) {
		return nil
	}
	return err
}

// Put implements action.Snapshots.
func (k Snapshots) Put(ctx context.Context, tenantID string, devices []policy.Device) error {
	kept, err := rows(devices)
	if err != nil {
		return err
	}
	return away(k.run(ctx, "put", tenantID, args{"devices": kept}).Err())
}

// Remove implements action.Snapshots.
func (k Snapshots) Remove(ctx context.Context, dev action.Ref) error {
	return away(k.run(ctx, "put", dev.TenantID, args{"gone": strings.ToLower(dev.EndpointID)}).Err())
}

// Groups implements action.Snapshots.
func (k Snapshots) Groups(ctx context.Context, tenantID, readingID string) (*policy.TenantGroups, error) {
	raw, err := k.s.rdb.Get(ctx, keySnapshot.of(strings.ToLower(tenantID), readingID, "groups")).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil //nolint:nilnil // there are none
	}
	if err != nil {
		return nil, away(err)
	}
	var t policy.TenantGroups
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("snapshot: its groups can't be read: %w", err)
	}
	return &t, nil
}

// Beside implements action.Snapshots.
func (k Snapshots) Beside(ctx context.Context, tenantID, endpointID string, dev *policy.Device) (action.SnapshotFinds, error) {
	more := args{"id": strings.ToLower(endpointID), "entries": []string{}, "most": -1}
	if dev == nil {
		more["count"] = true
	} else {
		more["entries"] = beside(*dev)
	}
	return finds(k.run(ctx, "find", tenantID, more), nil)
}

// Find implements action.SnapshotFinder.
func (k Snapshots) Find(ctx context.Context, tenantID string, traits []action.Trait) (action.SnapshotFinds, error) {
	wanted := make([]string, len(traits))
	for i, t := range traits {
		wanted[i] = indexEntry(t)
	}
	return finds(k.run(ctx, "find", tenantID, args{"entries": wanted, "most": traitBearers + 1}), traits)
}

// finds reads what the script found.
func finds(cmd *redis.Cmd, asked []action.Trait) (action.SnapshotFinds, error) {
	got, err := cmd.StringSlice()
	if err != nil || len(got) == 0 {
		return action.SnapshotFinds{}, away(fmt.Errorf("snapshot: %w", err))
	}
	var in struct {
		Now, At, Whole, Central, Newest, Failed, Groups, Crowded string
		Asked, Left                                              int
		Reading                                                  bool
	}
	if err := json.Unmarshal([]byte(got[0]), &in); err != nil {
		return action.SnapshotFinds{}, fmt.Errorf("snapshot: %w", err)
	}
	f := action.SnapshotFinds{Devices: make([]policy.Device, len(got)-1), State: action.SnapshotState{
		Now: at(in.Now), At: at(in.At), Whole: at(in.Whole), Central: at(in.Central), Newest: at(in.Newest), Failed: at(in.Failed),
		Groups: in.Groups, Asked: in.Asked, Reading: in.Reading, Left: in.Left,
	}}
	for i, raw := range got[1:] {
		if err := json.Unmarshal([]byte(raw), &f.Devices[i]); err != nil {
			return action.SnapshotFinds{}, fmt.Errorf("snapshot: a device on it can't be read: %w", err)
		}
	}
	for n := range strings.SplitSeq(in.Crowded, ",") {
		if i, err := strconv.Atoi(n); err == nil && i < len(asked) {
			f.Crowded = append(f.Crowded, asked[i])
		}
	}
	return f, nil
}
