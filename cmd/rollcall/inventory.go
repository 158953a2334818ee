package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/central"
	"rollcall/internal/httpapi"
	"rollcall/internal/ledger"
	"rollcall/internal/record"
)

// errNothingRead ends a list that holds nothing but tenants that were skipped.
var errNothingRead = errors.New("no tenant could be read")

// inventoryCmd lists what Central has.
type inventoryCmd struct {
	readFlags  `group:"settings"`
	storeFlags `group:"settings"`

	InactiveDays int      `default:"0" placeholder:"N" help:"Only devices that were not seen for N days, and those of unknown age; 0 = all (${default})."`
	Tenant       []string `sep:"none" placeholder:"UUID" help:"Only this tenant; may be given again (all that the credential serves)."`
	Type         string   `enum:",computer,server" default:"" placeholder:"TYPE" help:"Only computer or server, and devices of unknown type; any sign of a server makes a device one (both)."`
	Format       string   `enum:"ndjson,json,csv" default:"ndjson" placeholder:"FORM" help:"ndjson, json or csv (${default})."`
	Out          string   `placeholder:"FILE" help:"Write to this file, which must not be there yet (standard output)."`
	Resume       bool     `help:"Go on where a run with the same options and the same --out broke off."`
}

// Help is what --help says below the flags.
func (inventoryCmd) Help() string {
	return `A row is a device in Central's own shape, which can be pasted as the central of an event; in CSV it is flat. Take the list through "rollcall retire".

inactiveDays is how long ago Central last heard of the device. Where that time is missing, unreadable or in the future, inactiveDays is empty and
lastSeenState says which: such a device is listed with every --inactive-days, since a person must look at it, and is never called old. With
--inactive-days a device that Central calls online is not listed, however old its time.

Every device is read, 500 a call, whatever is asked for: Central's filters leave out devices of which it does not know what the filter asks for.
Only the ids are kept in memory. Calls leave a part of Central's limits to others; they are counted together with the service's where ROLLCALL_REDIS_URL is
set, else alone.

A tenant that can't be read (listed without a host, forbidden, not served) is skipped: standard error says so, and so does a row with the tenant's id and the
reason in skipped. Exit code 0 when at least one tenant was read to its end, 1 when none was or the list broke off, 2 for wrong usage.

With --out, FILE appears when the list is whole; until then it is FILE.part, and FILE.journal says how far it came (with the ids of the tenant under way).
--resume goes on behind the last whole page. Without --resume a run begins anew.`
}

// Run implements the command.
func (c *inventoryCmd) Run(ctx context.Context, p *process) error {
	want, err := c.wanted()
	if err != nil {
		return err
	}
	client, free, err := readingClient(p)
	if err != nil {
		return err
	}
	defer free()
	out, err := c.open(p, want)
	if err != nil {
		return err
	}
	want.From = out.from
	told := newProgress(p)
	err = c.write(client.Inventory(ctx, want), out, told)
	told.end(out.rows.count)
	if err != nil && c.Out != "" && !errors.Is(err, errNothingRead) {
		err = fmt.Errorf("%w\nwhat was read is in %s; --resume goes on from there", err, partOf(c.Out))
	}
	return err
}

// wanted checks the options.
func (c *inventoryCmd) wanted() (action.Wanted, error) {
	want := action.Wanted{InactiveDays: c.InactiveDays, Type: c.Type}
	for _, given := range c.Tenant {
		id, ok := record.ID(given)
		if !ok {
			return want, usagef("--tenant %s is no UUID", printable(given))
		}
		want.Tenants = append(want.Tenants, id)
	}
	switch {
	case c.InactiveDays < 0:
		return want, usagef("--inactive-days must not be negative")
	case c.Resume && c.Out == "":
		return want, usagef("--resume needs --out: standard output can't be gone on with")
	}
	return want, nil
}

// readingClient is a client for reads, with the budget that is shared with the service
// where its store is known.
func readingClient(p *process) (*central.Client, func(), error) {
	needed := []string{"CentralClientID", "CentralClientSecret", "CentralIDURL", "CentralAPIURL", "CentralTimeout"}
	if shared := p.environ[prefix+"REDIS_URL"] + p.environ[prefix+"REDIS_URL_FILE"] + p.flags[prefix+"REDIS_URL"] + p.flags[prefix+"REDIS_URL_FILE"]; shared != "" {
		needed = append(needed, storeSettings()...)
	}
	cfg, err := loadConfig(p, needed...)
	if err != nil {
		return nil, nil, err
	}
	o := central.Options{
		IDURL: cfg.CentralIDURL, APIURL: cfg.CentralAPIURL, Timeout: cfg.CentralTimeout, Now: time.Now,
		Read:   central.Credential{ClientID: cfg.CentralClientID, ClientSecret: cfg.CentralClientSecret.Reveal()},
		Budget: &ownBudget{rates: cfg.CentralLimits, now: time.Now},
	}
	free := func() {}
	if cfg.RedisURL.Reveal() != "" {
		store, err := ledger.Open(cfg.store())
		if err != nil {
			return nil, nil, usageError{err}
		}
		o.Budget, free = store.Budget(cfg.CentralLimits), func() { _ = store.Close() }
	}
	client, err := central.New(o)
	if err != nil {
		free()
		return nil, nil, usageError{err}
	}
	return client, func() { client.Close(); free() }, nil
}

// write writes the pages as they come.
func (c *inventoryCmd) write(pages func(func(action.InventoryPage, *action.Trouble) bool), out *inventoryFile, told *progress) error {
	defer func() { _ = out.close() }()
	if err := out.rows.begin(); err != nil {
		return err
	}
	read := len(out.from.Done) > 0
	for page, trouble := range pages {
		if trouble != nil {
			return errors.Join(errors.New(trouble.Text), out.rows.flush())
		}
		for row := range httpapi.InventoryRows(page) {
			if err := out.rows.write(row); err != nil {
				return err
			}
		}
		if err := out.note(page); err != nil {
			return err
		}
		read = read || page.Skipped == nil
		told.page(page, out.rows.count)
	}
	if err := out.rows.end(); err != nil {
		return err
	}
	if !read && told.skipped > 0 {
		return errors.Join(errNothingRead, out.discard())
	}
	return out.done()
}

// partOf and journalOf are the files of a list that is not whole yet.
func partOf(file string) string    { return file + ".part" }
func journalOf(file string) string { return file + ".journal" }

// options are what a list was asked for, to be compared with what it is gone on with.
func (c *inventoryCmd) options(want action.Wanted, clientID string) string {
	return strings.Join([]string{fmt.Sprint(want.InactiveDays), want.Type, c.Format, strings.Join(want.Tenants, ","), clientID}, " ")
}
