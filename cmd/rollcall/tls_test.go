package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// identity is a self-signed certificate, in files and as a client shows it.
type identity struct {
	cert, key string
	pair      tls.Certificate
	pool      *x509.CertPool
}

func newIdentity(t *testing.T, name string) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id := identity{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	id.write(t, certPEM, keyPEM)
	id.pool.AppendCertsFromPEM(certPEM)
	if id.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return id
}

func (id identity) write(t *testing.T, cert, key []byte) {
	t.Helper()
	for path, b := range map[string][]byte{id.cert: cert, id.key: key} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// overTLS asks /livez, trusting server and showing client's certificate, if any.
func overTLS(t *testing.T, addr string, server identity, client *identity) error {
	t.Helper()
	config := &tls.Config{RootCAs: server.pool}
	if client != nil {
		config.Certificates = []tls.Certificate{client.pair}
	}
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("livez: %s", resp.Status)
	}
	return nil
}

func TestMutualTLSLetsOnlyKnownCallersIn(t *testing.T) {
	central, _ := sim()
	server, caller, stranger := newIdentity(t, "server"), newIdentity(t, "caller"), newIdentity(t, "stranger")
	env, _ := setUp(t, redisServer(t), central,
		"ROLLCALL_TLS_CERT="+server.cert, "ROLLCALL_TLS_KEY="+server.key, "ROLLCALL_TLS_CLIENT_CA="+caller.cert)
	r := start(t, env, "serve")
	addr := r.address(t)
	if err := overTLS(t, addr, server, &caller); err != nil {
		t.Errorf("a caller with a certificate: %v", err)
	}
	if overTLS(t, addr, server, nil) == nil || overTLS(t, addr, server, &stranger) == nil {
		t.Error("a caller without a certificate, or with a stranger's, was let in")
	}
	env[0] = "ROLLCALL_LISTEN=" + addr
	if code, _, errs := ran(t, env, "healthcheck"); code != exitDone {
		t.Errorf("healthcheck: %d %s", code, errs)
	}
}

func TestARenewedCertificateIsShownAfterSIGHUP(t *testing.T) {
	central, _ := sim()
	server, renewed := newIdentity(t, "server"), newIdentity(t, "renewed")
	env, _ := setUp(t, redisServer(t), central, "ROLLCALL_TLS_CERT="+server.cert, "ROLLCALL_TLS_KEY="+server.key)
	r := start(t, env, "serve")
	addr := r.address(t)
	if err := overTLS(t, addr, server, nil); err != nil {
		t.Fatal(err)
	}
	if status(t, addr, "/livez") == http.StatusOK {
		t.Error("the service answers without TLS")
	}
	cert, err := os.ReadFile(renewed.cert)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(renewed.key)
	if err != nil {
		t.Fatal(err)
	}
	server.write(t, cert, key)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	until(t, "the renewed certificate is shown", func() bool { return overTLS(t, addr, renewed, nil) == nil })
}

func TestTheHealthCheckTellsLifeFromDeath(t *testing.T) {
	central, _ := sim()
	env, _ := setUp(t, redisServer(t), central)
	r := start(t, env, "serve")
	addr := r.address(t)
	env[0] = "ROLLCALL_LISTEN=" + addr
	if code, _, errs := ran(t, env, "healthcheck"); code != exitDone {
		t.Errorf("alive: %d %s", code, errs)
	}
	if code := r.end(t); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	if code, _, errs := ran(t, env, "healthcheck"); code != exitFailed || errs == "" {
		t.Errorf("ended: %d %s", code, errs)
	}
}

func TestTheHealthCheckDoesNotWaitForEver(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }() // it never accepts
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if probe(ctx, Config{Listen: ln.Addr().String()}) == nil {
		t.Error("a service that does not answer was called alive")
	}
}
