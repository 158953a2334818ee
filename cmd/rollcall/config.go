package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/go-playground/validator/v10"
	"github.com/rs/zerolog"
)

// prefix begins every variable of the environment that is rollcall's.
const prefix = "ROLLCALL_"

// maxSecretFile bounds what is read from a secret's file.
const maxSecretFile = 64 << 10

// Config is what an operator sets. The env tags are the variables' names
// without ROLLCALL_. Every [Secret] has a second variable, with _FILE at its
// end, that names a file to read it from.
type Config struct {
	Listen      string `env:"LISTEN" envDefault:"127.0.0.1:8080" validate:"address"`
	TLSCert     string `env:"TLS_CERT" validate:"required_with=TLSKey TLSClientCA"`
	TLSKey      string `env:"TLS_KEY" validate:"required_with=TLSCert TLSClientCA"`
	TLSClientCA string `env:"TLS_CLIENT_CA"`

	RedisURL              Secret `env:"REDIS_URL" validate:"required,redis"`
	RedisSentinelMaster   string `env:"REDIS_SENTINEL_MASTER"`
	RedisSentinelPassword Secret `env:"REDIS_SENTINEL_PASSWORD"`
	RedisCluster          bool   `env:"REDIS_CLUSTER" envDefault:"false"`
	RedisAddresses        string `env:"REDIS_ADDRESSES" validate:"omitempty,addresses"`
	AllowWeakRedis        bool   `env:"ALLOW_WEAK_REDIS" envDefault:"false"`

	Mode          string `env:"MODE" envDefault:"dry-run" validate:"oneof=dry-run live"`
	PolicyFile    string `env:"POLICY_FILE" validate:"required"`
	APIKeysFile   string `env:"API_KEYS_FILE" validate:"required"`
	TokenKeys     Secret `env:"TOKEN_KEYS" validate:"required"`
	TokenKeysFile string // where TokenKeys came from, to be read again on SIGHUP

	CentralClientID           string `env:"CENTRAL_CLIENT_ID" validate:"required"`
	CentralClientSecret       Secret `env:"CENTRAL_CLIENT_SECRET" validate:"required"`
	CentralDeleteClientID     string `env:"CENTRAL_DELETE_CLIENT_ID" validate:"required_with=CentralDeleteClientSecret"`
	CentralDeleteClientSecret Secret `env:"CENTRAL_DELETE_CLIENT_SECRET" validate:"required_with=CentralDeleteClientID"`
	CentralIDURL              string `env:"CENTRAL_ID_URL" envDefault:"https://id.sophos.com" validate:"base"`
	CentralAPIURL             string `env:"CENTRAL_API_URL" envDefault:"https://api.central.sophos.com" validate:"base"`
	CentralLimits             budget `env:"CENTRAL_LIMITS" envDefault:"10/s,100/m,1000/h,200000/d"`

	CentralTimeout time.Duration `env:"CENTRAL_TIMEOUT" envDefault:"10s" validate:"min=100ms,max=5m"`
	ActionTimeout  time.Duration `env:"ACTION_TIMEOUT" envDefault:"4s" validate:"min=100ms,max=1m"`

	KeyRate  int           `env:"KEY_RATE" envDefault:"200" validate:"min=1,max=1000000"`
	LogLevel zerolog.Level `env:"LOG_LEVEL" envDefault:"info"`
}

// faults are all the mistakes in a configuration, one sentence each.
type faults []string

// Error lists them, one a line, in the order of the variables.
func (f faults) Error() string {
	f = slices.Sorted(slices.Values(f))
	if len(f) == 1 {
		return "configuration: " + f[0]
	}
	return fmt.Sprintf("configuration: %d faults:\n  %s", len(f), strings.Join(f, "\n  "))
}

// err is nil when there are none.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return usageError{f}
}

// loadConfig reads the environment of p, and over it the flags of p. Needed
// names the fields without which the command can't go on; none = all. Every
// fault is found before it returns, each with the variable's name and never
// with a secret.
func loadConfig(p *process, needed ...string) (Config, error) {
	c, bad := readConfig(p, needed...)
	if err := bad.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// readConfig returns what could be read, beside all faults: who goes on to look
// into the files that are named can tell their faults along with these.
func readConfig(p *process, needed ...string) (Config, faults) {
	vars := maps.Clone(p.environ)
	maps.Copy(vars, p.flags)
	bad := unknownVariables(vars)
	if passwordOnCommandLine(p.flags) {
		bad = append(bad, prefix+"REDIS_URL: a password on a command line can be read by every user of the machine; use the variable or its file")
	}
	tokenKeysFile := vars[prefix+"TOKEN_KEYS_FILE"]
	bad = append(bad, readSecretFiles(vars)...)
	var c Config
	bad = append(bad, parseFaults(env.ParseWithOptions(&c, env.Options{Environment: vars, Prefix: prefix}))...)
	if c.TokenKeys.Reveal() != "" {
		c.TokenKeysFile = tokenKeysFile
	}
	bad = append(bad, c.faults(bad, needed)...)
	if c.CentralDeleteClientID == "" {
		c.CentralDeleteClientID, c.CentralDeleteClientSecret = c.CentralClientID, c.CentralClientSecret
	}
	return c, bad
}

// settings maps every variable's name to the field's.
func settings() map[string]reflect.StructField {
	out := map[string]reflect.StructField{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if name := field.Tag.Get("env"); name != "" {
			out[prefix+name] = field
		}
	}
	return out
}

func isSecret(f reflect.StructField) bool { return f.Type == reflect.TypeFor[Secret]() }

// unknownVariables finds misspelt variables. Kubernetes adds some of its own
// to a container when a Service is called rollcall; those are let be.
func unknownVariables(vars map[string]string) faults {
	known := settings()
	var bad faults
	for name := range vars {
		field, ok := known[strings.TrimSuffix(name, "_FILE")]
		_, plain := known[name]
		switch {
		case !strings.HasPrefix(name, prefix), plain, ok && isSecret(field):
		case strings.HasPrefix(name, prefix+"PORT"), strings.HasPrefix(name, prefix+"SERVICE_"):
		default:
			bad = append(bad, name+" is not a setting")
		}
	}
	return bad
}

// readSecretFiles puts the content of every secret's file where the secret
// itself would stand, and takes the file's variable away.
func readSecretFiles(vars map[string]string) faults {
	var bad faults
	for name, field := range settings() {
		path, ok := vars[name+"_FILE"]
		if !ok || !isSecret(field) {
			continue
		}
		delete(vars, name+"_FILE")
		if _, both := vars[name]; both {
			bad = append(bad, name+" and "+name+"_FILE are both given")
			continue
		}
		text, err := readSecret(path)
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s_FILE: %s", name, err))
			continue
		}
		vars[name] = text
	}
	return bad
}

