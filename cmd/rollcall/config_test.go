package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// needed is the least that serve takes.
func needed() map[string]string {
	return map[string]string{
		"ROLLCALL_REDIS_URL": "redis://127.0.0.1:6379", "ROLLCALL_POLICY_FILE": "p", "ROLLCALL_API_KEYS_FILE": "k",
		"ROLLCALL_TOKEN_KEYS": "t", "ROLLCALL_CENTRAL_CLIENT_ID": "reader", "ROLLCALL_CENTRAL_CLIENT_SECRET": "reader-secret",
	}
}

func with(more map[string]string) *process {
	env := needed()
	for k, v := range more {
		env[k] = v
	}
	return &process{environ: env}
}

func TestWhatIsNotSetIsTheDefault(t *testing.T) {
	c, err := loadConfig(with(nil))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		c.Listen, c.Mode, c.CentralIDURL, c.CentralAPIURL, c.CentralTimeout, c.ActionTimeout, c.AllowWeakRedis, c.KeyRate, c.LogLevel,
		c.CentralDeleteClientID, c.CentralDeleteClientSecret.Reveal(),
	}
	want := []any{
		"127.0.0.1:8080", "dry-run", "https://id.sophos.com", "https://api.central.sophos.com", 10 * time.Second, 4 * time.Second,
		false, 200, zerolog.InfoLevel, "reader", "reader-secret",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	rates := budget{{Calls: 10, Per: time.Second}, {Calls: 100, Per: time.Minute}, {Calls: 1000, Per: time.Hour}, {Calls: 200000, Per: 24 * time.Hour}}
	if diff := cmp.Diff(rates, c.CentralLimits); diff != "" {
		t.Errorf("limits, -want +got:\n%s", diff)
	}
}

func TestTheDeleteCredentialStandsApart(t *testing.T) {
	c, err := loadConfig(with(map[string]string{"ROLLCALL_CENTRAL_DELETE_CLIENT_ID": "deleter", "ROLLCALL_CENTRAL_DELETE_CLIENT_SECRET": "s"}))
	if err != nil {
		t.Fatal(err)
	}
	if c.CentralDeleteClientID != "deleter" || c.CentralDeleteClientSecret.Reveal() != "s" || c.CentralClientID != "reader" {
		t.Errorf("deletes go out as %s, reads as %s", c.CentralDeleteClientID, c.CentralClientID)
	}
}

func TestAFlagWinsOverItsVariable(t *testing.T) {
	p := with(map[string]string{"ROLLCALL_MODE": "dry-run"})
	p.flags = map[string]string{"ROLLCALL_MODE": "live"}
	if c, err := loadConfig(p); err != nil || c.Mode != "live" {
		t.Errorf("mode %s, %v", c.Mode, err)
	}
}

func TestEverySecretCanComeFromAFile(t *testing.T) {
	for name, field := range settings() {
		if !isSecret(field) {
			continue
		}
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte("unix:///from-a-file\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p := with(map[string]string{name + "_FILE": file, "ROLLCALL_CENTRAL_DELETE_CLIENT_ID": "d"})
		if name == "ROLLCALL_REDIS_SENTINEL_PASSWORD" {
			p.environ["ROLLCALL_REDIS_SENTINEL_MASTER"] = "main"
		}
		if name != "ROLLCALL_CENTRAL_DELETE_CLIENT_SECRET" {
			p.environ["ROLLCALL_CENTRAL_DELETE_CLIENT_SECRET"] = "d"
		}
		delete(p.environ, name)
		if _, err := loadConfig(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.environ[name] = "too"
		if _, err := loadConfig(p); err == nil || !strings.Contains(err.Error(), "both given") {
			t.Errorf("%s twice: %v", name, err)
		}
	}
}

func TestSettingsThatCantBeUsedAreFaults(t *testing.T) {
	for _, tt := range []struct{ name, variable, value string }{
		{"an address without a port", "LISTEN", "127.0.0.1"},
		{"a port that there is not", "LISTEN", "127.0.0.1:65536"},
		{"a store that is no Redis", "REDIS_URL", "http://127.0.0.1"},
		{"addresses without what they are of", "REDIS_ADDRESSES", "a.example.test:26379"},
		{"a sentinel's password without Sentinel", "REDIS_SENTINEL_PASSWORD", "s"},
		{"a yes to a cluster that is none", "REDIS_CLUSTER", "three"},
		{"a mode that there is not", "MODE", "Live"},
		{"a host without TLS", "CENTRAL_API_URL", "http://api.example.test"},
		{"a host with a user", "CENTRAL_ID_URL", "https://user@id.example.test"},
		{"a real credential and a stand-in", "CENTRAL_API_URL", "http://127.0.0.1:1"},
		{"a time without its unit", "CENTRAL_TIMEOUT", "10"},
		{"no time at all", "ACTION_TIMEOUT", "0s"},
		{"a rate that lets nobody in", "KEY_RATE", "0"},
		{"a half credential", "CENTRAL_DELETE_CLIENT_ID", "deleter"},
		{"a half certificate", "TLS_CERT", "cert.pem"},
		{"a yes that is none", "ALLOW_WEAK_REDIS", "perhaps"},
		{"a level that there is not", "LOG_LEVEL", "loud"},
		{"a budget that is none", "CENTRAL_LIMITS", "10"},
		{"a budget for a unit that there is not", "CENTRAL_LIMITS", "10/w"},
		{"a budget that allows nothing", "CENTRAL_LIMITS", "0/s"},
		{"a budget that contradicts itself", "CENTRAL_LIMITS", "10/s,5/m"},
		{"a span given twice", "CENTRAL_LIMITS", "10/s,20/s"},
		{"a setting of an earlier build", "CENTRAL_MERGE_WINDOW", "500ms"},
		{"a name that is misspelt", "POLICY_FILES", "p"},
		{"a file for what is no secret", "MODE_FILE", "m"},
	} {
		_, err := loadConfig(with(map[string]string{"ROLLCALL_" + tt.variable: tt.value}))
		if usage := (usageError{}); !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), "configuration: ROLLCALL_") {
			t.Errorf("%s: %v, want one fault", tt.name, err)
		}
	}
}

