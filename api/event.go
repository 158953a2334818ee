package api

import (
	"encoding/json"
	"fmt"
	"time"
)

// Event is one row that a SIEM search found: what the directory says of a
// device, and what Central said when the row was made. It is a convenience for
// callers in Go; the service also takes JSON of any origin, in which every value
// may be a string. A nil field is not given, which is never taken for good news.
type Event struct {
	// ObservedAt is when the search ran.
	ObservedAt *time.Time `json:"observedAt,omitempty"`
	Directory  *Directory `json:"directory,omitempty"`
	Owner      *Owner     `json:"owner,omitempty"`
	Central    *Central   `json:"central,omitempty"`
}

// Raw is the event as a request carries it. It fails only for a time that RFC
// 3339 cannot express.
func (e Event) Raw() (json.RawMessage, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return b, nil
}

// Directory is the computer's account in Active Directory.
type Directory struct {
	Hostname string `json:"hostname,omitempty"`
	// Domain is the DNS name, or the NetBIOS name if the policy maps it.
	Domain            string `json:"domain,omitempty"`
	DistinguishedName string `json:"distinguishedName,omitempty"`
	OperatingSystem   string `json:"operatingSystem,omitempty"`
	// OperatingSystemVersion holds the build, as in "10.0 (22631)".
	OperatingSystemVersion string `json:"operatingSystemVersion,omitempty"`
	// OperatingSystemBuildNumber is the build alone, taken in its place.
	OperatingSystemBuildNumber string     `json:"operatingSystemBuildNumber,omitempty"`
	Enabled                    *bool      `json:"enabled,omitempty"`
	DisabledAt                 *time.Time `json:"disabledAt,omitempty"`
	// MemberOf are the DNs of the computer's groups. An empty list is given and
	// says that there are none; nil is not given.
	MemberOf  *[]string `json:"memberOf,omitempty"`
	ManagedBy string    `json:"managedBy,omitempty"`
	// PrimaryGroupID is the RID of the computer's primary group, which memberOf never
	// lists: 516 and 521 are domain controllers. Nil is not given.
	PrimaryGroupID *int `json:"primaryGroupId,omitempty"`
	// UserAccountControl is AD's attribute of that name; nil is not given.
	UserAccountControl *int   `json:"userAccountControl,omitempty"`
	ObjectGUID         string `json:"objectGuid,omitempty"`
}

// Owner is the device's user as the directory knows it.
type Owner struct {
	Login string `json:"login,omitempty"`
	// MemberOf are the DNs of the user's groups; nil is not given.
	MemberOf *[]string `json:"memberOf,omitempty"`
}

// Central is the part of Central's own endpoint record that an event needs. A
// whole record may be sent instead, as raw JSON.
type Central struct {
	ID               string            `json:"id,omitempty"`
	Tenant           *Tenant           `json:"tenant,omitempty"`
	Hostname         string            `json:"hostname,omitempty"`
	Type             string            `json:"type,omitempty"`
	LastSeenAt       *time.Time        `json:"lastSeenAt,omitempty"`
	OS               *OS               `json:"os,omitempty"`
	AssociatedPerson *AssociatedPerson `json:"associatedPerson,omitempty"`
}

// Tenant names a customer of Central.
type Tenant struct {
	ID string `json:"id"`
}

// OS is the operating system as Central reports it.
type OS struct {
	IsServer *bool  `json:"isServer,omitempty"`
	Platform string `json:"platform,omitempty"`
	Name     string `json:"name,omitempty"`
	Build    int    `json:"build,omitempty"`
}

// AssociatedPerson is the user that Central last saw on the device.
type AssociatedPerson struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	ViaLogin string `json:"viaLogin,omitempty"`
}
