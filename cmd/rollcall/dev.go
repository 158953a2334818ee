package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rs/zerolog"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/httpapi"
	"rollcall/internal/ledger"
	"rollcall/internal/policyfile"
	"rollcall/internal/seal"
)

//go:embed dev-policy.yaml
var devPolicy []byte

// devTick is how often the embedded Redis is told that time has passed: by
// itself it never lets a key expire.
const devTick = 100 * time.Millisecond

// devCmd runs everything in one process.
type devCmd struct {
	Listen string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on (${default}); port 0 takes a free one."`
	Expose bool   `help:"Allow an address that other machines can reach; the key is then a random one."`
	Dir    string `default:"dev" placeholder:"DIR" help:"Where the events to post are written (${default})."`
}

// Run implements the command.
func (c devCmd) Run(ctx context.Context, p *process) error {
	key := "dev"
	if openly(c.Listen) {
		if !c.Expose {
			return usagef("%s can be reached from other machines; --expose allows that, with a random key", c.Listen)
		}
		key = rand.Text()
	}
	sample := centralsim.Sample(time.Now())
	if err := writeEvents(c.Dir, sample); err != nil {
		return err
	}
	fake, stopFake, err := devCentral(ctx, sample)
	if err != nil {
		return err
	}
	defer stopFake()
	store, stopStore, err := devStore(ctx)
	if err != nil {
		return err
	}
	defer stopStore()
	force, err := devForce(key)
	if err != nil {
		return err
	}
	s := service{
		cfg: Config{
			Listen: c.Listen, Mode: action.LiveMode, CentralIDURL: fake, CentralAPIURL: fake, CentralClientID: "dev",
			CentralClientSecret: NewSecret("dev"), CentralTimeout: 10 * time.Second, ActionTimeout: 4 * time.Second, KeyRate: 1000,
		},
		log: logger(p.stderr, zerolog.WarnLevel), force: force, store: store,
		weak:  []string{"this is `rollcall dev`: the store is embedded and Central is simulated"},
		after: func(addr string) { _, _ = fmt.Fprint(p.stdout, devLines(addr, key, c.Dir, sample)) },
	}
	return s.run(ctx, nil, nil)
}

// devCentral starts the simulated Central on loopback.
func devCentral(ctx context.Context, sample []centralsim.SampleDevice) (url string, stop func(), err error) {
	sim := centralsim.New(centralsim.Options{ClientID: "dev", ClientSecret: "dev", ID: centralsim.SampleTenant})
	sim.Load(sample)
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: sim, ReadHeaderTimeout: readHeaderTimeout}
	go func() { _ = srv.Serve(ln) }()
	return "http://" + ln.Addr().String(), func() { _ = srv.Close() }, nil
}

// devStore starts the embedded Redis on loopback and marks it.
func devStore(ctx context.Context) (*ledger.Store, func(), error) {
	redis := miniredis.NewMiniRedis()
	if err := redis.Start(); err != nil {
		return nil, nil, err
	}
	store, err := ledger.Open(ledger.Options{URL: "redis://" + redis.Addr()})
	if err == nil {
		_, _, err = store.InitMark(ctx)
	}
	if err != nil {
		redis.Close()
		return nil, nil, err
	}
	ticking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var ticker sync.WaitGroup
	ticker.Go(func() {
		tick := time.NewTicker(devTick)
		defer tick.Stop()
		for {
			select {
			case <-ticking.Done():
				return
			case <-tick.C:
				redis.FastForward(devTick)
			}
		}
	})
	return store, func() {
		cancel()
		ticker.Wait()
		_ = store.Close()
		redis.Close()
	}, nil
}

// devForce is the policy and the one key of a trial, with token keys that end
// with the process.
func devForce(key string) (*inForce, error) {
	f := &inForce{}
	params, err := policyfile.Parse(devPolicy)
	if err != nil {
		return nil, err
	}
	f.rules.Store(&action.Rules{Params: params})
	yaml := fmt.Sprintf("keys:\n  - {name: dev, sha256: %s, scopes: [%s]}\n", httpapi.Digest(key), strings.Join(httpapi.Scopes(), ", "))
	keys, err := httpapi.ParseKeys([]byte(yaml))
	if err != nil {
		return nil, err
	}
	f.keys.Store(keys)
	tokens, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		return nil, err
	}
	sealer, err := seal.New(tokens)
	if err != nil {
		return nil, err
	}
	f.sealer.Store(sealer)
	return f, nil
}

// writeEvents writes a request body per sample device.
func writeEvents(dir string, sample []centralsim.SampleDevice) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	var faults []error
	for _, d := range sample {
		b, err := json.MarshalIndent(map[string]any{"event": d.Event}, "", "  ")
		if err != nil {
			return err
		}
		faults = append(faults, os.WriteFile(filepath.Join(dir, d.Case+".json"), append(b, '\n'), 0o600))
	}
	return errors.Join(faults...)
}

// devLines is what is printed: lines to paste, one after another, into any
// POSIX shell in the same folder. They need curl and sed only.
func devLines(addr, key, dir string, sample []centralsim.SampleDevice) string {
	event := func(label string) string { return "@" + quoted(filepath.Join(dir, label+".json")) }
	verdict := `"{\"token\":\"$TOKEN\"}"`
	var b strings.Builder
	step := func(what, line string) { fmt.Fprintf(&b, "\n# %s\n%s\n", what, line) }
	fmt.Fprintf(&b, "# rollcall dev on http://%s (docs: http://%s/docs). In a second terminal, in this folder, paste line by line:\n\n", addr, addr)
	fmt.Fprintf(&b, "rc() { curl -sS -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \"$@\"; }\n", key)
	b.WriteString(`token() { R=$(cat); printf '%s\n' "$R" >&2; printf '%s\n' "$R" | sed -n 's/.*"token":"\([^"]*\)".*/\1/p'; }` + "\n")
	fmt.Fprintf(&b, "A=http://%s/v1\n", addr)
	step("verify-live: inactive", "rc $A/actions/verify-live -d "+event("eligible"))
	step("evaluate: every check passed, the verdict is delete", "TOKEN=$(rc $A/actions/evaluate -d "+event("eligible")+" | token)")
	step("delete: looked at again, deleted, read back", "rc $A/actions/delete -d "+verdict)
	step("the same again: already_deleted", "rc $A/actions/delete -d "+verdict)
	step("evaluate a VIP's device: manual", "TOKEN=$(rc $A/actions/evaluate -d "+event("vip")+" | token)")
	step("ticket-open: out of the next search while a person thinks", `rc $A/actions/ticket-open -d "{\"token\":\"$TOKEN\",\"ticketId\":\"INC-1\",\"openedBy\":\"ann\"}"`)
	step("ticket-close: another person says delete", `rc $A/actions/ticket-close -d '{"ticketId":"INC-1","decision":"delete","decidedBy":"bob"}'`)
	step("delete by the ticket: deleted", `rc $A/actions/delete -d '{"ticketId":"INC-1"}'`)
	step("the feed that keeps both out of the next search", `rc "$A/exclusions?format=csv"`)
	fmt.Fprintf(&b, "\n# %s holds an event for each of %d devices, one per reason, to post to evaluate. ^C here ends it.\n", quoted(dir), len(sample))
	return b.String()
}
