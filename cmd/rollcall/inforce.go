package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"rollcall/internal/action"
	"rollcall/internal/httpapi"
	"rollcall/internal/policyfile"
	"rollcall/internal/seal"
)

// inForce holds the policy, the keys and the certificate as they were last
// loaded without a fault. Whatever is read of it is never changed, only
// replaced, so a running request keeps what it began with.
type inForce struct {
	rules  atomic.Pointer[action.Rules]
	keys   atomic.Pointer[httpapi.Keys]
	sealer atomic.Pointer[seal.Sealer]
	cert   atomic.Pointer[tls.Certificate]
}

// Rules is the policy in force.
func (f *inForce) Rules() action.Rules { return *f.rules.Load() }

// Keys are the API keys in force.
func (f *inForce) Keys() *httpapi.Keys { return f.keys.Load() }

// Certificate is what the server shows its callers.
func (f *inForce) Certificate() *tls.Certificate { return f.cert.Load() }

// Seal implements action.Sealer with the keys in force.
func (f *inForce) Seal(kind string, plain []byte) (string, error) {
	return f.sealer.Load().Seal(kind, plain)
}

// Open implements action.Sealer with the keys in force.
func (f *inForce) Open(token string) (kind string, plain []byte, err error) {
	return f.sealer.Load().Open(token)
}

// load reads every file that cfg names and puts all of them in force, or none:
// a policy that was written together with new keys must not run with the old.
// All faults are reported at once. Where something is in force already it
// stays, marked as broken until a load succeeds.
func (f *inForce) load(cfg Config) error {
	params, policyErr := policyfile.Load(cfg.PolicyFile)
	keys, keysErr := loadKeys(cfg.APIKeysFile)
	sealer, sealErr := loadSealer(cfg)
	cert, certErr := loadCertificate(cfg)
	if err := errors.Join(policyErr, keysErr, sealErr, certErr); err != nil {
		if old := f.rules.Load(); old != nil {
			f.rules.Store(&action.Rules{Params: old.Params, Broken: true})
		}
		return err
	}
	f.keys.Store(keys)
	f.sealer.Store(sealer)
	f.cert.Store(cert)
	f.rules.Store(&action.Rules{Params: params})
	return nil
}

func loadKeys(path string) (*httpapi.Keys, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	keys, err := httpapi.ParseKeys(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// loadSealer reads the token keys anew where they came from a file.
func loadSealer(cfg Config) (*seal.Sealer, error) {
	text := cfg.TokenKeys.Reveal()
	if cfg.TokenKeysFile != "" {
		var err error
		if text, err = readSecret(cfg.TokenKeysFile); err != nil {
			return nil, err
		}
	}
	keys, err := seal.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("ROLLCALL_TOKEN_KEYS: %w", err)
	}
	return seal.New(keys)
}

func loadCertificate(cfg Config) (*tls.Certificate, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("ROLLCALL_TLS_CERT: %w", err)
	}
	return &cert, nil
}
