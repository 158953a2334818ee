package ledger

import "strings"

// Every key that this package writes is named here. Those of a tenant carry the
// tenant in braces, so that a cluster keeps them in one slot and one script may
// touch them all. The others are global and few.
const (
	prefix  = "rollcall:"
	keyMark = prefix + "mark" // the installation id; its absence means a flushed or foreign store
	// The installation that was given up for the one of the mark; a process that
	// knew it learns from this that the store is still the same.
	keyMarkBefore = prefix + "mark-before"
	keyPause      = prefix + "pause"   // hash: the kill switch for all tenants
	keyTenants    = prefix + "tenants" // set: every tenant that was ever written
	ticketIndex   = prefix + "ticket-index:"
	globalSwitch  = prefix + "pause-log" // stream: who threw the global switch, and why
)

// turnKey says that a process has taken its turn at a task.
func turnKey(task string) string { return prefix + "turn:" + task }

// indexKey is where a ticket id leads to its tenant and device.
func indexKey(ticketID string) string { return ticketIndex + ticketID }

// tenantKey is a key of one tenant.
func tenantKey(tenantID string, parts ...string) string {
	return prefix + "{" + tenantID + "}:" + strings.Join(parts, ":")
}

// scriptKeys are the keys that a script may touch, in the order in which the
// prelude names them. ticketID may be empty.
func scriptKeys(tenantID, endpointID, ticketID string) []string {
	return []string{
		deviceKey(tenantID, endpointID),
		metaKey(tenantID),
		auditKey(tenantID),
		tenantKey(tenantID, "attempts"),
		tenantKey(tenantID, "inflight"),
		tenantKey(tenantID, "tickets", "open"),
		tenantKey(tenantID, "deleted"),
		tenantKey(tenantID, "kept"),
		tenantKey(tenantID, "failures"),
		tenantKey(tenantID, "decisions"),
		tenantKey(tenantID, "decided"),
		tenantKey(tenantID, "records"),
		tenantKey(tenantID, "tickets"),
		ticketKey(tenantID, ticketID),
		leaseKey(tenantID, endpointID),
		tenantKey(tenantID, "eligible"),
		tenantKey(tenantID, "eligible-days"),
	}
}

// deviceKey is the hash of a device: its state and what belongs to it.
func deviceKey(tenantID, endpointID string) string { return tenantKey(tenantID, "device", endpointID) }

// metaKey is the hash of a tenant: sequence, switch, circuit, ramp.
func metaKey(tenantID string) string { return tenantKey(tenantID, "meta") }

// auditKey is the stream of a tenant's audit entries, its ids their sequence.
func auditKey(tenantID string) string { return tenantKey(tenantID, "audit") }

// ticketKey is the hash of a ticket.
func ticketKey(tenantID, ticketID string) string { return tenantKey(tenantID, "ticket", ticketID) }

// leaseKey holds the owner of a device's lease.
func leaseKey(tenantID, endpointID string) string { return tenantKey(tenantID, "lease", endpointID) }

// hostKey is the set of a tenant's devices of one short host name.
func hostKey(tenantID, short string) string { return tenantKey(tenantID, "host", short) }

// chainKey is the hash of how far a tenant's audit trail was exported: seq, and
// the digest of that entry.
func chainKey(tenantID string) string { return tenantKey(tenantID, "chain") }

// parkKey holds a token's contents that were too large to be sealed.
func parkKey(tenantID, digest string) string { return tenantKey(tenantID, "parked", digest) }
