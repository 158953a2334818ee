package main

import (
	"context"
	"net/http"
	"time"

	"rollcall/internal/centralsim"
)

// pauseEvery is how many looks of the operator pass between two pauses.
const pauseEvery = 30

// operate is a person with an admin's key: the circuit is closed whenever it stood
// in a playbook's way, and now and then deletes are paused for a moment.
func (c *crash) operate(ctx context.Context) {
	for look := 1; wait(ctx, 100*time.Millisecond); look++ {
		if c.circuit.Swap(false) {
			if !c.admin(ctx, "circuit-reset", centralsim.SampleTenant) {
				c.circuit.Store(true)
				continue
			}
			c.tally.add(resets)
		}
		if look%pauseEvery == 0 && !c.shy.Load() {
			c.pauseOnce(ctx, []string{"", centralsim.SampleTenant}[look/pauseEvery%2])
		}
	}
}

// pauseOnce pauses a tenant's deletes, or all, for a moment. Nothing is certain of
// a switch but between the answer that it is on and the request to take it back.
func (c *crash) pauseOnce(ctx context.Context, tenant string) {
	on := c.admin(ctx, "pause", tenant)
	s := span{from: time.Now()}
	wait(ctx, 400*time.Millisecond)
	s.to = time.Now()
	for !c.admin(c.ctx, "resume", tenant) && wait(c.ctx, 100*time.Millisecond) {
	}
	if !on {
		return
	}
	c.tally.add(pauses)
	c.diary.mu.Lock()
	defer c.diary.mu.Unlock()
	c.diary.pauses = append(c.diary.pauses, s)
}

// admin throws a switch, through either replica; it reports whether that was answered.
func (c *crash) admin(ctx context.Context, what, tenant string) bool {
	ctx, cancel := context.WithTimeout(ctx, impatience)
	defer cancel()
	body := map[string]any{"reason": "the crash test", "by": "operator"}
	if tenant != "" {
		body["tenantId"] = tenant
	}
	status, _, err := tryPost(ctx, c.replicas[c.dice.below(2)].address(), c.keys.admin, "/v1/admin/"+what, body)
	return err == nil && status == http.StatusOK
}
