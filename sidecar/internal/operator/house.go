package operator

import "time"

// House is the sidecar itself as its operator sees it.
type House struct {
	Origin, Version string
	// File is the configuration that was read, "" where there is none; DataDir is absolute.
	File, DataDir string
	// Database is sqlite or postgres.
	Database string
	Started  time.Time
	// Checks say whether requests should come here.
	Checks []Check
	// Orders are those that have not ended, by side; Jobs are by kind.
	Orders, Jobs []Count
	// Reminders are what the operator should do soon, though all goes on without it.
	Reminders []string
}

// Check is one condition of readiness; Problem is "" where it holds.
type Check struct{ Name, Problem string }

// Count is how many there are of a group in a state.
type Count struct {
	Group, State string
	N            int64
}

// Ready reports whether all checks hold.
func (h House) Ready() bool {
	for _, c := range h.Checks {
		if c.Problem != "" {
			return false
		}
	}
	return true
}
