// Package policy decides what is to be done with a device: delete it, hand it to
// a person, leave it for now, or keep it. It decides from facts alone and is
// pure: it refuses to know where facts come from, what time it is, and what is
// done with a verdict.
//
// A rule is a code, a tier, a sentence that an operator reads, and a small
// function over the facts. Its answer has three values, and what it can't tell
// never passes: unknown is never old. To add a rule, add its code and its row to
// the table in rules.go, its function beside those of its tier, and rows to its
// test; the enum of the API description and the table in the README follow, and
// tests fail when one of them lacks it.
package policy
