package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"rollcall"
	"rollcall/internal/action"
	"rollcall/internal/central"
	"rollcall/internal/httpapi"
	"rollcall/internal/ledger"
)

// How often the loops in the background run, and how long the end may take.
const (
	reconcileEvery = 5 * time.Second        // unsettled deletes
	exportEvery    = 500 * time.Millisecond // the audit trail
	watchEvery     = time.Hour              // whether a deleted device came back; each tenant once a day
	ageEvery       = 6 * time.Hour          // what has outlived its retention
	firstLoop      = time.Minute            // at the latest after the start
	startPatience  = 5 * time.Second
	drainLeast     = 200 * time.Millisecond
	drainMost      = 10 * time.Second
)

// serveCmd runs the service.
type serveCmd struct {
	listenFlags  `group:"settings"`
	storeFlags   `group:"settings"`
	serviceFlags `group:"settings"`
}

// Run implements the command.
func (serveCmd) Run(ctx context.Context, p *process) error {
	cfg, force, config, err := loadService(p)
	if err != nil {
		return err
	}
	log := logger(p.stderr, cfg.LogLevel)
	redis.SetLogger(redisLog{log})
	store, err := ledger.Open(cfg.store())
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = store.Close() }()
	weak, mark, err := trust(ctx, cfg, store, log)
	if err != nil {
		return err
	}
	if openly(cfg.Listen) && config == nil {
		weak = append(weak, "the service listens on "+cfg.Listen+" without TLS: API keys travel in clear text unless something in front of it encrypts")
	}
	for _, w := range weak {
		log.Warn().Str("weakSpot", w).Msg("weak spot of the set-up")
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	reload := func() {
		if err := force.load(cfg); err != nil {
			log.Error().Err(err).Msg("reload failed; the old policy and keys stay in force, and live deletes are deferred")
			return
		}
		log.Info().Str("policyVersion", force.Rules().Params.Version).Msg("policy and keys reloaded")
	}
	s := service{cfg: cfg, log: log, force: force, store: store, weak: weak, tls: config, audit: p.stdout, mark: mark}
	return s.run(ctx, hup, reload)
}

// loadService reads the configuration and every file that it names, so that all
// faults are told at once.
func loadService(p *process) (Config, *inForce, *tls.Config, error) {
	cfg, bad := readConfig(p)
	force := &inForce{}
	if more, ok := errors.AsType[faults](force.load(cfg)); ok {
		bad = append(bad, more...)
	}
	config, more := tlsConfig(cfg, force.Certificate)
	if err := append(bad, more...).err(); err != nil {
		return Config{}, nil, nil, err
	}
	return cfg, force, config, nil
}

// logger writes JSON lines.
func logger(to io.Writer, level zerolog.Level) zerolog.Logger {
	return zerolog.New(zerolog.SyncWriter(to)).Level(level).With().Timestamp().Logger()
}

// redisLog takes what go-redis has to say beside the errors that it returns.
type redisLog struct{ log zerolog.Logger }

// Printf writes a JSON line like all others.
func (l redisLog) Printf(_ context.Context, format string, v ...any) {
	l.log.Warn().Str("from", "go-redis").Msgf(format, v...)
}

// trust decides whether the store may be worked on. Live mode asks for the mark
// and for a Redis that loses nothing that it acknowledged; dry-run for nothing.
func trust(ctx context.Context, cfg Config, store *ledger.Store, log zerolog.Logger) (weak []string, mark string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	weak, err = store.Weak(ctx)
	if cfg.Mode != action.LiveMode {
		if err != nil {
			log.Warn().Err(err).Msg("Redis does not answer yet; actions answer 503 until it does")
			weak = []string{"Redis did not answer at the start: what it may lose is not known"}
		}
		return weak, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("live mode needs Redis at start: %w", err)
	}
	mark, err = store.Mark(ctx)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("live mode needs Redis at start: %w", err)
	case mark == "":
		return nil, "", errors.New("this Redis does not have rollcall's mark: run `rollcall state init` once if it is the right one; if it was marked before, it was flushed: rebuild it with `rollcall state restore --audit FILE`")
	case len(weak) > 0 && !cfg.AllowWeakRedis:
		return nil, "", usagef("live mode needs a Redis that loses nothing (ROLLCALL_ALLOW_WEAK_REDIS=true starts all the same):\n  %s", strings.Join(weak, "\n  "))
	}
	return weak, mark, nil
}

// service is everything that a process holds.
type service struct {
	cfg   Config
	log   zerolog.Logger
	force *inForce
	store *ledger.Store
	weak  []string
	tls   *tls.Config       // nil = none
	mark  string            // of the store, as it was found fit; empty = not known
	audit io.Writer         // takes the audit lines; nil = they are not exported
	after func(addr string) // called once the address is known; may be nil
}

