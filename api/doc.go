// Package api is rollcall's wire: what callers send, what they get back, and a
// small client. It decides the names and shapes that cross HTTP and refuses to
// know anything of how they are produced; it imports the standard library only.
//
// # Compatibility
//
// Within /v1, fields, outcomes, reason codes and error codes are only ever
// added, never renamed, removed or given another meaning. A caller must
// therefore ignore fields that it does not know, and must treat an outcome,
// a reason code or a next step that it does not know as "a person must look":
// never as permission to delete.
//
// The types here mirror openapi.yaml, which is the truth where they differ.
package api