// readSecret reads one secret from a file, without the line end that editors
// put at its end.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case info.Size() > maxSecretFile:
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecretFile)
	}
	b, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

// parseFaults puts the library's errors in terms of variables.
func parseFaults(err error) faults {
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		if err != nil {
			return faults{err.Error()}
		}
		return nil
	}
	var bad faults
	for _, e := range all.Errors {
		parse, ok := errors.AsType[env.ParseError](e)
		if !ok {
			bad = append(bad, e.Error())
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		bad = append(bad, fmt.Sprintf("%s%s: %s", prefix, field.Tag.Get("env"), unreadable(field.Type, parse.Err)))
	}
	return bad
}

// unreadable says which form a value should have had.
func unreadable(t reflect.Type, err error) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "must be a time with its unit, such as 10s"
	case reflect.TypeFor[int]():
		return "must be a whole number"
	case reflect.TypeFor[bool]():
		return "must be true or false"
	case reflect.TypeFor[zerolog.Level]():
		return "must be one of trace, debug, info, warn, error, fatal, panic, disabled"
	}
	return err.Error()
}

// faults checks the values, alone and against each other. A variable that is
// among those already found bad is not judged twice.
func (c Config) faults(before faults, needed []string) faults {
	var bad faults
	add := func(name, text string) {
		name = prefix + name
		if !slices.ContainsFunc(before, func(s string) bool { return strings.HasPrefix(s, name+":") || strings.HasPrefix(s, name+"_FILE:") }) {
			bad = append(bad, name+" "+text)
		}
	}
	err := settingsValidator().Struct(c)
	if len(needed) > 0 {
		err = settingsValidator().StructPartial(c, needed...)
	}
	if invalid, ok := errors.AsType[validator.ValidationErrors](err); ok {
		for _, v := range invalid {
			add(v.Field(), sentence(v))
		}
	}
	if idLocal, apiLocal := loopbackURL(c.CentralIDURL), loopbackURL(c.CentralAPIURL); idLocal != apiLocal {
		add("CENTRAL_API_URL", "and ROLLCALL_CENTRAL_ID_URL must both be loopback addresses or neither: a real credential must not reach a stand-in")
	}
	c.storeFaults(add)
	return bad
}

// settingsValidator knows the settings' own kinds.
func settingsValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("env") })
	v.RegisterCustomTypeFunc(func(f reflect.Value) any { return f.Interface().(Secret).Reveal() }, Secret{})
	rules := map[string]func(string) bool{"address": listenAddress, "base": baseURL, "redis": redisURL, "addresses": addresses}
	for tag, ok := range rules {
		if err := v.RegisterValidation(tag, func(f validator.FieldLevel) bool { return ok(f.Field().String()) }); err != nil {
			panic(err) // the tags above are constants
		}
	}
	return v
}

// sentence says what is wrong with a value, without the value.
func sentence(v validator.FieldError) string {
	switch v.Tag() {
	case "required":
		return "is required"
	case "required_with":
		return "is required too: its other half is given"
	case "oneof":
		return "must be one of " + strings.ReplaceAll(v.Param(), " ", ", ")
	case "min":
		return "must be at least " + v.Param()
	case "max":
		return "must be at most " + v.Param()
	case "address":
		return "must be host:port with a port from 0 to 65535"
	case "addresses":
		return "must be host:port, with commas between them and a port from 1 to 65535"
	case "redis":
		return "must be a redis://, rediss:// or unix:// URL"
	case "base":
		return "must be an https:// URL without user, query or fragment (http:// on loopback addresses only)"
	}
	return "is not valid (" + v.Tag() + ")"
}

func listenAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && n <= 65535
}

func baseURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopbackHost(u.Hostname())
}

func loopbackURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && loopbackHost(u.Hostname())
}

// loopbackHost reports whether host can only be this machine. A name other
// than localhost is not looked up: what it means may change.
func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
