// Package filelock keeps processes apart by a lock on a file. A lock ends with its process, however that ends. It holds between
// openings of the file, so within a process it keeps callers apart as well.
package filelock

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld says that somebody else has the lock.
var ErrHeld = errors.New("the lock is held")

// Lock waits for the lock on the file at path, which it makes if missing. Closing the file gives the lock back. Systems without
// such locks refuse with errors.ErrUnsupported.
func Lock(path string) (*os.File, error) { return open(path, true) }

// Try is Lock, but returns ErrHeld instead of waiting.
func Try(path string) (*os.File, error) { return open(path, false) }

func open(path string, wait bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f, wait); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
