package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"
)

// settingsGroup marks the flags that stand for a variable of the environment:
// --redis-url is ROLLCALL_REDIS_URL. A flag wins over its variable. Secrets
// have no flag but the one that names their file: every user of a machine can
// read its command lines.
const settingsGroup = "settings"

type listenFlags struct {
	Listen      string `placeholder:"HOST:PORT" help:"Address to listen on (127.0.0.1:8080); port 0 takes a free one."`
	TLSCert     string `name:"tls-cert" placeholder:"FILE" help:"Certificate chain, PEM."`
	TLSKey      string `name:"tls-key" placeholder:"FILE" help:"The certificate's key, PEM."`
	TLSClientCA string `name:"tls-client-ca" placeholder:"FILE" help:"Ask callers for a certificate of these authorities, PEM."`
}

type storeFlags struct {
	RedisURL     string `placeholder:"URL" help:"redis://, rediss:// or unix://; with a password only in the variable or the file."`
	RedisURLFile string `placeholder:"FILE" help:"File that holds the URL."`

	RedisSentinelMaster       string `placeholder:"NAME" help:"Ask Sentinel for the master of this name; the URL's host is a sentinel."`
	RedisSentinelPasswordFile string `placeholder:"FILE" help:"File that holds the sentinels' own password."`
	RedisCluster              bool   `help:"The URL's host is a node of a cluster (false)."`
	RedisAddresses            string `placeholder:"HOST:PORT,..." help:"Further sentinels, or nodes of the cluster."`
}

// readFlags are the settings of the credential for reads.
type readFlags struct {
	CentralClientID         string `placeholder:"ID" help:"Credential for reads."`
	CentralClientSecretFile string `placeholder:"FILE" help:"Its secret."`
	CentralIDURL            string `name:"central-id-url" placeholder:"URL" help:"Central's identity host (https://id.sophos.com)."`
	CentralAPIURL           string `name:"central-api-url" placeholder:"URL" help:"Central's global host (https://api.central.sophos.com)."`
	CentralLimits           string `placeholder:"RATES" help:"Calls per credential (10/s,100/m,1000/h,200000/d)."`
	CentralTimeout          string `placeholder:"TIME" help:"One call to Central (10s)."`
}

type policyFlags struct {
	PolicyFile string `placeholder:"FILE" help:"The policy."`
}

// serviceFlags are the settings of whoever evaluates and deletes.
type serviceFlags struct {
	AllowWeakRedis bool   `help:"Live mode starts on a Redis that may lose an acknowledged write, and says so (false)."`
	Mode           string `placeholder:"MODE" help:"dry-run or live (dry-run)."`
	policyFlags
	APIKeysFile   string `name:"api-keys-file" placeholder:"FILE" help:"The API keys."`
	TokenKeysFile string `placeholder:"FILE" help:"Keys that seal tokens; the first seals, all open."`

	readFlags
	CentralDeleteClientID         string `placeholder:"ID" help:"Credential used only for deletes (the one for reads)."`
	CentralDeleteClientSecretFile string `placeholder:"FILE" help:"Its secret."`

	ActionTimeout string `placeholder:"TIME" help:"One action's answer (4s)."`
	KeyRate       int    `placeholder:"N" help:"Requests per second and API key (200)."`
	LogLevel      string `placeholder:"LEVEL" help:"Level of the log on stderr (info)."`
}

// settingsGiven returns the settings that were typed as flags, by variable.
func settingsGiven(parsed *kong.Context) map[string]string {
	given := map[string]string{}
	for _, step := range parsed.Path {
		if f := step.Flag; f != nil && isSetting(f.Value) {
			given[variable(f.Name)] = fmt.Sprint(parsed.FlagValue(f))
		}
	}
	return given
}

func isSetting(v *kong.Value) bool {
	return v.Flag != nil && v.Flag.Group != nil && v.Flag.Group.Key == settingsGroup
}

func variable(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// withVariable adds the variable to a setting's help.
func withVariable(v *kong.Value) string {
	if isSetting(v) {
		return v.Help + " $" + variable(v.Name)
	}
	return v.Help
}

// passwordOnCommandLine is a fault of its own: the URL would work.
func passwordOnCommandLine(flags map[string]string) bool {
	u, err := url.Parse(flags[prefix+"REDIS_URL"])
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}