func TestSettingsThatAreUnusualButRight(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
	}{
		{"any address", map[string]string{"ROLLCALL_LISTEN": ":0"}},
		{"an address of the sixth version", map[string]string{"ROLLCALL_LISTEN": "[::1]:80"}},
		{"a stand-in for Central", map[string]string{"ROLLCALL_CENTRAL_API_URL": "http://127.0.0.1:1", "ROLLCALL_CENTRAL_ID_URL": "http://[::1]:2"}},
		{"what Kubernetes adds", map[string]string{"ROLLCALL_PORT": "tcp://10.0.0.1:80", "ROLLCALL_PORT_80_TCP_ADDR": "x", "ROLLCALL_SERVICE_PORT_HTTP": "80"}},
		{"variables of others", map[string]string{"ROLLCALLER": "x", "PATH": "/bin"}},
		{"a cluster", map[string]string{"ROLLCALL_REDIS_CLUSTER": "true", "ROLLCALL_REDIS_ADDRESSES": "b.example.test:6379, [::1]:6379"}},
		{"one address of a cluster, which tells the others", map[string]string{"ROLLCALL_REDIS_CLUSTER": "true"}},
		{"Sentinel, and a database of the master's", map[string]string{
			"ROLLCALL_REDIS_URL": "rediss://user:secret@a.example.test:26379/3", "ROLLCALL_REDIS_SENTINEL_MASTER": "main", "ROLLCALL_REDIS_SENTINEL_PASSWORD": "s",
		}},
		{"TLS to Redis", map[string]string{"ROLLCALL_REDIS_URL": "rediss://:secret@redis.example.test:6380/1"}},
	} {
		if _, err := loadConfig(with(tt.env)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestAStoreThatCantBeMeantIsAFault(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"Sentinel and Cluster":    {"REDIS_CLUSTER": "true", "REDIS_SENTINEL_MASTER": "main"},
		"a socket for a cluster":  {"REDIS_CLUSTER": "true", "REDIS_URL": "unix:///hunter2"},
		"a socket for Sentinel":   {"REDIS_SENTINEL_MASTER": "main", "REDIS_URL": "unix:///hunter2"},
		"a cluster's database":    {"REDIS_CLUSTER": "true", "REDIS_URL": "redis://:hunter2@a.example.test/2"},
		"an address without port": {"REDIS_CLUSTER": "true", "REDIS_ADDRESSES": "a.example.test"},
		"an address without host": {"REDIS_CLUSTER": "true", "REDIS_ADDRESSES": ":6379"},
		"port 0":                  {"REDIS_CLUSTER": "true", "REDIS_ADDRESSES": "a.example.test:0"},
		"a comma too many":        {"REDIS_CLUSTER": "true", "REDIS_ADDRESSES": "a.example.test:6379,"},
	} {
		given := map[string]string{}
		for k, v := range env {
			given["ROLLCALL_"+k] = v
		}
		_, err := loadConfig(with(given))
		usage := usageError{}
		if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), "configuration: ROLLCALL_REDIS_") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want one fault", name, err)
		}
	}
}

