package policy

import (
	"testing"
	"time"
)

func stateRows() []row {
	kept := func(f *Facts) *KeepUntil {
		d := f.Event.Directory
		return &KeepUntil{TicketID: "INC-7", Until: noon().Add(time.Hour), DN: d.DistinguishedName, Enabled: d.Enabled}
	}
	return []row{
		{"the kill switch is thrown", "kill-switch", func(f *Facts, _ *Params) { f.Standing.Paused = "incident 12" }, Skip, []Code{KillSwitch}},
		{"the store can't be trusted", "state-unverified", func(f *Facts, _ *Params) { f.Standing.Unverified = "the mark is gone" }, Skip, []Code{StateUnverified}},
		{"deleted by us, and gone", "already-deleted", func(f *Facts, _ *Params) {
			f.Standing.DeletedAt = ago(3)
			f.Live = Live{Status: LiveNotFound, At: noon()}
		}, Skip, []Code{AlreadyDeleted}},
		{"deleted by us, and Central does not answer", "", func(f *Facts, _ *Params) {
			f.Standing.DeletedAt = ago(3)
			f.Live = Live{Status: LiveFailed, At: noon(), Own: true, Problem: "Timed out."}
		}, Skip, []Code{AlreadyDeleted, VerifyFailed}},
		{"deleted by us, and found again", "came-back", func(f *Facts, _ *Params) { f.Standing.DeletedAt = ago(3) }, Manual, []Code{CameBack}},
		{"deleted by us, was found again, and is gone now", "", func(f *Facts, _ *Params) {
			f.Standing.DeletedAt, f.Standing.CameBackAt = ago(3), ago(1)
			f.Live = Live{Status: LiveNotFound, At: noon()}
		}, Manual, []Code{CameBack}},
		{"a delete is under way", "in-flight", func(f *Facts, _ *Params) { f.Standing.InFlight = true }, Skip, []Code{InFlight}},
		{"an approval waits", "approval-pending", func(f *Facts, _ *Params) { f.Standing.ApprovalID = "a1" }, Skip, []Code{ApprovalPending}},
		{"another approval waits than the one that asks", "", func(f *Facts, _ *Params) {
			f.Standing.ApprovalID, f.Approval = "a1", &Approval{ID: "a2", OpenedAt: noon()}
		}, Skip, []Code{ApprovalPending}},
		{"the approval that waits is the one that asks", "", func(f *Facts, _ *Params) {
			f.Standing.ApprovalID, f.Approval = "a1", &Approval{ID: "a1", OpenedAt: noon()}
		}, Delete, nil},
		{"an approval without an id is not the one that waits", "", func(f *Facts, _ *Params) {
			f.Standing.ApprovalID, f.Approval = "a1", &Approval{OpenedAt: noon()}
		}, Skip, []Code{ApprovalPending}},
		{"a ticket is open", "ticket-open", func(f *Facts, _ *Params) { f.Standing.OpenTicket = "INC-7" }, Skip, []Code{TicketOpen}},
		{"decided: keep", "ticket-decided-keep", func(f *Facts, _ *Params) { f.Standing.Keep = kept(f) }, Keep, []Code{TicketDecidedKeep}},
		{"decided: keep, and the DN is written in another case", "", func(f *Facts, _ *Params) {
			f.Standing.Keep = kept(f)
			f.Event.Directory.DistinguishedName = Is(corp("cn=ws-fin-0427", "ou=WORKSTATIONS", "ou=disabled"))
		}, Keep, []Code{TicketDecidedKeep}},
		{"the keep ends at this instant", "keep-lapsed", func(f *Facts, _ *Params) {
			f.Standing.Keep = kept(f)
			f.Standing.Keep.Until = noon()
		}, Manual, []Code{KeepLapsed}},
		{"the keep lapsed since the account moved", "", func(f *Facts, _ *Params) {
			f.Standing.Keep = kept(f)
			f.Event.Directory.DistinguishedName = Is(corp("cn=WS-FIN-0427", "ou=Disabled"))
		}, Manual, []Code{KeepLapsed}},
		{"the keep lapsed since enabled is no longer said", "", func(f *Facts, _ *Params) {
			f.Standing.Keep = kept(f)
			f.Event.Directory.Enabled = Field[bool]{}
		}, Manual, []Code{KeepLapsed}},
		{"the last ticket ended undecided", "ticket-undecided", func(f *Facts, _ *Params) { f.Standing.Undecided = true }, Manual, []Code{TicketUndecided}},
	}
}

func TestStateAndWhatIsInHand(t *testing.T) { checkRows(t, stateRows()) }

