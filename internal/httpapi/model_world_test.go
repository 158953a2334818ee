package httpapi_test

import (
	"net/http"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// What happens around the calls: switches, the policy in force, devices, Central's
// faults, and time.

func (m *machine) doPause(t *rapid.T) {
	id, flag := "", &m.pausedAll
	if rapid.Bool().Draw(t, "of the tenant") {
		id, flag = tenant, &m.pausedHere
	}
	m.admin("pause", id)
	*flag = true
}

func (m *machine) doResume(*rapid.T) {
	m.admin("resume", "")
	m.admin("resume", tenant)
	m.pausedAll, m.pausedHere = false, false
}

func (m *machine) doReset(*rapid.T) { m.admin("circuit-reset", tenant) }

// odd reports whether the policy is not the one of the beginning.
func (m *machine) odd() bool {
	return m.silence != 30 || m.shut || m.broken || m.dry || m.perDay != 100 || m.spacing != 0
}

// doPolicy changes one thing of the policy in force.
func (m *machine) doPolicy(t *rapid.T) {
	switch fair(7).Draw(t, "what") {
	case 0:
		m.silence = 200
	case 1:
		d := m.anyDevice(t)
		d.excluded = !d.excluded
	case 2:
		m.shut = true
	case 3:
		m.broken = true
	case 4:
		m.dry = true
	default:
		m.perDay = one(t, "a day", 0, 1, 2, 100)
		m.spacing = one(t, "spacing", 0, time.Minute)
	}
	m.enforce()
}

// doPolicyBack puts all of it back but the exclusions.
func (m *machine) doPolicyBack(*rapid.T) {
	m.silence, m.shut, m.broken, m.dry, m.perDay, m.spacing = 30, false, false, false, 100, 0
	m.enforce()
}

// enforce puts the model's policy in force.
func (m *machine) enforce() {
	m.change(func(r *action.Rules) {
		r.Broken = m.broken
		p := &r.Params
		p.InactiveDays.Computer, p.Window, p.LiveTenants, p.Exclusions = m.silence, nil, nil, nil
		p.Limits = policy.Limits{PerDay: []int{m.perDay}, CleanDays: 3, PercentPerDay: 100, Spacing: m.spacing}
		if m.shut {
			p.Window = shut()
		}
		if m.dry {
			p.LiveTenants = []string{centralsim.ForeignTenant}
		}
		for _, d := range m.devs {
			if d.excluded {
				p.Exclusions = append(p.Exclusions, policy.Exclusion{ID: d.label, EndpointIDs: []string{d.id}, Reason: "r", Owner: "o"})
			}
		}
	})
}

// oneOf is one of the devices that are like that, of which there is one.
func (m *machine) oneOf(t *rapid.T, like func(d *modelled) bool) *modelled {
	var of []*modelled
	for _, d := range m.devs {
		if like(d) {
			of = append(of, d)
		}
	}
	if len(of) == 0 {
		t.Skip("there is none")
	}
	return of[fair(len(of)).Draw(t, "device")]
}

// there is a device that Central has.
func (m *machine) there(t *rapid.T) *modelled {
	return m.oneOf(t, func(d *modelled) bool { return d.present })
}

func (m *machine) doCheckIn(t *rapid.T) {
	m.checkIn(m.there(t))
}

func (m *machine) checkIn(d *modelled) {
	d.lastSeen, d.online = m.now().UTC().Truncate(time.Millisecond), true
	m.sim.CheckIn(tenant, d.id, d.lastSeen)
}

func (m *machine) doOffline(t *rapid.T) {
	d := m.there(t)
	r, _ := m.recordOf(d)
	r["online"], d.online = false, false
	m.sim.Put(tenant, r)
}

func (m *machine) doVanish(t *rapid.T) {
	d := m.there(t)
	d.record, _ = m.recordOf(d)
	m.sim.Remove(tenant, d.id)
	d.present = false
}

func (m *machine) doComeBack(t *rapid.T) {
	// While a DELETE is not settled nobody could tell that from one that failed.
	d := m.oneOf(t, func(d *modelled) bool { return !d.present && d.intent == "" })
	d.present = true
	m.sim.Put(tenant, d.record)
	if rapid.Bool().Draw(t, "in use") {
		m.checkIn(d)
	}
}

// oneFault is one of several, drawn by its number.
func oneFault(t *rapid.T, faults ...centralsim.Fault) centralsim.Fault {
	return faults[fair(len(faults)).Draw(t, "fault")]
}

func (m *machine) doDeleteFault(t *rapid.T) {
	const kind = "application/json"
	m.faulty = true
	m.deleteFault(oneFault(t, centralsim.Fault{Status: 500}, centralsim.Fault{Status: 500, ApplyAnyway: true}, centralsim.Fault{Drop: true},
		centralsim.Fault{Drop: true, ApplyAnyway: true}, centralsim.Fault{Status: 403}, centralsim.Fault{Status: 429, RetryAfter: "7"},
		centralsim.Fault{Status: 200, Body: `{"deleted":true}`, ContentType: kind}, centralsim.Fault{Status: 200, Body: `{"deleted":false}`, ContentType: kind},
		centralsim.Fault{CutBody: true}))
}

func (m *machine) doReadFault(t *rapid.T) {
	m.faulty = true
	f := oneFault(t, centralsim.Fault{Status: 500}, centralsim.Fault{Status: 404, Body: "<html>", ContentType: "text/html"},
		centralsim.Fault{Status: 403}, centralsim.Fault{Status: 429, RetryAfter: "7"}, centralsim.Fault{CutBody: true}, centralsim.Fault{Drop: true})
	f.Method, f.Path = http.MethodGet, "/endpoint/"
	f.Skip, f.Times = fair(5).Draw(t, "let pass"), rapid.IntRange(1, 3).Draw(t, "times")
	m.sim.Fault(f)
}

func (m *machine) doHeal(*rapid.T) {
	m.sim.ClearFaults()
	m.faulty = false
}

func (m *machine) doPass(t *rapid.T) {
	m.pass(one(t, "time",
		3*time.Second, 10*time.Second, time.Minute, time.Minute, 2*time.Minute, 11*time.Minute, 11*time.Minute, time.Hour,
		13*time.Hour, 25*time.Hour, 8*days, 31*days, 92*days))
}

func (m *machine) doReconcile(*rapid.T) {
	if err := m.runner.Reconcile(m.t.Context()); err != nil {
		m.rt.Fatal(err)
	}
}