func TestAReplicaMustHaveAnIntentInLiveModeUnlessTheStoreMayLoseThings(t *testing.T) {
	cluster := map[string]string{"ROLLCALL_REDIS_CLUSTER": "true", "ROLLCALL_REDIS_ADDRESSES": "b.example.test:1, c.example.test:2"}
	for _, tt := range []struct {
		name, mode, weak string
		want             int
	}{{"in dry-run", "dry-run", "false", 0}, {"in live mode", "live", "false", 1}, {"where a weak Redis is allowed", "live", "true", 0}} {
		p := with(cluster)
		p.environ["ROLLCALL_MODE"], p.environ["ROLLCALL_ALLOW_WEAK_REDIS"] = tt.mode, tt.weak
		c, err := loadConfig(p)
		if err != nil {
			t.Fatal(err)
		}
		if o := c.store(); o.Replicas != tt.want || !o.Cluster || !cmp.Equal(o.Addresses, []string{"b.example.test:1", "c.example.test:2"}) {
			t.Errorf("%s: %+v", tt.name, o.Nodes)
		}
	}
	p := with(nil)
	p.environ["ROLLCALL_MODE"] = "live"
	if c, err := loadConfig(p); err != nil || c.store().Replicas != 0 {
		t.Errorf("one Redis has no replica: %v", err)
	}
}

func TestRetireHoldsWhatItUsesToTheSameBounds(t *testing.T) {
	_, _, errs := ran(t, []string{
		"ROLLCALL_CENTRAL_TIMEOUT=-1s", "ROLLCALL_REDIS_CLUSTER=true", "ROLLCALL_REDIS_ADDRESSES=nowhere",
	}, "retire", "--file", "events.ndjson")
	for _, name := range []string{"CENTRAL_TIMEOUT", "REDIS_ADDRESSES"} {
		if !strings.Contains(errs, "ROLLCALL_"+name+" must be") {
			t.Errorf("not told: %s\n%s", name, errs)
		}
	}
}

func TestASecretIsNeverShown(t *testing.T) {
	s := struct {
		Plain  Secret
		Ptr    *Secret
		hidden Secret
	}{NewSecret("hunter2"), new(NewSecret("hunter2")), NewSecret("hunter2")}
	var log bytes.Buffer
	to := zerolog.New(&log)
	to.Info().Interface("a", s).Any("b", s.Plain).Stringer("c", s.Plain).Object("d", s.Plain).Msg("m")
	text, err := json.Marshal(map[string]any{"a": s, "b": s.Plain})
	if err != nil {
		t.Fatal(err)
	}
	shown := log.String() + string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, s.Plain)
	}
	if strings.Contains(shown, "hunter2") || strings.Contains(shown, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("shown: %s", shown)
	}
	if s.hidden.Reveal() != "hunter2" || (Secret{}).Reveal() != "" {
		t.Error("Reveal does not give the text")
	}
}

func TestTheProbeAsksThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:8080": "127.0.0.1:8080", ":8080": "127.0.0.1:8080", "[::]:8080": "[::1]:8080",
		"127.0.0.1:1": "127.0.0.1:1", "localhost:1": "localhost:1",
	} {
		if got := probeAddress(listen); got != want {
			t.Errorf("probeAddress(%s) = %s, want %s", listen, got, want)
		}
	}
}

func TestWhichAddressesOthersCanReach(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:0": false, "[::1]:0": false, "localhost:0": false, "127.9.9.9:0": false, "[::ffff:127.0.0.1]:0": false,
		":0": true, "0.0.0.0:0": true, "[::]:0": true, "192.0.2.1:0": true, "host.example.test:0": true, "nonsense": true,
	} {
		if got := openly(addr); got != want {
			t.Errorf("openly(%s) = %t, want %t", addr, got, want)
		}
	}
}

func FuzzBudget(f *testing.F) {
	f.Add("10/s,100/m,1000/h,200000/d")
	f.Add(" 1 / s ")
	f.Add("1/s,")
	f.Fuzz(func(t *testing.T, text string) {
		var b budget
		if err := b.UnmarshalText([]byte(text)); err != nil {
			if b != nil {
				t.Errorf("%q: a budget beside an error", text)
			}
			return
		}
		for i, r := range b {
			if r.Calls < 1 || r.Per <= 0 || i > 0 && (r.Per <= b[i-1].Per || r.Calls < b[i-1].Calls) {
				t.Errorf("%q: %v", text, b)
			}
		}
		if len(b) == 0 {
			t.Errorf("%q: an empty budget", text)
		}
	})
}
