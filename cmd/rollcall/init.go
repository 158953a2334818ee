package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rollcall/internal/httpapi"
	"rollcall/internal/policyfile"
	"rollcall/internal/seal"
)

type initCmd struct {
	Dir string `arg:"" help:"Folder to write to; made if it is not there."`
}

// starter is one file of a fresh set-up.
type starter struct{ name, content string }

// Run writes what serve needs but the credentials. It never overwrites: a
// policy or a token key that is in use must not be lost to a repeated command.
func (c *initCmd) Run(p *process) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	playbook, approver := newAPIKey(), newAPIKey()
	files := []starter{
		{"policy.yaml", string(policyfile.Sample())},
		{"keys.yaml", keysFile(playbook, approver)},
		{"token.key", seal.NewKey() + "\n"},
		{"rollcall.env", envFile(dir)},
	}
	if err := writeAll(dir, files); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, `wrote policy.yaml, keys.yaml, token.key and rollcall.env to %s
the playbook's key, shown only now: %s
the approver's key, shown only now: %s
next: set disabledOUs in policy.yaml and the credentials in rollcall.env, then
  set -a; . %s; set +a
  rollcall policy check %s
  rollcall state init
  rollcall serve
`, dir, playbook, approver, quoted(filepath.Join(dir, "rollcall.env")), quoted(filepath.Join(dir, "policy.yaml")))
	return err
}

// writeAll writes all files or leaves none behind.
func writeAll(dir string, files []starter) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var there []string
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); err == nil {
			there = append(there, f.name)
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("%s already holds %s; nothing was written", dir, strings.Join(there, ", "))
	}
	for i, f := range files {
		if err := writeNew(filepath.Join(dir, f.name), f.content); err != nil {
			for _, written := range files[:i] {
				_ = os.Remove(filepath.Join(dir, written.name)) // the first error is the one to tell
			}
			return err
		}
	}
	return nil
}

// writeNew makes a file that only its owner may read; it fails where one is.
func writeNew(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	if _, err := f.WriteString(content); err != nil {
		_ = f.Close() // the write's error is the one to tell
		return err
	}
	return f.Close()
}

func keysFile(playbook, approver string) string {
	return `# API keys, by their SHA-256. "rollcall key new" makes another entry; SIGHUP loads the file.
# Scopes: ` + strings.Join(httpapi.Scopes(), " ") + `; none implies another.
# A person's key that decides tickets stands apart from the playbook's that deletes.
keys:
` + keyEntry("playbook", playbook, []string{"verify", "evaluate", "delete", "ticket", "read"}) +
		keyEntry("approver", approver, []string{"ticket", "approve", "read"})
}

func envFile(dir string) string {
	in := func(name string) string { return quoted(filepath.Join(dir, name)) }
	return `# The environment of "rollcall serve". Every secret can come from a file instead: add _FILE to its name.

# Where the state lives: redis://, rediss:// or unix://. Required.
ROLLCALL_REDIS_URL=
# With Sentinel its host is a sentinel, with Cluster a node; the addresses are further ones, host:port with commas between them.
#ROLLCALL_REDIS_SENTINEL_MASTER=
#ROLLCALL_REDIS_SENTINEL_PASSWORD=
#ROLLCALL_REDIS_CLUSTER=false
#ROLLCALL_REDIS_ADDRESSES=

# Sophos Central's credentials: one for reads (required), one used only for deletes (default: the same).
ROLLCALL_CENTRAL_CLIENT_ID=
ROLLCALL_CENTRAL_CLIENT_SECRET=
#ROLLCALL_CENTRAL_DELETE_CLIENT_ID=
#ROLLCALL_CENTRAL_DELETE_CLIENT_SECRET=

# dry-run decides and records but sends no DELETE; live does. Stay in dry-run until its decisions were checked.
ROLLCALL_MODE=dry-run

ROLLCALL_POLICY_FILE=` + in("policy.yaml") + `
ROLLCALL_API_KEYS_FILE=` + in("keys.yaml") + `
ROLLCALL_TOKEN_KEYS_FILE=` + in("token.key") + `

#ROLLCALL_LISTEN=127.0.0.1:8080
#ROLLCALL_TLS_CERT=
#ROLLCALL_TLS_KEY=
#ROLLCALL_TLS_CLIENT_CA=
#ROLLCALL_CENTRAL_LIMITS=10/s,100/m,1000/h,200000/d
#ROLLCALL_CENTRAL_TIMEOUT=10s
#ROLLCALL_ACTION_TIMEOUT=4s
#ROLLCALL_KEY_RATE=200
#ROLLCALL_LOG_LEVEL=info
`
}

// quoted makes a path one word for sh, and leaves a plain one as it is.
func quoted(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
