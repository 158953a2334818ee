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

var (
	_ action.Roll       = (*Store)(nil)
	_ action.RollFinder = (*Store)(nil)
)

// How long a roll that nobody refreshes or asks for stays, and a reading that
// nobody ended.
const (
	rollStays    = 48 * time.Hour
	readingStays = time.Hour
)

// rollBearers is how many devices that bear one trait are found by it. More than a
// few are not one device's own.
const rollBearers = 16

// roll runs one of the roll's scripts. Who reads names the tenant as Central writes
// it, others as an event did.
func (s *Store) roll(ctx context.Context, script, tenantID string, more args) *redis.Cmd {
	all := args{"offset": s.offset().Milliseconds(), "stays": rollStays.Milliseconds(), "readingStays": readingStays.Milliseconds()}
	maps.Copy(all, more)
	tenantID = strings.ToLower(tenantID)
	arg, err := json.Marshal(all)
	if err != nil {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(err)
		return cmd
	}
	return s.scripts["roll_"+script].Run(ctx, s.rdb, []string{keyRoll.of(tenantID, "state"), keyRoll.of(tenantID, "")}, string(arg))
}

// step is roll for a step of a reading, which may be refused.
func (s *Store) step(ctx context.Context, script, tenantID, reading string, more args) error {
	all := args{"reading": reading}
	maps.Copy(all, more)
	switch said, err := s.roll(ctx, script, tenantID, all).Text(); {
	case err != nil:
		return away(fmt.Errorf("roll: %w", err))
	case said == "turn":
		return fmt.Errorf("roll: %w", action.ErrNotTheTurn)
	case said != "":
		return errors.New("roll: a part of what was read is lost")
	}
	return nil
}

// onRoll is a device as the roll keeps it: what siblings are judged by, and what it
// is found by.
type onRoll struct {
	ID      string `json:"id"`
	Entries string `json:"entries"` // of the index, with a tab between them
	Record  string `json:"record"`
}

// rolled makes the form in which devices are kept. One without an id can't be put
// on a roll, and a roll without it is not whole.
func rolled(devices []policy.Device) ([]onRoll, error) {
	out := make([]onRoll, 0, len(devices))
	for _, d := range devices {
		if !d.ID.Known() {
			return nil, errors.New("a device without an id can't be kept on the roll")
		}
		slim := policy.Device{
			ID: d.ID, TenantID: d.TenantID, Hostname: d.Hostname, Type: d.Type, Platform: d.Platform, OSName: d.OSName, IsServer: d.IsServer,
			LastSeenAt: d.LastSeenAt, RegisteredAt: d.RegisteredAt, Online: d.Online, SerialNumber: d.SerialNumber, MACAddresses: d.MACAddresses,
		}
		record, err := json.Marshal(slim)
		if err != nil {
			return nil, fmt.Errorf("roll: %w", err)
		}
		out = append(out, onRoll{strings.ToLower(d.ID.Value), strings.Join(rollEntries(d), "\t"), string(record)})
	}
	return out, nil
}

// rollEntries are what a device is found by. One whose name can't be read may have
// any.
func rollEntries(d policy.Device) []string {
	var out []string
	named := d.Hostname.State == policy.Absent
	for _, t := range action.TraitsOf(d) {
		if t.Sign != action.SameID {
			out = append(out, rollEntry(t))
		}
		named = named || t.Sign == action.SameName
	}
	if !named {
		out = append(out, "u")
	}
	return out
}