func inputRows() []row {
	invalid := []Code{InputInvalid}
	garbledEvent := func(path string) func(f *Facts, _ *Params) {
		return func(f *Facts, _ *Params) { f.Event.Garbled = []string{path} }
	}
	rows := []row{
		{"the host name is missing", "input-invalid", func(f *Facts, _ *Params) { f.Event.Directory.Hostname = Field[string]{} }, Manual, invalid},
		{"the domain is missing", "", func(f *Facts, _ *Params) { f.Event.Directory.Domain = Field[string]{} }, Manual, invalid},
		{"the DN can't be read", "", func(f *Facts, _ *Params) { f.Event.Directory.DistinguishedName = Garbled[DN]() }, Manual, invalid},
		{"Central's id is missing", "", func(f *Facts, _ *Params) { f.Event.Central.ID = Field[string]{} }, Manual, []Code{InputInvalid, VerifyFailed}},
		{"Central's tenant is missing", "", func(f *Facts, _ *Params) { f.Event.Central.TenantID = Field[string]{} }, Manual, []Code{InputInvalid, TenantMismatch}},
		{"Central's host name is missing", "", func(f *Facts, _ *Params) { f.Event.Central.Hostname = Field[string]{} }, Manual, invalid},
		{"a part of the event can't be read", "", garbledEvent("owner"), Manual, invalid},
		{"no directory", "directory-missing", func(f *Facts, _ *Params) { f.Event.Directory = Directory{} }, Manual, []Code{DirectoryMissing, BuildUnknown}},
		{"no directory, and Central's host name is missing too", "", func(f *Facts, _ *Params) {
			f.Event.Directory, f.Event.Central.Hostname = Directory{}, Field[string]{}
		}, Manual, []Code{DirectoryMissing, BuildUnknown}},
		{"what decides nothing can't be read", "", func(f *Facts, _ *Params) {
			f.Event.Central.PersonID = Garbled[string]()
			f.Event.Central.SerialNumber, f.Event.Central.Tamper = Garbled[string](), Garbled[bool]()
		}, Delete, nil},
		{"optional fields are not given", "", func(f *Facts, _ *Params) {
			f.Event.ObservedAt, f.Event.Directory.Enabled, f.Event.Directory.DisabledAt = Field[time.Time]{}, Field[bool]{}, Field[time.Time]{}
			f.Event.Directory.OperatingSystem, f.Event.Directory.MemberOf = Field[string]{}, Field[[]DN]{}
		}, Delete, nil},
	}
	return append(append(rows, unreadableRows()...), requiredRows()...)
}

// unreadableRows make one deciding field of the event unreadable each.
func unreadableRows() []row {
	fields := map[string]func(e *Event){
		"observedAt":                    func(e *Event) { e.ObservedAt = Garbled[time.Time]() },
		"owner.login":                   func(e *Event) { e.Owner.Login = Garbled[string]() },
		"owner.memberOf":                func(e *Event) { e.Owner.MemberOf = Garbled[[]DN]() },
		"directory.hostname":            func(e *Event) { e.Directory.Hostname = Garbled[string]() },
		"directory.operatingSystem":     func(e *Event) { e.Directory.OperatingSystem = Garbled[string]() },
		"directory.enabled":             func(e *Event) { e.Directory.Enabled = Garbled[bool]() },
		"directory.disabledAt":          func(e *Event) { e.Directory.DisabledAt = Garbled[time.Time]() },
		"directory.memberOf":            func(e *Event) { e.Directory.MemberOf = Garbled[[]DN]() },
		"directory.managedBy":           func(e *Event) { e.Directory.ManagedBy = Garbled[string]() },
		"central.type":                  func(e *Event) { e.Central.Type = Garbled[string]() },
		"central.os.platform":           func(e *Event) { e.Central.Platform = Garbled[string]() },
		"central.os.name":               func(e *Event) { e.Central.OSName = Garbled[string]() },
		"central.os.isServer":           func(e *Event) { e.Central.IsServer = Garbled[bool]() },
		"central.registeredAt":          func(e *Event) { e.Central.RegisteredAt = Garbled[time.Time]() },
		"central.online":                func(e *Event) { e.Central.Online = Garbled[bool]() },
		"central.isolation":             func(e *Event) { e.Central.Isolated = Garbled[bool]() },
		"central.health.overall":        func(e *Event) { e.Central.HealthOverall = Garbled[string]() },
		"central.health.threats":        func(e *Event) { e.Central.HealthThreats = Garbled[string]() },
		"central.cloned":                func(e *Event) { e.Central.Cloned = Garbled[bool]() },
		"central.associatedPerson.via":  func(e *Event) { e.Central.ViaLogin = Garbled[string]() },
		"central.associatedPerson.name": func(e *Event) { e.Central.PersonName = Garbled[string]() },
		"directory.primaryGroupId":      func(e *Event) { e.Directory.PrimaryGroupID = Garbled[int]() },
		"directory.userAccountControl":  func(e *Event) { e.Directory.UserAccountControl = Garbled[int]() },
	}
	also := map[string][]Code{ // the rules that these concern speak too
		"central.isolation": nil, "central.online": nil,
	}
	var rows []row
	for name, spoil := range fields {
		codes := append([]Code{InputInvalid}, also[name]...)
		rows = append(rows, row{name + " can't be read", "", func(f *Facts, _ *Params) { spoil(&f.Event) }, Manual, codes})
	}
	return rows
}

// requiredRows take away what the policy requires.
func requiredRows() []row {
	gone := map[string]func(e *Event){
		"observedAt": func(e *Event) { e.ObservedAt = Field[time.Time]{} },
		"enabled":    func(e *Event) { e.Directory.Enabled = Field[bool]{} },
		"disabledAt": func(e *Event) { e.Directory.DisabledAt = Field[time.Time]{} },
		"memberOf":   func(e *Event) { e.Directory.MemberOf = Field[[]DN]{} },
		"owner":      func(e *Event) { e.Owner = Owner{} },
		"nonsense":   func(*Event) {},
	}
	also := map[string][]Code{"owner": {OwnerUnknown}} // the policy of the tests has VIP groups
	var rows []row
	for name, take := range gone {
		codes := append([]Code{InputInvalid}, also[name]...)
		rows = append(rows, row{name + " is required and missing", "", func(f *Facts, p *Params) {
			p.Require = []string{name}
			take(&f.Event)
		}, Manual, codes})
	}
	return append(rows, row{"what is required is there", "", func(_ *Facts, p *Params) {
		p.Require = []string{"observedAt", "enabled", "disabledAt", "memberOf", "owner"}
	}, Delete, nil})
}

func TestInput(t *testing.T) { checkRows(t, inputRows()) }
