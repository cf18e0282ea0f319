package chaos

import (
	"slices"
	"time"
)

// taken is a copy that was made.
type taken struct {
	Copy
	path    string
	edition map[string]int
	key     string
	at      time.Time
	// unread are the partners of which the store had not read all that they wrote and that it may have heard of: where such a one is put back too,
	// nobody can give that back to it.
	unread []string
}

// back is a member that was put back: at a time, to what it was at another. An emptied disk is of no time.
type back struct {
	member  string
	at, was time.Time
}

// nearly is how long after a member was put back its partners may not have given it all it lacks.
const nearly = 20 * time.Second

// forgotten reports whether both sides of an order lost what happened to it at a time, before another: they were put back so close together
// that neither could give it back to the other. Nobody but the portal knows of it then.
func (m *market) forgotten(o placed, happened, before time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost := func(b back, member string) bool {
		return b.member == member && b.was.Before(happened) && b.at.After(happened) && b.at.Before(before)
	}
	for _, a := range m.backs {
		for _, b := range m.backs {
			if lost(a, o.Member) && lost(b, o.Supplier) && a.at.Sub(b.at).Abs() < nearly {
				return true
			}
		}
	}
	return false
}

// wentBack reports whether a member was put back after a time: what it was told before may be gone.
func (m *market) wentBack(member string, since time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.backs, func(b back) bool { return b.member == member && b.at.After(since) })
}

// wasBack reports whether a member was put back to before something that had happened there.
func (m *market) wasBack(member string, happened time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.backs, func(b back) bool { return b.member == member && b.was.Before(happened) && b.at.After(happened) })
}
