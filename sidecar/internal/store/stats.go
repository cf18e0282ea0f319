package store

import (
	"sync/atomic"
	"time"
)

// Stats counts since Open.
type Stats struct {
	// Commits is the number of durable commits; Closures the number of closures in them.
	Commits, Closures int64
	// Statements is the number of statements that closures ran; what begins and ends a transaction is not among them.
	Statements int64
	// Views is the number of read-only snapshots.
	Views int64
	// Failed counts Do and Bulk calls that answered an error.
	Failed int64
	// Retries counts closures that ran again after a serialization failure or a deadlock.
	Retries int64
	// CommitSeconds is the time spent in COMMIT.
	CommitSeconds float64
}

type stats struct {
	commits, closures, statements, views, failed, retries, commitNanos atomic.Int64
	// told hears of each commit; nil is nobody.
	told func(closures int, took time.Duration)
}

func (s *stats) committed(closures int, took time.Duration) {
	s.commits.Add(1)
	s.closures.Add(int64(closures))
	s.commitNanos.Add(int64(took))
	if s.told != nil {
		s.told(closures, took)
	}
}

// Stats reads the counters.
func (s *Store) Stats() Stats {
	return Stats{
		Commits:       s.stats.commits.Load(),
		Closures:      s.stats.closures.Load(),
		Statements:    s.stats.statements.Load(),
		Views:         s.stats.views.Load(),
		Failed:        s.stats.failed.Load(),
		Retries:       s.stats.retries.Load(),
		CommitSeconds: time.Duration(s.stats.commitNanos.Load()).Seconds(),
	}
}