// run serves until ctx ends, then lets what runs finish, in this order: requests,
// the loops, deletes that outlive their requests.
func (s service) run(ctx context.Context, hup <-chan os.Signal, reload func()) error {
	client, runner, err := s.actions()
	if err != nil {
		return err
	}
	defer client.Close()
	handler, err := s.edge(runner, client, ctx.Done())
	if err != nil {
		return err
	}
	ln, err := listen(ctx, s.cfg.Listen, s.tls)
	if err != nil {
		return err
	}
	s.log.Info().Str("listen", ln.Addr().String()).Str("mode", s.cfg.Mode).Str("version", version()).Msg("serving")
	if s.after != nil {
		s.after(ln.Addr().String())
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	for _, l := range s.loops(runner) {
		loops.Go(func() { s.loop(background, l) })
	}
	loops.Go(func() { reloads(background, hup, reload) })
	bound := s.cfg.ActionTimeout + s.cfg.CentralTimeout + drainLeast
	err = server{
		log: s.log, listener: ln, handler: handler,
		drainMin: drainLeast, drainMax: drainMost, bound: bound,
	}.serve(ctx)
	stop()
	loops.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound+s.cfg.CentralTimeout)
	defer cancel()
	return errors.Join(err, runner.Wait(end), s.export(end)) // what was done last is told too
}

// actions are Central as this process knows it, to be closed by the caller, and the
// actions on it. Whoever deletes, by HTTP or by file, does it by these.
func (s service) actions() (*central.Client, *action.Runner, error) {
	client, err := central.New(central.Options{
		IDURL: s.cfg.CentralIDURL, APIURL: s.cfg.CentralAPIURL, Timeout: s.cfg.CentralTimeout, Now: time.Now,
		Read:   central.Credential{ClientID: s.cfg.CentralClientID, ClientSecret: s.cfg.CentralClientSecret.Reveal()},
		Delete: central.Credential{ClientID: s.cfg.CentralDeleteClientID, ClientSecret: s.cfg.CentralDeleteClientSecret.Reveal()},
		Budget: s.store.Budget(s.cfg.CentralLimits), Snapshots: s.store.Snapshots(),
		OnReading: s.inventoryRead, Groups: func() []string { return s.force.Rules().Params.CentralGroups() },
	})
	if err != nil {
		return nil, nil, usageError{err}
	}
	runner := action.New(client, s.store, s.force, s.force.Rules, time.Now, action.Settings{
		Mode: s.cfg.Mode, ActionTimeout: s.cfg.ActionTimeout, CentralTimeout: s.cfg.CentralTimeout,
		Installation: s.mark, Snapshots: s.store.Snapshots(),
	})
	return client, runner, nil
}

// inventoryRead tells of a tenant's inventory that was read for the snapshot.
func (s service) inventoryRead(r central.Reading) {
	event, says := s.log.Debug(), "the snapshot of the inventory was refreshed"
	switch {
	case r.Err != nil:
		event, says = s.log.Warn().Err(r.Err), "the inventory could not be read for the snapshot; Central is asked for each device"
	case r.Whole:
		event, says = s.log.Info(), "the inventory was read for the snapshot"
	}
	event.Str("tenantId", r.TenantID).Bool("whole", r.Whole).Int("devices", r.Devices).Dur("tookMs", r.Took).Msg(says)
}

// edge is the HTTP handler. It is not ready any more once stopping is closed.
func (s service) edge(runner *action.Runner, inventory action.Inventory, stopping <-chan struct{}) (http.Handler, error) {
	return httpapi.New(httpapi.Config{
		Runner: runner, Books: s.store, Keys: s.force.Keys, Ready: s.ready, Stopping: stopping, Log: s.log,
		Spec: rollcall.OpenAPI(), Version: version(), Mode: s.cfg.Mode, KeyRate: s.cfg.KeyRate,
		PolicyVersion: func() string { return s.force.Rules().Params.Version }, Weak: func() []string { return s.weak },
		Candidate: candidate, Inventory: inventory,
	})
}

// ready says whether requests can be answered: Redis does, and in live mode it
// still bears the mark. Central is not asked: without it the answer is a verdict.
func (s service) ready(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil || s.cfg.Mode != action.LiveMode {
		return err
	}
	mark, err := s.store.Mark(ctx)
	if err == nil && mark == "" {
		err = errors.New("the store's mark is gone")
	}
	return err
}

// loop is something that is done again and again.
type loop struct {
	every time.Duration
	do    func(context.Context) error
	fails string // what the log says when it can't be done
}

// loops are what runs in the background, each apart from the others: one may be
// waiting for Central.
func (s service) loops(runner *action.Runner) []loop {
	return []loop{
		{reconcileEvery, runner.Reconcile, "unsettled deletes could not be looked at"},
		{exportEvery, s.export, "audit entries could not be exported"},
		{watchEvery, runner.Watch, "it could not be seen everywhere whether deleted devices came back"},
		{ageEvery, s.store.Age, "what has outlived its retention could not be taken away"},
	}
}

// loop does it until ctx ends. A fault that lasts is told once, until it changes.
func (s service) loop(ctx context.Context, l loop) {
	tick := time.NewTicker(min(l.every, firstLoop)) // a process that never lives long gets to everything too
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tick.Reset(l.every)
		err := l.do(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != told {
			s.log.Warn().Err(err).Msg(l.fails)
		}
		if told = ""; err != nil {
			told = err.Error()
		}
	}
}

// export writes the audit entries that are new.
func (s service) export(ctx context.Context) error {
	if s.audit == nil {
		return nil
	}
	return s.store.Export(ctx, s.audit)
}

// reloads reloads when asked. It stands apart from the reconciler, which may be
// waiting for Central.
func reloads(ctx context.Context, hup <-chan os.Signal, reload func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			reload()
		}
	}
}
