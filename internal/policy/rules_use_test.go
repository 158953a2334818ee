package policy

import (
	"testing"
	"time"
)

// seen sets when the event and Central last saw the device, in days before noon.
func seen(event, live float64) func(f *Facts, _ *Params) {
	return func(f *Facts, _ *Params) {
		f.Event.Central.LastSeenAt, f.Live.Device.LastSeenAt = Is(ago(event)), Is(ago(live))
	}
}

func activityRows() []row {
	return []row{
		{"Central saw it since the event", "active-since-event", seen(141, 1), Manual, []Code{ActiveSinceEvent, NotInactiveLongEnough}},
		{"Central saw it since the event, long ago all the same", "", seen(141, 60), Manual, []Code{ActiveSinceEvent}},
		{"Central saw it a minute later than the event", "", func(f *Facts, _ *Params) {
			f.Live.Device.LastSeenAt = Is(ago(141).Add(time.Minute))
		}, Delete, nil},
		{"Central saw it more than a minute later than the event", "", func(f *Facts, _ *Params) {
			f.Live.Device.LastSeenAt = Is(ago(141).Add(time.Minute + time.Nanosecond))
		}, Manual, []Code{ActiveSinceEvent}},
		{"the event's time is exactly old enough, and Central's newer", "", seen(30, 29), Manual, []Code{ActiveSinceEvent, NotInactiveLongEnough}},
		{"the event's time is the newer", "", seen(100, 141), Delete, nil},
		{"online", "active-in-central", func(f *Facts, _ *Params) { f.Live.Device.Online = Is(true) }, Manual, []Code{ActiveInCentral}},
		{"online by the event, and Central left it out", "", func(f *Facts, _ *Params) {
			f.Event.Central.Online, f.Live.Device.Online = Is(true), Field[bool]{}
		}, Manual, []Code{ActiveInCentral}},
		{"online by the event, and not any more", "", func(f *Facts, _ *Params) { f.Event.Central.Online = Is(true) }, Delete, nil},
		{"the event has no last-seen time", "last-seen-missing", func(f *Facts, _ *Params) {
			f.Event.Central.LastSeenAt = Field[time.Time]{}
		}, Manual, []Code{LastSeenMissing}},
		{"Central has no last-seen time", "", func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = Field[time.Time]{} }, Manual, []Code{LastSeenMissing}},
		{"the event has no last-seen time, and Central's is young", "", func(f *Facts, _ *Params) {
			f.Event.Central.LastSeenAt, f.Live.Device.LastSeenAt = Field[time.Time]{}, Is(ago(2))
		}, Manual, []Code{LastSeenMissing, NotInactiveLongEnough}},
		{"the event's last-seen time can't be read", "last-seen-invalid", func(f *Facts, _ *Params) {
			f.Event.Central.LastSeenAt = Garbled[time.Time]()
		}, Manual, []Code{LastSeenInvalid}},
		{"Central's last-seen time can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = Garbled[time.Time]() }, Manual, []Code{LastSeenInvalid}},
		{"last seen when it registered", "never-seen", func(f *Facts, _ *Params) { f.Live.Device.RegisteredAt = f.Live.Device.LastSeenAt }, Manual, []Code{NeverSeen}},
		{"last seen when it registered, in another zone", "", func(f *Facts, _ *Params) {
			f.Live.Device.RegisteredAt = Is(f.Live.Device.LastSeenAt.Value.In(time.FixedZone("", 3600)))
		}, Manual, []Code{NeverSeen}},
		{"last seen when it registered, by the event", "", func(f *Facts, _ *Params) {
			f.Event.Central.RegisteredAt = f.Event.Central.LastSeenAt
		}, Manual, []Code{NeverSeen}},
		{"registered after it was last seen", "", func(f *Facts, _ *Params) { f.Live.Device.RegisteredAt = Is(ago(1)) }, Manual, []Code{NeverSeen}},
		{"when it registered can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.RegisteredAt = Garbled[time.Time]() }, Manual, []Code{NeverSeen}},
		{"when it registered is not given", "", func(f *Facts, _ *Params) { f.Live.Device.RegisteredAt = Field[time.Time]{} }, Delete, nil},
		{"the event was observed in the future", "clock-skew", func(f *Facts, _ *Params) {
			f.Event.ObservedAt = Is(noon().Add(5*time.Minute + time.Second))
		}, Manual, []Code{ClockSkew}},
		{"the event was observed five minutes ahead", "", func(f *Facts, _ *Params) { f.Event.ObservedAt = Is(noon().Add(5 * time.Minute)) }, Delete, nil},
		{"the event last saw it in the future", "", func(f *Facts, _ *Params) {
			f.Event.Central.LastSeenAt = Is(noon().Add(5*time.Minute + time.Second))
		}, Manual, []Code{ClockSkew, NotInactiveLongEnough}},
		{"Central last saw it in the future", "", func(f *Facts, _ *Params) {
			f.Event.Central.LastSeenAt, f.Live.Device.LastSeenAt = Is(ago(2)), Is(noon().Add(time.Hour))
		}, Manual, []Code{ClockSkew, NotInactiveLongEnough}},
		{"our clock is behind Central's", "", func(f *Facts, _ *Params) { f.Live.CentralTime = Is(noon().Add(5*time.Minute + time.Second)) }, Manual, []Code{ClockSkew}},
		{"our clock is ahead of Central's", "", func(f *Facts, _ *Params) { f.Live.CentralTime = Is(noon().Add(-6 * time.Minute)) }, Manual, []Code{ClockSkew}},
		{"our clock and Central's differ by five minutes", "", func(f *Facts, _ *Params) { f.Live.CentralTime = Is(noon().Add(-5 * time.Minute)) }, Delete, nil},
		{"Central's clock is not known", "", func(f *Facts, _ *Params) { f.Live.CentralTime = Field[time.Time]{} }, Delete, nil},
	}
}

func TestActivity(t *testing.T) { checkRows(t, activityRows()) }

func timeRows() []row {
	server := func(f *Facts, p *Params) {
		p.Manual.Servers = false
		f.Live.Device.Type, f.Live.Device.IsServer, f.Event.Central.Type = Is("server"), Is(true), Is("server")
		f.Live.Device.OSName, f.Event.Directory.OperatingSystem = Is("Windows Server 2022"), Is("Windows Server 2022")
	}
	notYet, grace := []Code{NotInactiveLongEnough}, []Code{GracePeriod}
	disabled := func(days float64) func(f *Facts, _ *Params) {
		return func(f *Facts, _ *Params) { f.Event.Directory.DisabledAt = Is(ago(days)) }
	}
	return []row{
		{"silent for exactly 30 days", "", seen(30, 30), Delete, nil},
		{"silent for a second less than 30 days", "not-inactive-long-enough", func(f *Facts, _ *Params) {
			at := Is(ago(30).Add(time.Second))
			f.Event.Central.LastSeenAt, f.Live.Device.LastSeenAt = at, at
		}, Skip, notYet},
		{"the event saw it later than Central did", "", seen(10, 141), Skip, notYet},
		{"both call it active", "", seen(20, 10), Skip, notYet},
		{"last seen just ahead of our clock", "", seen(0, -1.0/24/60), Skip, notYet},
		{"a server silent for 89 days", "", func(f *Facts, p *Params) {
			server(f, p)
			seen(89, 89)(f, p)
		}, Skip, notYet},
		{"a server silent for exactly 90 days", "", func(f *Facts, p *Params) {
			server(f, p)
			seen(90, 90)(f, p)
		}, Delete, nil},
		{"a server by the directory's OS name alone, silent for 60 days", "", func(f *Facts, p *Params) {
			seen(60, 60)(f, p)
			p.Manual.Servers, f.Event.Directory.OperatingSystem = false, Is("Windows Server 2022")
		}, Skip, []Code{NotInactiveLongEnough, OSFamilyMismatch}},
		{"perhaps a server, silent for 60 days", "", func(f *Facts, p *Params) {
			seen(60, 60)(f, p)
			p.Manual.Servers, f.Live.Device.IsServer = false, Field[bool]{}
		}, Skip, []Code{NotInactiveLongEnough, Server}},
		{"perhaps a server, silent for 90 days", "", func(f *Facts, p *Params) {
			seen(90, 90)(f, p)
			p.Manual.Servers, f.Live.Device.IsServer = false, Field[bool]{}
		}, Manual, []Code{Server}},
		{"servers may not need less than computers", "", func(f *Facts, p *Params) {
			server(f, p)
			seen(29, 29)(f, p)
			p.InactiveDays.Server = 14
		}, Skip, notYet},
		{"disabled exactly 14 days ago", "", disabled(14), Delete, nil},
		{"disabled less than 14 days ago", "grace-period", disabled(13.999), Skip, grace},
		{"disabled in the future, without any grace", "", func(f *Facts, p *Params) {
			p.GraceDays = 0
			disabled(-1)(f, p)
		}, Skip, grace},
		{"disabled at this instant, without any grace", "", func(f *Facts, p *Params) {
			p.GraceDays = 0
			disabled(0)(f, p)
		}, Delete, nil},
		{"too young in both ways", "", func(f *Facts, p *Params) {
			seen(10, 10)(f, p)
			disabled(10)(f, p)
		}, Skip, []Code{NotInactiveLongEnough, GracePeriod}},
	}
}

func TestTime(t *testing.T) { checkRows(t, timeRows()) }
