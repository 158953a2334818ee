package action

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/policy"
)

// deletedAt is when the device of these tests was deleted.
func deletedAt() time.Time { return time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC) }

// retired is that device, with its record.
func retired() Gone {
	return Gone{
		Ref: Ref{TenantID: "tenant", EndpointID: "old"}, Hostname: "WS-1", DeletedAt: deletedAt(), RestoreBy: deletedAt().Add(restoreFor),
		Record: []byte(`{"serialNumber":"SYN0000001","macAddresses":["02:00:5E:10:00:01","00:00:00:00:00:00"],"hostname":"WS-1.corp.example.test"}`),
	}
}

// heardOf is a device of another name, number and address, heard from after the
// delete; its registration is not known.
func heardOf(id string, change func(d *policy.Device)) policy.Device {
	d := policy.Device{
		ID: policy.Is(id), Hostname: policy.Is("OTHER-" + id), SerialNumber: policy.Is("SER" + id),
		MACAddresses: []string{"02:00:5E:99:00:09"}, LastSeenAt: policy.Is(deletedAt().Add(time.Hour)),
	}
	if change != nil {
		change(&d)
	}
	return d
}

func TestADeviceThatCameBackIsKnownAgain(t *testing.T) {
	after, before := policy.Is(deletedAt().Add(time.Second)), policy.Is(deletedAt().Add(-time.Second))
	serial := func(s string) func(*policy.Device) { return func(d *policy.Device) { d.SerialNumber = policy.Is(s) } }
	mac := func(m ...string) func(*policy.Device) { return func(d *policy.Device) { d.MACAddresses = m } }
	host := func(h string) func(*policy.Device) { return func(d *policy.Device) { d.Hostname = policy.Is(h) } }
	registered := func(at policy.Field[time.Time], also func(*policy.Device)) func(*policy.Device) {
		return func(d *policy.Device) { also(d); d.RegisteredAt = at }
	}
	seen := func(at policy.Field[time.Time], also func(*policy.Device)) func(*policy.Device) {
		return func(d *policy.Device) { also(d); d.LastSeenAt = at }
	}
	id := func(d *policy.Device) { d.ID = policy.Is("OLD") }
	none := policy.Field[time.Time]{}
	for _, tt := range []struct {
		name   string
		change func(*policy.Device)
		want   string // the sign; empty = not it
	}{
		{"another device is another", func(*policy.Device) {}, ""},
		{"another that registered since is another", registered(after, func(*policy.Device) {}), ""},
		{"the same id is it", id, "endpoint id"},
		{"the same id is it whenever it registered, for it may have been restored", registered(before, id), "endpoint id"},
		{"the same id is it whenever it was seen", seen(none, id), "endpoint id"},
		{"the serial number registered after the delete", registered(after, serial("syn0000001 ")), "serial number"},
		{"the serial number registered before the delete", registered(before, serial("SYN0000001")), ""},
		{"the serial number registered at the very time of the delete", registered(policy.Is(deletedAt()), serial("SYN0000001")), ""},
		{"the serial number, and nobody knows since when", serial("SYN0000001"), "serial number"},
		{"the serial number, and its registration can't be read", registered(policy.Garbled[time.Time](), serial("SYN0000001")), "serial number"},
		{"the serial number, and nobody knows since when nor when seen", seen(none, serial("SYN0000001")), "serial number"},
		{"part of the serial number", registered(after, serial("SYN000000")), ""},
		{"the address registered after the delete", registered(after, mac("02:00:5E:99:00:09", "02:00:5e:10:00:01")), "MAC address"},
		{"the address in another notation", registered(after, mac("0200.5E10.0001")), "MAC address"},
		{"the address registered before the delete, as at a docking station", registered(before, mac("02-00-5E-10-00-01")), ""},
		{"the address, heard from since", mac("02:00:5E:10:00:01"), "MAC address"},
		{"the address, not heard from since", seen(before, mac("02:00:5E:10:00:01")), ""},
		{"the address, and nobody knows when it was heard from", seen(none, mac("02:00:5E:10:00:01")), ""},
		{"an address of zeros", registered(after, mac("00:00:00:00:00:00")), ""},
		{"no address", registered(after, mac()), ""},
		{"the name registered after the delete", registered(after, host("ws-1.CORP.example.test")), "host name"},
		{"the name in another domain", registered(after, host("ws-1.home.example.test")), "host name"},
		{"the name registered before the delete", registered(before, host("WS-1")), ""},
		{"the name, heard from since", host("ws-1"), "host name"},
		{"the name, not heard from since", seen(before, host("WS-1")), ""},
		{"the beginning of the name", registered(after, host("WS-")), ""},
		{"no name", registered(after, host("")), ""},
		{"all of it is told by the surest", registered(after, func(d *policy.Device) {
			serial("SYN0000001")(d)
			mac("02:00:5E:10:00:01")(d)
			host("WS-1")(d)
		}), "serial number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWatchlist("tenant")
			w.add(retired())
			w.hear(heardOf("new", tt.change))
			got := ""
			for _, f := range w.found(true) {
				got += f.trait.Sign.String()
				if f.gone.EndpointID != "old" || f.gone.Record != nil {
					t.Errorf("found %+v", f.gone)
				}
			}
			if got != tt.want {
				t.Errorf("known again by %q, want %q", got, tt.want)
			}
		})
	}
}

