package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hand is a playbook that is led by the run itself.
func (c *crash) hand() *playbook {
	return &playbook{c, c.load, rand.New(rand.NewPCG(crashSeed, uint64(c.requests.Add(1))))}
}

// ready has a device evaluated on a replica; it returns the delete's body.
func (p *playbook) ready(r *replica) (*device, map[string]any) {
	for p.ctx.Err() == nil {
		d := p.c.device("eligible")
		a := p.c.call(p.ctx, r, p.c.keys.playbook, "evaluate", d, map[string]any{"event": d.event})
		if says(a, "outcome") == "delete" {
			return d, token(a)
		}
		p.nap(100 * time.Millisecond)
	}
	return p.c.device("eligible"), nil
}

// killing is a step and the side of it at which a process is killed.
type killing struct {
	step step
	side side
}

// killings are all steps, on both sides. The short form has one side, in turns, of
// those steps that write nothing.
func (c *crash) killings() []killing {
	var out []killing
	for i, s := range c.steps {
		writes := strings.Contains(s.label, "EVAL") || strings.Contains(s.label, http.MethodDelete)
		for _, at := range []side{before, after} {
			if c.form.whole || writes || side(i%2) == at {
				out = append(out, killing{s, at})
			}
		}
	}
	return out
}

// walk kills a process at every step of a delete.
func (c *crash) walk(t *testing.T) {
	t.Helper()
	for _, k := range c.killings() {
		if !c.killAt(t, k.step, k.side) {
			c.missed = append(c.missed, fmt.Sprintf("kill at %s, %s", k.step, k.side))
		}
	}
}

// meet sends deletes through the first replica, until one meets the trap at a step.
// It returns what goes on with that delete.
func (c *crash) meet(t *testing.T, s step, at side, spring func() fate) (goOn func()) {
	t.Helper()
	a := c.replicas[0]
	for range 8 {
		p := c.hand()
		d, body := p.ready(a)
		sprung := a.trap.arm(d.id, s, at, spring)
		answered := make(chan struct{})
		c.work.Go(func() {
			defer close(answered)
			c.call(c.ctx, a, c.keys.playbook, "delete", d, body)
		})
		select {
		case <-sprung:
		case <-answered: // maybe because the trap is springing
		}
		if _, did := a.trap.disarm(); did {
			<-sprung
			return func() { p.chase(d, body) }
		}
		c.work.Go(func() { p.chase(d, body) })
		a.kill() // only a fresh process takes the same steps
		a.up(t)
	}
	return nil
}

// killAt kills the first replica at a step, while the other goes on with the same
// delete, and starts it again. It reports whether a delete came to that step.
func (c *crash) killAt(t *testing.T, s step, at side) bool {
	t.Helper()
	a, killed := c.replicas[0], false
	goOn := c.meet(t, s, at, func() fate {
		killed = a.kill()
		return swallow
	})
	if goOn == nil {
		return false
	}
	c.work.Go(goOn)
	a.up(t)
	if killed {
		c.tally.add(killStep(at))
	}
	return killed
}

// freeze stops a process right after a step of its delete was done. It is woken when
// the other replica has long come to an end with that delete; or else when its
// DELETE may not leave any more, but nobody may settle it yet.
func (c *crash) freeze(t *testing.T) {
	t.Helper()
	for _, s := range c.freezeAt() {
		if !c.freezeOnce(t, s, stopStep, settleWindow+500*time.Millisecond) {
			c.missed = append(c.missed, "stop at "+s.String())
		}
		for range c.form.shortStops {
			if !c.freezeOnce(t, s, stopShort, sendWindow+300*time.Millisecond) {
				c.missed = append(c.missed, "short stop at "+s.String())
			}
		}
	}
}

// freezeAt are the steps to stop at; if it may be one only, then the last talk with
// the store before the DELETE: after it nothing but the clock holds the DELETE back.
func (c *crash) freezeAt() []step {
	if c.form.whole {
		return c.steps
	}
	for i := c.theDelete() - 1; i >= 0; i-- {
		if c.steps[i].toRedis() {
			return c.steps[i : i+1]
		}
	}
	return nil
}

func (c *crash) freezeOnce(t *testing.T, s step, kind string, least time.Duration) bool {
	t.Helper()
	a, frozen, since := c.replicas[0], false, time.Time{}
	goOn := c.meet(t, s, after, func() fate {
		frozen, since = a.freeze(), time.Now()
		return pass
	})
	if goOn == nil || !frozen {
		return false
	}
	ended := make(chan struct{})
	c.work.Go(func() {
		defer close(ended)
		goOn()
	})
	wait(c.ctx, time.Until(since.Add(least)))
	if kind == stopStep {
		select { // the other replica settles it, or gives up
		case <-ended:
		case <-time.After(4 * time.Second):
		}
	}
	thawed := a.thaw()
	if thawed {
		c.tally.add(kind)
	}
	wait(c.ctx, 300*time.Millisecond) // what it held back would leave now
	a.kill()
	a.up(t)
	return thawed
}

// atRandom kills and stops processes at random moments, and the store too.
func (c *crash) atRandom(t *testing.T) {
	t.Helper()
	c.shy.Store(false)
	c.replicas[0].disturbed.Store(true)
	failed := make(chan error, 1)
	go func() { failed <- c.killStores() }()
	for i := range c.form.kills {
		if c.form.stops > 0 && i%(c.form.kills/c.form.stops) == 0 {
			c.stopOne()
		}
		if !wait(c.ctx, c.dice.between(50*time.Millisecond, c.form.apart)) {
			break
		}
		c.killOne(t)
	}
	if err := <-failed; err != nil {
		t.Errorf("the store's end: %v", err)
	}
	for len(c.unstruck()) > 0 && wait(c.ctx, 50*time.Millisecond) {
	}
}

// killOne kills a replica, or now and then both, and starts them again.
func (c *crash) killOne(t *testing.T) {
	t.Helper()
	first := c.dice.below(2)
	victims := []*replica{c.replicas[first], c.replicas[1-first]}
	if !c.dice.oneIn(8) {
		victims = victims[:1]
	}
	for _, r := range victims {
		if r.kill() {
			c.tally.add(killRandom)
		}
	}
	for _, r := range victims {
		r.up(t)
	}
}

// stopOne stops a replica for longer than every timeout.
func (c *crash) stopOne() {
	r := c.replicas[c.dice.below(2)]
	if !r.freeze() {
		return
	}
	wait(c.ctx, c.dice.between(settleWindow+time.Second/2, settleWindow+2*time.Second))
	if r.thaw() {
		c.tally.add(stopRandom)
	}
}

// killStores kills the store again and again, and starts it on what it wrote.
func (c *crash) killStores() error {
	for range c.form.storeKills {
		if !wait(c.ctx, c.dice.between(500*time.Millisecond, 4*time.Second)) {
			return c.ctx.Err()
		}
		killed := c.store.kill()
		wait(c.ctx, c.dice.between(20*time.Millisecond, 400*time.Millisecond))
		if err := c.store.start(c.ctx); err != nil {
			return err
		}
		if killed {
			c.tally.add(killStore)
		}
	}
	return nil
}
