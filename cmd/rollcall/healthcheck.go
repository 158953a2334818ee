package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// probeTimeout bounds the question; a container's health check asks often.
const probeTimeout = 3 * time.Second

type healthcheckCmd struct {
	listenFlags `embed:"" group:"settings"`
}

// Run asks /livez on the address that serve listens on.
func (c *healthcheckCmd) Run(ctx context.Context, p *process) error {
	cfg, err := loadConfig(p, "Listen", "TLSCert", "TLSKey")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return probe(ctx, cfg)
}

// probe is nil when the service answers. Under mTLS the service refuses a
// caller without a certificate, and by that it shows that it lives.
func probe(ctx context.Context, cfg Config) error {
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+probeAddress(cfg.Listen)+"/livez", http.NoBody)
	if err != nil {
		return err
	}
	// The certificate names the service, not this loopback address, and
	// nothing secret is sent.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} //nolint:gosec // see above
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(req)
	if op, ok := errors.AsType[*net.OpError](err); ok && cfg.TLSClientCA != "" && op.Op == "remote error" {
		return nil
	}
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // nothing is read from it
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("/livez answered %s", res.Status)
	}
	return nil
}

// probeAddress turns "any address" into this machine's own.
func probeAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1"
		if addr.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}