// What a maker or a driver never set tells nobody apart.
func TestWhatIsNoSignOfAnything(t *testing.T) {
	for _, s := range []string{
		"", " ", "Default string", "To be filled by O.E.M.", "To Be Filled By O.E.M", "System Serial Number", "None", "NONE", "0", "00000000",
		"xxxxxxx", "N/A", "Not Specified", "Not Applicable", "123456789", "-", "Unknown", "...",
	} {
		if got := serial(s); got != "" {
			t.Errorf("serial number %q is taken for %q", s, got)
		}
	}
	for s, want := range map[string]string{"SYN0000001": "syn0000001", " 5CG1234ABC ": "5cg1234abc", "VMware-56 4d 0a": "vmware-56 4d 0a", "none-1": "none-1", "äää": "äää"} {
		if got := serial(s); got != want {
			t.Errorf("serial number %q is %q, want %q", s, got, want)
		}
	}
	for m, want := range map[string]string{
		"00:00:00:00:00:00": "", "FF-FF-FF-FF-FF-FF": "", "": "", "02:00:5E:10:00": "", "02:00:5E:10:00:0G": "", "02:00:5E:10:00:01:02": "",
		"02:00:5E:10:00:01": "02005e100001", "02-00-5e-10-00-01": "02005e100001", "0200.5e10.0001": "02005e100001", "02005E100001": "02005e100001",
	} {
		if got := hardware(m); got != want {
			t.Errorf("MAC address %q is %q, want %q", m, got, want)
		}
	}
	for h, want := range map[string]string{"": "", ".": "", "$": "", "WS-1$": "ws-1", " WS-1.corp.example.test ": "ws-1"} {
		if got := policy.NameKey(h); got != want {
			t.Errorf("host name %q is %q, want %q", h, got, want)
		}
	}
}

// What several devices in use bear is a dock's or a VPN adapter's, not one's own.
func TestWhatManyBearIsNobodysOwn(t *testing.T) {
	dock := func(d *policy.Device) {
		d.MACAddresses = []string{"02:00:5E:10:00:01"}
		d.RegisteredAt = policy.Is(deletedAt().Add(time.Hour))
	}
	for n, want := range map[int]int{1: 1, 2: 1, 3: 0, 40: 0} {
		w := newWatchlist("tenant")
		w.add(retired())
		for i := range n {
			w.hear(heardOf(fmt.Sprint(i), dock))
		}
		if got := len(w.found(true)); got != want {
			t.Errorf("on %d devices: %d found, want %d", n, got, want)
		}
	}
	w := newWatchlist("tenant")
	w.add(retired())
	for i := range 5 {
		w.hear(heardOf(fmt.Sprint(i), dock))
	}
	w.hear(heardOf("x", func(d *policy.Device) { dock(d); d.SerialNumber = policy.Is("SYN0000001") }))
	if got := w.found(true); len(got) != 1 || got[0].trait.Sign != SameSerial {
		t.Errorf("the one that has its own serial number too: %+v", got)
	}
}

// Of a fleet that was read in part it can't be said whether a name or an address
// is one device's own; an id and a serial number are.
func TestAReadThatIsNotWholeFindsTheSureOnesOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*policy.Device)
		want   int
	}{
		"id":     {func(d *policy.Device) { d.ID = policy.Is("old") }, 1},
		"serial": {func(d *policy.Device) { d.SerialNumber = policy.Is("SYN0000001") }, 1},
		"MAC":    {func(d *policy.Device) { d.MACAddresses = []string{"02:00:5E:10:00:01"} }, 0},
		"name":   {func(d *policy.Device) { d.Hostname = policy.Is("WS-1") }, 0},
	} {
		w := newWatchlist("tenant")
		w.add(retired())
		w.hear(heardOf("new", tt.change))
		if got := len(w.found(false)); got != tt.want {
			t.Errorf("%s: %d found, want %d", name, got, tt.want)
		}
		if got := len(w.found(true)); got != 1 {
			t.Errorf("%s, of a whole read: %d found, want 1", name, got)
		}
	}
}

