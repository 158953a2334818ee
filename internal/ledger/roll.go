package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

var _ action.Roll = (*Store)(nil)

// How long a roll that nobody refreshes stays, and a reading that nobody ended.
const (
	rollStays    = 48 * time.Hour
	readingStays = time.Hour
)

// rollParts are the keys of one reading: its devices, and their ids by name.
func rollParts(tenantID, reading string) []string {
	return []string{keyRoll.of(tenantID, reading+":devices"), keyRoll.of(tenantID, reading+":names")}
}

// onRoll is a device as the roll keeps it: what siblings are judged by.
type onRoll struct {
	ID     string `json:"id"`
	Name   string `json:"name"` // short, lower case; empty = it can't be read, ? = it has none
	Record string `json:"record"`
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
		name := "?"
		switch d.Hostname.State {
		case policy.Given:
			name = shortName(strings.TrimSuffix(d.Hostname.Value, "$"))
		case policy.Unreadable:
			name = ""
		case policy.Absent:
		}
		out = append(out, onRoll{strings.ToLower(d.ID.Value), name, string(record)})
	}
	return out, nil
}

// Write implements action.Roll.
func (s *Store) Write(ctx context.Context, tenantID, reading string, devices []policy.Device) error {
	return s.putOnRoll(ctx, tenantID, reading, devices, readingStays)
}

// putOnRoll writes devices into a reading.
func (s *Store) putOnRoll(ctx context.Context, tenantID, reading string, devices []policy.Device, stays time.Duration) error {
	rows, err := rolled(devices)
	if err != nil || len(rows) == 0 {
		return err
	}
	arg, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("roll: %w", err)
	}
	keys := rollParts(tenantID, reading)
	if err := s.scripts["roll_refresh"].Run(ctx, s.rdb, keys, string(arg)).Err(); err != nil {
		return away(err)
	}
	pipe := s.rdb.Pipeline()
	for _, k := range keys {
		pipe.Expire(ctx, k, stays)
	}
	_, err = pipe.Exec(ctx)
	return away(err)
}

// Install implements action.Roll. The reading before it goes at once.
func (s *Store) Install(ctx context.Context, tenantID, reading string, st action.RollState) error {
	was, err := s.rdb.HGet(ctx, keyRoll.of(tenantID, "state"), "reading").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return away(err)
	}
	_, err = s.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, keyRoll.of(tenantID, "state"), append([]any{"reading", reading, "whole", st.Whole.UnixMilli()}, stateOf(st)...)...)
		p.HDel(ctx, keyRoll.of(tenantID, "state"), "expected", "failed")
		for _, k := range append(rollParts(tenantID, reading), keyRoll.of(tenantID, "state")) {
			p.Expire(ctx, k, rollStays)
		}
		if was != "" && was != reading {
			p.Unlink(ctx, rollParts(tenantID, was)...)
		}
		return nil
	})
	return away(err)
}

// stateOf are the fields that every refresh renews.
func stateOf(st action.RollState) []any {
	newest := int64(0)
	if !st.Newest.IsZero() {
		newest = st.Newest.UnixMilli()
	}
	return []any{"at", st.At.UnixMilli(), "count", st.Count, "newest", newest}
}

// Refresh implements action.Roll.
func (s *Store) Refresh(ctx context.Context, tenantID string, devices []policy.Device) error {
	reading, err := s.rdb.HGet(ctx, keyRoll.of(tenantID, "state"), "reading").Result()
	if errors.Is(err, redis.Nil) {
		return action.ErrNotFound
	}
	if err != nil {
		return away(err)
	}
	return s.putOnRoll(ctx, tenantID, reading, devices, rollStays)
}

// Refreshed implements action.Roll.
func (s *Store) Refreshed(ctx context.Context, tenantID string, st action.RollState) error {
	key := keyRoll.of(tenantID, "state")
	pipe := s.rdb.Pipeline()
	pipe.HSet(ctx, key, stateOf(st)...)
	pipe.Expire(ctx, key, rollStays)
	_, err := pipe.Exec(ctx)
	return away(err)
}

// Expect implements action.Roll.
func (s *Store) Expect(ctx context.Context, tenantID string, in time.Duration) error {
	now, err := s.clock(ctx)
	if err != nil {
		return err
	}
	return away(s.rdb.HSet(ctx, keyRoll.of(tenantID, "state"), "expected", now.Add(in).UnixMilli()).Err())
}

// GiveUp implements action.Roll.
func (s *Store) GiveUp(ctx context.Context, tenantID string) error {
	now, err := s.clock(ctx)
	if err != nil {
		return err
	}
	pipe := s.rdb.Pipeline()
	pipe.HDel(ctx, keyRoll.of(tenantID, "state"), "expected")
	pipe.HSet(ctx, keyRoll.of(tenantID, "state"), "failed", now.UnixMilli())
	_, err = pipe.Exec(ctx)
	return away(err)
}

// Named implements action.Roll.
func (s *Store) Named(ctx context.Context, tenantID, short string) (action.RollState, []policy.Device, error) {
	keys := []string{keyRoll.of(tenantID, "state"), keyRoll.of(tenantID, "")}
	got, err := s.scripts["roll_named"].Run(ctx, s.rdb, keys, strings.ToLower(short), s.offset().Milliseconds()).StringSlice()
	if err != nil || len(got) == 0 {
		return action.RollState{}, nil, away(fmt.Errorf("roll: %w", err))
	}
	var in struct {
		At, Whole, Count, Newest, Expected, Failed, Now string
		Asked                                           int
	}
	if err := json.Unmarshal([]byte(got[0]), &in); err != nil {
		return action.RollState{}, nil, fmt.Errorf("roll: %w", err)
	}
	st := action.RollState{At: at(in.At), Whole: at(in.Whole), Newest: at(in.Newest), Asked: in.Asked, Failed: at(in.Failed)}
	st.Count, _ = strconv.Atoi(in.Count)
	if expected := at(in.Expected); !expected.IsZero() {
		st.Ready = max(expected.Sub(at(in.Now)), 0)
	}
	devices := make([]policy.Device, len(got)-1)
	for i, raw := range got[1:] {
		if err := json.Unmarshal([]byte(raw), &devices[i]); err != nil {
			return action.RollState{}, nil, fmt.Errorf("roll: a device on it can't be read: %w", err)
		}
	}
	return st, devices, nil
}
