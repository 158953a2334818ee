// Command rollcall retires dead devices from Sophos Central without ever
// disarming a live one. This package decides how the parts are put together,
// what the operator may set, and what the process says when it starts and
// ends. It refuses to know any rule, any route and any Redis key.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // the image is empty: windows need their zones from the binary

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9/logging"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

func main() {
	os.Exit(run(untilAsked(), os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// untilAsked ends with the first signal that asks to end. A second one kills, also
// one that comes right behind the first: whoever can see that the end has begun may
// count on that.
func untilAsked() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	asked := make(chan os.Signal, 2)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-asked
		signal.Stop(asked)
		select {
		case s := <-asked:
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Signal(s) // which nobody hears now
			}
		default:
		}
		cancel()
	}()
	return ctx
}

// process is what a command may touch of the world around it. stdout carries
// results and audit lines, stderr everything else.
type process struct {
	environ map[string]string // never nil
	flags   map[string]string // settings given as flags, by variable
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
}

// usageError is a mistake of whoever typed the command or wrote the
// configuration: exit code 2.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

// commands is the command line.
type commands struct {
	Version kong.VersionFlag `help:"Show the version and exit."`

	Dev   devCmd   `cmd:"" help:"Try everything in one process on loopback, against a simulated Central. Needs no network, no Redis, no credentials."`
	Init  initCmd  `cmd:"" help:"Write a policy, API keys, a token key and an environment file to start from."`
	Serve serveCmd `cmd:"" help:"Run the service. Needs Redis. Sends no DELETE unless ROLLCALL_MODE is live."`

	Inventory inventoryCmd `cmd:"" help:"List the devices that Central has, those inactive for some days, as NDJSON, JSON or CSV."`

	Candidates candidatesCmd `cmd:"" help:"Find the devices of retired accounts: an export of AD and Central's inventory in, events out. Changes nothing."`

	Retire retireCmd `cmd:"" help:"Take a file of devices through evaluate and delete. Deletes nothing without --live."`
	Key    keyCmd    `cmd:"" help:"Make API keys."`
	Policy policyCmd `cmd:"" help:"Check policy files, and replay recorded decisions under one."`
	Audit  auditCmd  `cmd:"" help:"Check the audit trail."`
	State  stateCmd  `cmd:"" help:"Look after the store."`

	Pause        pauseCmd        `cmd:"" help:"Throw the kill switch: no device is deleted until resume. Works while the service is down."`
	Resume       resumeCmd       `cmd:"" help:"Take the kill switch back."`
	CircuitReset circuitResetCmd `cmd:"" help:"Close a tenant's circuit after a person has looked into what opened it."`

	Healthcheck healthcheckCmd `cmd:"" help:"Ask the service on this machine whether it lives; for a container's health check."`
}

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	logging.Disable() // go-redis would write plain text to stderr; its errors come back to us anyway
	p := &process{environ: environment(environ), stdin: stdin, stdout: stdout, stderr: stderr}
	exited, code := false, exitDone
	parser, err := kong.New(new(commands),
		kong.Name("rollcall"),
		kong.Description("Retires dead devices from Sophos Central without ever disarming a live one."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { exited, code = true, c }),
		kong.Vars{"version": version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ValueFormatter(withVariable),
		kong.ExplicitGroups([]kong.Group{{Key: settingsGroup, Title: "Settings, each with the variable that it stands for:"}}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return complain(stderr, err)
	}
	parsed, err := parser.Parse(args)
	if exited { // --help or --version
		return code
	}
	if err != nil {
		return complain(stderr, usagef("%w (rollcall --help shows what there is)", err))
	}
	p.flags = settingsGiven(parsed)
	return complain(stderr, parsed.Run(p))
}

// complain writes err, if any, for a person and returns the exit code for it.
func complain(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	_, _ = fmt.Fprintf(stderr, "rollcall: %s\n", err)
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// environment turns KEY=VALUE lines into a map. A variable that is set but
// empty counts as not set: compose files and unit files can't leave one out.
func environment(lines []string) map[string]string {
	env := make(map[string]string, len(lines))
	for _, line := range lines {
		if name, value, _ := strings.Cut(line, "="); value != "" {
			env[name] = value
		}
	}
	return env
}

// version is the module's version, or the commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return strings.Trim(info.Main.Version, "()")
}
