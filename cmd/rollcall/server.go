package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// The server's limits. An action answers within ROLLCALL_ACTION_TIMEOUT, so
// writeTimeout is there for feeds that a caller reads slowly.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 5 * time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	drainStep         = 20 * time.Millisecond
)

// server is one listener with its handler, and how it ends.
type server struct {
	log      zerolog.Logger
	listener net.Listener
	handler  http.Handler

	drainMin time.Duration // how long at least the listener stays open after that
	drainMax time.Duration // how long at most, while requests are running
	bound    time.Duration // how long running requests may take to finish
}

// serve answers requests until ctx ends, and then lets those that run finish.
// The listener stays open meanwhile, so that whoever asks /readyz is told.
func (s server) serve(ctx context.Context) error {
	var running atomic.Int64
	srv := &http.Server{
		Handler:           counted(&running, s.handler),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(s.log.With().Str("from", "net/http").Logger(), "", 0),
	}
	failed := make(chan error, 1) // the only sender is the line below
	go func() { failed <- srv.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("listener: %w", err)
	case <-ctx.Done():
	}
	s.log.Info().Int64("running", running.Load()).Msg("asked to end; letting requests finish")
	s.drain(&running)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.bound)
	defer cancel()
	err := srv.Shutdown(end)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were still running after %s: %w", s.bound, err), srv.Close())
	}
	if closed := <-failed; !errors.Is(closed, http.ErrServerClosed) {
		err = errors.Join(err, closed)
	}
	return err
}

// drain waits until drainMin has passed and nothing runs, or drainMax has.
func (s server) drain(running *atomic.Int64) {
	begun := time.Now()
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for range tick.C {
		past := time.Since(begun)
		if past >= s.drainMax || past >= s.drainMin && running.Load() == 0 {
			return
		}
	}
}

// counted counts the requests that run, without the probes: who waits for the
// process to end asks those all the time.
func counted(running *atomic.Int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" && r.URL.Path != "/livez" && r.URL.Path != "/metrics" {
			running.Add(1)
			defer running.Add(-1)
		}
		next.ServeHTTP(w, r)
	})
}

// listen opens the address, with TLS where cert is not nil.
func listen(ctx context.Context, addr string, config *tls.Config) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	return ln, nil
}

// tlsConfig is nil without a certificate. The certificate is asked for at each
// handshake, so that SIGHUP can renew it.
func tlsConfig(cfg Config, certificate func() *tls.Certificate) (*tls.Config, faults) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate(), nil },
		NextProtos:     []string{"http/1.1"},
	}
	if cfg.TLSClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(cfg.TLSClientCA)
	if err != nil {
		return nil, inFile("TLS_CLIENT_CA", err)
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, faults{prefix + "TLS_CLIENT_CA: " + cfg.TLSClientCA + " holds no certificate"}
	}
	return config, nil
}

// openly reports whether the address can be reached from other machines.
func openly(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err != nil || !loopbackHost(strings.Trim(host, "[]"))
}
