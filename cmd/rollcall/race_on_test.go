//go:build race

package main

// raced says that the race detector is at work: everything takes many times the
// time and the memory.
const raced = true
