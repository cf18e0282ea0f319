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

// TryInside takes a lock that rests on the open file itself, whatever name or mount it was opened by, or returns ErrHeld. It is
// beside the locks that SQLite takes on its files: on one byte far behind all that is read and written. Closing this f alone
// gives it back. Systems without such locks (Linux has them) refuse with errors.ErrUnsupported.
func TryInside(f *os.File) error {
	if err := lockInside(f); err != nil {
		return fmt.Errorf("lock inside %s: %w", f.Name(), err)
	}
	return nil
}

// Names is the number of hard links to a file, 1 where the system does not tell.
func Names(info os.FileInfo) int { return names(info) }

// Mounted reports whether the file at path is a mount by itself, apart from its folder; false where the system does not tell.
func Mounted(path string) bool { return mounted(path) }
