//go:build !planted

package plant

// Built says whether this build has bugs to choose from.
const Built = false

// On reports whether a bug is on: never.
func On(Bug) bool { return false }

// All are the bugs of this build: none.
func All() []Planted { return nil }

// Environ is what a process is told that is to have a bug: nothing.
func Environ(Bug) []string { return nil }