// A record that can't be read leaves the id and the name.
func TestADeviceWithoutAReadableRecord(t *testing.T) {
	for _, record := range []string{"", "null", "[]", "{", `{"serialNumber":7,"macAddresses":{"a":1},"hostname":null}`, `{"serialNumber":["x"],"macAddresses":"y"}`} {
		g := retired()
		g.Record = []byte(record)
		w := newWatchlist("tenant")
		w.add(g)
		w.hear(heardOf("new", func(d *policy.Device) { d.Hostname = policy.Is("ws-1") }))
		if got := w.found(true); len(got) != 1 || got[0].trait.Sign != SameName {
			t.Errorf("record %q: %+v", record, got)
		}
	}
}

// Two records of one machine were deleted: when it comes back, both deletes were
// wrong. The list is watched from the oldest delete on.
func TestOneDeviceMayBeSeveralDeletedOnes(t *testing.T) {
	w := newWatchlist("tenant")
	w.add(retired())
	twin := retired()
	twin.EndpointID, twin.DeletedAt = "older", deletedAt().Add(-time.Hour)
	w.add(twin)
	w.hear(heardOf("new", func(d *policy.Device) { d.SerialNumber = policy.Is("SYN0000001") }))
	if got := w.found(true); len(got) != 2 || !w.since.Equal(twin.DeletedAt) {
		t.Errorf("%+v, since %s", got, w.since)
	}
}

func TestTheSentenceNamesWhatWasSeenAndTheDeadline(t *testing.T) {
	at := policy.Is(time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC))
	tail := ": the delete was probably wrong; see to it that the device is protected. Central can restore it until 2026-12-20T06:00:00Z."
	for _, tt := range []struct {
		sign   Sign
		device policy.Device
		want   string
	}{
		{SameSerial, policy.Device{ID: policy.Is("new"), Hostname: policy.Is("WS-9"), RegisteredAt: at},
			"a device with the same serial number registered at 2026-11-25T08:00:00Z (endpoint new, WS-9)"},
		{SameMAC, policy.Device{ID: policy.Is("new"), LastSeenAt: at}, "a device with the same MAC address was heard from at 2026-11-25T08:00:00Z (endpoint new)"},
		{SameName, policy.Device{}, "a device with the same host name is in Central"},
		{SameID, policy.Device{ID: policy.Is("old"), LastSeenAt: at}, "Central has it again, heard from at 2026-11-25T08:00:00Z"},
		{SameID, policy.Device{ID: policy.Is("old")}, "Central has it again"},
	} {
		f := found{retired(), sight{Trait{Sign: tt.sign}, tt.device}}
		if got, want := f.sentence(), "It was deleted at 2026-11-20T06:00:00Z and "+tt.want+tail; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	g := retired()
	g.RestoreBy = time.Time{}
	if s := (found{g, sight{}}).sentence(); strings.Contains(s, "restore") || !strings.HasSuffix(s, "protected.") {
		t.Errorf("without a deadline: %s", s)
	}
}

// A device that registered before the delete under another id is never reported,
// whatever else it shares.
func TestNoLookAlikeFromBeforeTheDeleteIsReported(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWatchlist("tenant")
		w.add(retired())
		for i := range rapid.IntRange(1, 4).Draw(t, "devices") {
			w.hear(heardOf(fmt.Sprint(i), func(d *policy.Device) {
				d.RegisteredAt = policy.Is(deletedAt().Add(-time.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "before"))))
				d.SerialNumber = policy.Is(rapid.SampledFrom([]string{"SYN0000001", "x1"}).Draw(t, "serial"))
				d.MACAddresses = []string{rapid.SampledFrom([]string{"02:00:5E:10:00:01", "02:00:5E:10:00:02"}).Draw(t, "mac")}
				d.Hostname = policy.Is(rapid.SampledFrom([]string{"ws-1", "ws-2"}).Draw(t, "name"))
			}))
		}
		if got := w.found(rapid.Bool().Draw(t, "whole")); len(got) != 0 {
			t.Fatalf("reported %+v", got)
		}
	})
}
