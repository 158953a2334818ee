package main

import (
	"crypto/tls"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"rollcall/internal/action"
	"rollcall/internal/httpapi"
	"rollcall/internal/policy"
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
	params, policyFaults := loadPolicy(cfg.PolicyFile)
	keys, keysFaults := loadKeys(cfg.APIKeysFile)
	sealer, sealFaults := loadSealer(cfg)
	cert, certFaults := loadCertificate(cfg)
	bad := slices.Concat(policyFaults, keysFaults, sealFaults, certFaults)
	if err := bad.err(); err != nil {
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

// inFile tells each fault of a file with the variable that names it. A file
// that is not named at all is a fault of the variable, and told there.
func inFile(variable string, err error) faults {
	var bad faults
	for line := range strings.SplitSeq(err.Error(), "\n") {
		bad = append(bad, prefix+variable+": "+line)
	}
	return bad
}

func loadPolicy(path string) (policy.Params, faults) {
	if path == "" {
		return policy.Params{}, nil
	}
	params, err := policyfile.Load(path)
	if err != nil {
		return policy.Params{}, inFile("POLICY_FILE", err)
	}
	return params, nil
}

func loadKeys(path string) (*httpapi.Keys, faults) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, inFile("API_KEYS_FILE", err)
	}
	keys, err := httpapi.ParseKeys(b)
	if err != nil {
		return nil, inFile("API_KEYS_FILE", err)
	}
	return keys, nil
}

// loadSealer reads the token keys anew where they came from a file.
func loadSealer(cfg Config) (*seal.Sealer, faults) {
	text := cfg.TokenKeys.Reveal()
	if cfg.TokenKeysFile != "" {
		var err error
		if text, err = readSecret(cfg.TokenKeysFile); err != nil {
			return nil, inFile("TOKEN_KEYS_FILE", err)
		}
	}
	if text == "" {
		return nil, nil
	}
	keys, err := seal.ParseKeys(text)
	if err != nil {
		return nil, inFile("TOKEN_KEYS", err)
	}
	sealer, err := seal.New(keys)
	if err != nil {
		return nil, inFile("TOKEN_KEYS", err)
	}
	return sealer, nil
}

func loadCertificate(cfg Config) (*tls.Certificate, faults) {
	if cfg.TLSCert == "" || cfg.TLSKey == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, inFile("TLS_CERT", err)
	}
	return &cert, nil
}
