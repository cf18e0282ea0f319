package chaos

import (
	"io"
	"sync"
)

// taking is a writer that many may write to at once: faults of one round, and markets beside each other.
type taking struct {
	mu sync.Mutex
	to io.Writer
}

// inTurn makes a writer of any kind, a buffer too, one that takes a line at a time; without one, nobody is told.
func inTurn(to io.Writer) io.Writer {
	switch to := to.(type) {
	case nil:
		return io.Discard
	case *taking:
		return to
	}
	return &taking{to: to}
}

func (t *taking) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.to.Write(line)
}

// prefixed begins each line with what tells its market from those beside it.
type prefixed struct {
	to     io.Writer
	before string
}

func (p prefixed) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.to, p.before+string(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}
