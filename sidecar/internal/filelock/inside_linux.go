package filelock

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// insideAt is beyond the largest file of SQLite (281 TB), and beyond its own lock bytes at 1 GiB.
const insideAt = 1 << 62

// lockInside uses locks of the open file description: unlike those of the process, which SQLite uses, they stay when the
// process closes another opening of the same file.
func lockInside(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: insideAt, Len: 1})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrHeld
	}
	return err
}

func mounted(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
