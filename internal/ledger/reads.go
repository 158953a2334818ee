package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

var _ action.SharedReads = (*Store)(nil)

// readsStay is how long a read, or an answer, waits for who takes it. Whoever
// asked has given up long before.
const readsStay = time.Minute

// Ask implements action.SharedReads.
func (s *Store) Ask(ctx context.Context, tenantID string, read action.AskedRead) error {
	return s.append(ctx, keyReads.of(tenantID), read)
}

// Answer implements action.SharedReads. Answers that are given together come
// together.
func (s *Store) Answer(ctx context.Context, asker string, answers []action.ReadAnswer) error {
	return s.append(ctx, answersKey(asker), answers)
}

// append puts a value at the end of a list that runs out.
func (s *Store) append(ctx context.Context, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("shared reads: %w", err)
	}
	pipe := s.rdb.Pipeline()
	pipe.RPush(ctx, key, b)
	pipe.PExpire(ctx, key, readsStay)
	_, err = pipe.Exec(ctx)
	return away(err)
}

// Claim implements action.SharedReads.
func (s *Store) Claim(ctx context.Context, tenantID, taker string, turn time.Duration) (waiting int, mine bool, err error) {
	got, err := s.scripts["claim"].Run(ctx, s.rdb, readKeys(tenantID), taker, turn.Milliseconds()).Int64Slice()
	if err != nil || len(got) != 2 {
		return 0, false, away(fmt.Errorf("shared reads: %w", err))
	}
	return int(got[1]), got[0] == 1, nil
}

// Take implements action.SharedReads. What can't be read is nobody's.
func (s *Store) Take(ctx context.Context, tenantID, taker string, most int, turn time.Duration) ([]action.AskedRead, error) {
	got, err := s.scripts["take"].Run(ctx, s.rdb, readKeys(tenantID), taker, most, turn.Milliseconds()).StringSlice()
	if err != nil {
		return nil, away(fmt.Errorf("shared reads: %w", err))
	}
	var reads []action.AskedRead
	for _, raw := range got {
		var read action.AskedRead
		if json.Unmarshal([]byte(raw), &read) == nil {
			reads = append(reads, read)
		}
	}
	return reads, nil
}

// readKeys are a tenant's reads, and whose turn it is.
func readKeys(tenantID string) []string {
	return []string{keyReads.of(tenantID), keyReadTurn.of(tenantID)}
}

// Answers implements action.SharedReads.
func (s *Store) Answers(ctx context.Context, asker string, wait time.Duration) ([]action.ReadAnswer, error) {
	got, err := s.rdb.BLPop(ctx, wait, answersKey(asker)).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil || len(got) != 2 {
		return nil, away(fmt.Errorf("shared reads: %w", err))
	}
	var out []action.ReadAnswer
	if err := json.Unmarshal([]byte(got[1]), &out); err != nil {
		return nil, fmt.Errorf("shared reads: answers that can't be read: %w", err)
	}
	return out, nil
}