// rollEntry is a trait as it stands in the index: its kind, and its value without
// the signs that part entries.
func rollEntry(t action.Trait) string {
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

// BeginReading implements action.Roll.
func (s *Store) BeginReading(ctx context.Context, tenantID, reading string, seen time.Time, turn time.Duration) (time.Time, bool, error) {
	was := ""
	if !seen.IsZero() {
		was = strconv.FormatInt(seen.UnixMilli(), 10)
	}
	now, err := s.roll(ctx, "begin", tenantID, args{"reading": reading, "seen": was, "turn": turn.Milliseconds()}).Text()
	if err != nil {
		return time.Time{}, false, away(fmt.Errorf("roll: %w", err))
	}
	return at(now), now != "", nil
}

// Write implements action.Roll.
func (s *Store) Write(ctx context.Context, tenantID, reading string, devices []policy.Device) error {
	return s.putOnRoll(ctx, tenantID, reading, devices, false)
}

// Refresh implements action.Roll.
func (s *Store) Refresh(ctx context.Context, tenantID, reading string, devices []policy.Device) error {
	return s.putOnRoll(ctx, tenantID, reading, devices, true)
}

// putOnRoll writes devices into a reading, or into the roll.
func (s *Store) putOnRoll(ctx context.Context, tenantID, reading string, devices []policy.Device, refresh bool) error {
	rows, err := rolled(devices)
	if err != nil {
		return err
	}
	return s.step(ctx, "write", tenantID, reading, args{"refresh": refresh, "devices": rows})
}

// Install implements action.Roll. The reading before it goes at once.
func (s *Store) Install(ctx context.Context, tenantID, reading string, st action.RollState) error {
	all := stateOf(st)
	all["whole"] = st.Whole.UnixMilli()
	return s.step(ctx, "install", tenantID, reading, all)
}

// Refreshed implements action.Roll.
func (s *Store) Refreshed(ctx context.Context, tenantID, reading string, st action.RollState) error {
	return s.step(ctx, "install", tenantID, reading, stateOf(st))
}

// stateOf is what every reading renews.
func stateOf(st action.RollState) args {
	newest := int64(0)
	if !st.Newest.IsZero() {
		newest = st.Newest.UnixMilli()
	}
	heard := int64(0)
	if !st.Heard.IsZero() {
		heard = st.Heard.UnixMilli()
	}
	return args{"at": st.At.UnixMilli(), "heard": heard, "newest": newest}
}

// Expect implements action.Roll.
func (s *Store) Expect(ctx context.Context, tenantID, reading string, in time.Duration) error {
	return s.step(ctx, "expect", tenantID, reading, args{"in": in.Milliseconds()})
}

// GiveUp implements action.Roll.
func (s *Store) GiveUp(ctx context.Context, tenantID, reading string, rest time.Duration) error {
	return s.step(ctx, "giveup", tenantID, reading, args{"again": rest.Milliseconds()})
}

// Forget implements action.Roll.
func (s *Store) Forget(ctx context.Context, dev action.Ref) error {
	return away(s.roll(ctx, "forget", dev.TenantID, args{"id": strings.ToLower(dev.EndpointID)}).Err())
}

// Learn implements action.Roll.
func (s *Store) Learn(ctx context.Context, tenantID string, devices []policy.Device) error {
	rows, err := rolled(devices)
	if err != nil {
		return err
	}
	return away(s.roll(ctx, "learn", tenantID, args{"devices": rows}).Err())
}

// Named implements action.Roll.
func (s *Store) Named(ctx context.Context, tenantID, hostname string) (action.RollState, []policy.Device, error) {
	f, err := s.finds(s.roll(ctx, "named", tenantID, args{"name": plain(policy.NameKey(hostname))}), nil)
	return f.State, f.Devices, err
}

// Find implements action.Roll.
func (s *Store) Find(ctx context.Context, tenantID string, traits []action.Trait) (action.RollFinds, error) {
	wanted := make([]string, len(traits))
	for i, t := range traits {
		wanted[i] = rollEntry(t)
	}
	return s.finds(s.roll(ctx, "find", tenantID, args{"traits": wanted, "most": rollBearers}), traits)
}

// finds reads what a script found.
func (s *Store) finds(cmd *redis.Cmd, asked []action.Trait) (action.RollFinds, error) {
	got, err := cmd.StringSlice()
	if err != nil || len(got) == 0 {
		return action.RollFinds{}, away(fmt.Errorf("roll: %w", err))
	}
	var in struct {
		Now, At, Whole, Heard, Newest, Expected, Failed, Crowded string
		Asked                                                    int
	}
	if err := json.Unmarshal([]byte(got[0]), &in); err != nil {
		return action.RollFinds{}, fmt.Errorf("roll: %w", err)
	}
	st := action.RollState{Now: at(in.Now), At: at(in.At), Whole: at(in.Whole), Heard: at(in.Heard), Newest: at(in.Newest), Asked: in.Asked, Failed: at(in.Failed)}
	if expected := at(in.Expected); !expected.IsZero() {
		st.Ready = max(expected.Sub(st.Now), 0)
	}
	f := action.RollFinds{State: st, Devices: make([]policy.Device, len(got)-1)}
	for i, raw := range got[1:] {
		if err := json.Unmarshal([]byte(raw), &f.Devices[i]); err != nil {
			return action.RollFinds{}, fmt.Errorf("roll: a device on it can't be read: %w", err)
		}
	}
	for n := range strings.SplitSeq(in.Crowded, ",") {
		if i, err := strconv.Atoi(n); err == nil && i < len(asked) {
			f.Crowded = append(f.Crowded, asked[i])
		}
	}
	return f, nil
}
