package ledger

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

// Gone implements action.Ledger.
func (s *Store) Gone(ctx context.Context, since time.Time) iter.Seq2[action.Gone, error] {
	return each(ctx, s, keyDeleted, since, s.gonePage)
}

// gonePage reads what else is known of a page of deleted devices. Who came back
// since the page was read is left out.
func (s *Store) gonePage(ctx context.Context, tenant string, rows []redis.Z) ([]action.Gone, error) {
	ids := make([]string, len(rows))
	devices := make([]*redis.SliceCmd, len(rows))
	pipe := s.rdb.Pipeline()
	for i, z := range rows {
		ids[i] = fmt.Sprint(z.Member)
		devices[i] = pipe.HMGet(ctx, keyDevice.of(tenant, ids[i]), "state", "hostname", "restoreBy", "deletedAt")
	}
	records := pipe.HMGet(ctx, keyRecords.of(tenant), ids...)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, away(err)
	}
	var out []action.Gone
	for i := range rows {
		v := texts(devices[i])
		if v[0] != StateDeleted {
			continue
		}
		g := action.Gone{
			Ref: action.Ref{TenantID: tenant, EndpointID: ids[i]}, Hostname: v[1],
			DeletedAt: at(v[3]), SettledAt: time.UnixMilli(int64(rows[i].Score)).UTC(), RestoreBy: at(v[2]),
		}
		if record, ok := records.Val()[i].(string); ok {
			g.Record = []byte(record)
		}
		out = append(out, g)
	}
	return out, nil
}
