package ledger

import (
	"fmt"
	"strings"
)

// Every key that this package writes is named here. Those of a tenant carry the
// tenant in braces, so that a cluster keeps them in one slot and one script may
// touch them all. The others are global and few. Those on which trust rests share
// a slot too: a cluster that loses one of them loses the mark along with it.
const (
	prefix  = "rollcall:"
	global  = prefix + "{global}:"
	keyMark = global + "mark" // the installation id; its absence means a flushed or foreign store
	// The installation that was given up for the one of the mark; a process that
	// knew it learns from this that the store is still the same.
	keyMarkBefore = global + "mark-before"
	keyPause      = global + "pause"     // hash: the kill switch for all tenants; paused (why), pausedBy
	keyTenants    = global + "tenants"   // set: every tenant that was ever written
	keyBegun      = global + "begun"     // set: those of them that have a trail
	globalSwitch  = global + "pause-log" // stream: who threw the global switch, and why
	globalSpread  = global + "spread"    // as keySpread
	ticketIndex   = prefix + "ticket-index:"
)

// budgetKey is of the budget of calls of one of Central's credentials. Its
// parts: all and bulk, sorted sets of calls by when they are made; days, hash: piece of
// a long window -> calls in it; pause: until when nobody calls; these run out. And
// count, the last call's number.
func budgetKey(credential, part string) string {
	return prefix + "central:{" + credential + "}:" + part
}

// turnKey says that a process has taken its turn at a task.
func turnKey(task string) string { return prefix + "turn:" + task }

// indexKey is where a ticket id leads to its tenant and device.
func indexKey(ticketID string) string { return ticketIndex + ticketID }

// tenantKey is what follows the tenant in a key's name.
type tenantKey string

// of is the tenant's key of that name; of some names a tenant has many, and parts
// say which.
func (k tenantKey) of(tenantID string, parts ...string) string {
	return strings.Join(append([]string{prefix + "{" + tenantID + "}", string(k)}, parts...), ":")
}

// The keys of a tenant. Times are milliseconds since 1970, days are 24 hours of
// them, by the store's clock; a field that says nothing does not exist.
const (
	// Hash, one of a device: state, hostname, deletedAt, restoreBy, cameBackAt,
	// cameBackBy; ticket, decidedSeq, approval, approvalTill, keep (JSON), keepUntil;
	// vfails, vfailAt; intentToken, intentOwner, intentApproval, intentAt, settleAfter,
	// lastToken, lastIntentAt; of each token that it had spent:TOKEN (JSON: outcome,
	// at, text) and asked:TOKEN.
	keyDevice tenantKey = "device"
	// String that runs out, one of a device: whose lease it is.
	keyLease tenantKey = "lease"
	// The snapshot of the inventory: "state" is a hash that runs out: of the snapshot
	// id, size, at, whole, central, newest, groups; of who asked span, asked, before; of the
	// reading under way turn (its id; empty = none may begin), till, hold, refresh, begun,
	// turnSize, left; and failed. Each whole reading has a hash "devices", by id: what each
	// is found by, and its record; and a sorted set "index" of those entries, each with the
	// id behind it; the reading that groups names has a string "groups", JSON. Builds before it kept another form under "roll", which runs out.
	keySnapshot tenantKey = "snapshot"
	// Hash, one of a ticket: id, endpoint, hostname, state, openedAt, openedBy, openedKey
	// (name of the API key), system, url, two, claims (JSON); closedAt, decision,
	// decidedBy, note, ticketState; approval, approvalTill, approvalUsed.
	keyTicket tenantKey = "ticket"
	// Hash: seq (of the last audit entry), distrusted (why); paused (why), pausedBy;
	// circuit (why it is open), failRow, jumpSeen (day); the ramp's level, clean, top,
	// lastOk (day), lastBad (day); silentSince, silentUntil.
	keyMeta tenantKey = "meta"
	// Stream of the audit entries, their ids their sequence: at, e (JSON).
	keyAudit tenantKey = "audit"
	// Hash: how far the trail was exported, seq, and the digest of that entry; and
	// behind what it begins since it was trimmed, baseSeq and baseDigest.
	keyChain tenantKey = "chain"

	keyExporter     tenantKey = "exporter"      // string that runs out: whose turn at exporting it is
	keyAttempts     tenantKey = "attempts"      // sorted set: TOKEN:TIME of each intent, by time
	keyInflight     tenantKey = "inflight"      // sorted set: devices with an intent, by when it may be settled
	keyOpen         tenantKey = "tickets:open"  // sorted set: devices with an open ticket, by since when
	keyDeleted      tenantKey = "deleted"       // sorted set: devices, by when they were found gone
	keyKept         tenantKey = "kept"          // sorted set: devices that a person keeps, by since when
	keyFailures     tenantKey = "failures"      // hash: KIND:device, of an outage only KIND: -> JSON
	keyDecisions    tenantKey = "decisions"     // hash: device -> its latest decision, JSON
	keyDecided      tenantKey = "decided"       // sorted set: devices, by the time of that
	keyRecords      tenantKey = "records"       // hash: device -> Central's record before its delete, JSON
	keyTickets      tenantKey = "tickets"       // sorted set: ticket ids, by when they were opened
	keyEligible     tenantKey = "eligible"      // sorted set: devices, by when they were last found eligible
	keyEligibleDays tenantKey = "eligible-days" // hash: day -> how many devices were found eligible
	keyHost         tenantKey = "host"          // set, one of a short host name: the devices that have it
	keyParked       tenantKey = "parked"        // string that runs out, one of a digest: a token's contents
	keySpread       tenantKey = "spread"        // string that runs out: written last, to wait until replicas have it
	keyNever        tenantKey = "never"         // does not exist
)

// scriptKey is a key that scripts may touch, under the name that they have for it.
type scriptKey struct{ name, key string }

// scriptKeys are all of them, for one call.
func scriptKeys(c call) []scriptKey {
	tenant, endpoint := c.dev.TenantID, c.dev.EndpointID
	return []scriptKey{
		{"DEVICE", keyDevice.of(tenant, endpoint)},
		{"META", keyMeta.of(tenant)},
		{"AUDIT", keyAudit.of(tenant)},
		{"ATTEMPTS", keyAttempts.of(tenant)},
		{"INFLIGHT", keyInflight.of(tenant)},
		{"OPEN", keyOpen.of(tenant)},
		{"DELETED", keyDeleted.of(tenant)},
		{"KEPT", keyKept.of(tenant)},
		{"FAILURES", keyFailures.of(tenant)},
		{"DECISIONS", keyDecisions.of(tenant)},
		{"DECIDED", keyDecided.of(tenant)},
		{"RECORDS", keyRecords.of(tenant)},
		{"TICKETS", keyTickets.of(tenant)},
		{"TICKET", keyTicket.of(tenant, c.ticketID)},
		{"LEASE", keyLease.of(tenant, endpoint)},
		{"ELIGIBLE", keyEligible.of(tenant)},
		{"ELIGIBLE_DAYS", keyEligibleDays.of(tenant)},
		// A cluster runs a script in a slot that is being moved if all of its keys are
		// there still, and breaks it off in the middle once it has deleted one. For one
		// that lacks a key it does not begin.
		{"NEVER", keyNever.of(tenant)},
	}
}

// luaKeys names the keys for the scripts.
func luaKeys() string {
	var b strings.Builder
	for i, k := range scriptKeys(call{}) {
		fmt.Fprintf(&b, "local %s = KEYS[%d]\n", k.name, i+1)
	}
	return b.String()
}
