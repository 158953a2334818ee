package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/record"
)

// errUnconfirmed ends a run that nobody has said yes to.
var errUnconfirmed = errors.New("not confirmed; nothing was deleted")

// readYes reads the values of --yes.
func readYes(given []string) (map[string]int, error) {
	if len(given) == 0 {
		return nil, nil
	}
	yes := map[string]int{}
	for _, s := range given {
		tenant, count, _ := strings.Cut(s, ":")
		id, isID := record.ID(tenant)
		n, err := strconv.Atoi(count)
		_, twice := yes[id]
		if !isID || err != nil || n < 1 || twice {
			return nil, usagef("--yes %s: must be a tenant's id, a colon and a number from 1, each tenant once", s)
		}
		yes[id] = n
	}
	return yes, nil
}

// confirm has the operator say, tenant by tenant, what will be deleted. Anything
// but exactly that is a no.
func (r *retireRun) confirm(ctx context.Context) error {
	counts := map[string]int{}
	for _, it := range r.doomed {
		counts[it.dev.TenantID]++
	}
	tenants := slices.Sorted(maps.Keys(counts))
	if r.yes != nil {
		if !maps.Equal(r.yes, counts) {
			return fmt.Errorf("--yes does not name what would be deleted, which the table shows: %w", errUnconfirmed)
		}
		return nil
	}
	lines := make(chan string)
	answers, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r.p.stdin); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-answers.Done():
				return
			}
		}
	}()
	for _, tenant := range tenants {
		say(r.p.stderr, "To delete %d devices of the tenant %s, type the tenant's id and the number:", counts[tenant], tenant)
		if !confirmed(ctx, lines, tenant, counts[tenant]) {
			return errUnconfirmed
		}
	}
	return nil
}

// confirmed takes one line of the operator's.
func confirmed(ctx context.Context, lines <-chan string, tenant string, count int) bool {
	select {
	case <-ctx.Done():
		return false
	case line, ok := <-lines:
		return ok && ctx.Err() == nil && slices.Equal(strings.Fields(line), []string{tenant, strconv.Itoa(count)})
	}
}
