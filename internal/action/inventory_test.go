package action

import (
	"testing"
	"time"

	"rollcall/internal/policy"
)

func TestTheInventoryNeverCallsOldWhatIsUnknown(t *testing.T) {
	now := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		seen  policy.Field[time.Time]
		state LastSeen
		days  float64 // -1 = not known
	}{
		{"seen a month ago", policy.Is(now.Add(-30 * 24 * time.Hour)), LastSeenKnown, 30},
		{"seen right now", policy.Is(now), LastSeenKnown, 0},
		{"a clock that is a little ahead", policy.Is(now.Add(policy.MaxSkew)), LastSeenKnown, 0},
		{"a clock that is far ahead", policy.Is(now.Add(policy.MaxSkew + 1)), LastSeenFuture, -1},
		{"no time", policy.Field[time.Time]{}, LastSeenMissing, -1},
		{"no readable time", policy.Garbled[time.Time](), LastSeenUnreadable, -1},
	} {
		l := NewListed(policy.Device{LastSeenAt: tt.seen}, now)
		if l.LastSeen != tt.state || l.InactiveDays.Known() != (tt.days >= 0) || l.InactiveDays.Value != max(tt.days, 0) {
			t.Errorf("%s: %s, %+v days; want %s, %v", tt.name, l.LastSeen, l.InactiveDays, tt.state, tt.days)
		}
	}
}

func TestWhichDevicesOfTheInventoryAreWanted(t *testing.T) {
	now := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	ago := func(days float64) policy.Device {
		return policy.Device{Type: policy.Is("computer"), LastSeenAt: policy.Is(now.Add(-time.Duration(days * 24 * float64(time.Hour))))}
	}
	with := func(d policy.Device, change func(*policy.Device)) policy.Device { change(&d); return d }
	untimed := policy.Device{Type: policy.Is("computer")}
	for _, tt := range []struct {
		name string
		want Wanted
		d    policy.Device
		in   bool
	}{
		{"all are wanted where nothing is asked", Wanted{}, ago(0), true},
		{"exactly old enough is old enough", Wanted{InactiveDays: 30}, ago(30), true},
		{"a second younger is not", Wanted{InactiveDays: 30}, ago(30 - 1.0/86400), false},
		{"unknown age is listed, to be looked at", Wanted{InactiveDays: 30}, untimed, true},
		{"so is a time in the future", Wanted{InactiveDays: 30}, ago(-1), true},
		{"what is online is not inactive, however old its time", Wanted{InactiveDays: 30}, with(ago(90), func(d *policy.Device) { d.Online = policy.Is(true) }), false},
		{"nor where its time is missing", Wanted{InactiveDays: 30}, with(untimed, func(d *policy.Device) { d.Online = policy.Is(true) }), false},
		{"online is listed where no age is asked", Wanted{}, with(ago(0), func(d *policy.Device) { d.Online = policy.Is(true) }), true},
		{"online that can't be read says nothing", Wanted{InactiveDays: 30}, with(ago(90), func(d *policy.Device) { d.Online = policy.Garbled[bool]() }), true},
		{"a computer for who wants computers", Wanted{Type: "computer"}, ago(1), true},
		{"no computer for who wants servers", Wanted{Type: "server"}, ago(1), false},
		{"one type that is neither", Wanted{Type: "server"}, with(ago(1), func(d *policy.Device) { d.Type = policy.Is("securityvm") }), false},
		{"a computer that says it is a server is no computer", Wanted{Type: "computer"}, with(ago(1), func(d *policy.Device) { d.IsServer = policy.Is(true) }), false},
		{"nor one whose OS is a server's", Wanted{Type: "computer"}, with(ago(1), func(d *policy.Device) { d.OSName = policy.Is("Windows Server 2019") }), false},
		{"it is a server", Wanted{Type: "server"}, with(ago(1), func(d *policy.Device) { d.IsServer = policy.Is(true) }), true},
		{"unknown type is in both lists: the computers'", Wanted{Type: "computer"}, policy.Device{}, true},
		{"and the servers'", Wanted{Type: "server"}, policy.Device{}, true},
	} {
		if got := tt.want.Wants(NewListed(tt.d, now)); got != tt.in {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
