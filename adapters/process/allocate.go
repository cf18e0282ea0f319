//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

// lock takes a tag's lock, for this process and all others on the machine. It ends with the process at the latest.
func (s *settings) lock(ctx context.Context, tag string) (unlock func(), err error) {
	return s.flock(ctx, s.lockFile(tag))
}

func (s *settings) lockAllocation() (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.flock(ctx, filepath.Join(s.DataDir, "allocation.lock"))
}

func (s *settings) flock(ctx context.Context, path string) (unlock func(), err error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.DataDir, 0o711); err != nil {
		return nil, failed("make the folder", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return nil, failed("make the folder", err)
	}
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		f, err := tryLock(path)
		if err != nil {
			return nil, failed("lock", err)
		}
		if f != nil {
			return func() { _ = f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, &adapters.Error{Class: adapters.Retryable, Message: "another call about this tag is still running"}
		case <-retry.C:
		}
	}
}

// tryLock gives the locked file, or nil while another has it. Destroy removes the file while it holds the lock, so a lock
// counts only on the file that still has the name.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		named, err1 := os.Stat(path)
		held, err2 := f.Stat()
		if err1 == nil && err2 == nil && os.SameFile(named, held) {
			return f, nil
		}
	}
	_ = f.Close()
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
		return nil, err
	}
	return nil, nil
}

func (s *settings) lockFile(tag string) string { return filepath.Join(s.DataDir, "locks", tag) }

// tags are the subscriptions that have a folder, in no order.
func (s *settings) tags() ([]string, error) {
	dir, err := os.Open(s.instances())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("list the subscriptions", err)
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, failed("list the subscriptions", err)
	}
	var tags []string
	for _, e := range entries {
		if e.IsDir() {
			tags = append(tags, e.Name())
		}
	}
	return tags, nil
}

// allocate finds a port and a user id that nobody has. Under the allocation lock.
func (a *Adapter) allocate(s *settings) (port int, uid int64, err error) {
	ports, uids, err := a.index(s).taken(s)
	if err != nil {
		return 0, 0, err
	}
	if port, err = s.freePort(ports); err != nil {
		return 0, 0, err
	}
	if s.Dev {
		return port, -1, nil
	}
	uid, err = s.freeUID(uids)
	return port, uid, err
}

// anotherPort is one that nobody has. Under the allocation lock.
func (a *Adapter) anotherPort(s *settings) (int, error) {
	ports, _, err := a.index(s).taken(s)
	if err != nil {
		return 0, err
	}
	return s.freePort(ports)
}

func (s *settings) freePort(taken map[int]bool) (int, error) {
	if s.PortFrom == 0 {
		for range 100 {
			if port, free := s.free(0); free && !taken[port] {
				return port, nil
			}
		}
	} else {
		for port := s.PortFrom; port <= s.PortTo; port++ {
			if taken[port] {
				continue
			}
			if _, free := s.free(port); free {
				return port, nil
			}
		}
	}
	return 0, &adapters.Error{Class: adapters.Quota, Message: "no port is free"}
}

// free tries a port; 0 asks for any.
func (s *settings) free(port int) (int, bool) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.Bind, strconv.Itoa(port)))
	if err != nil {
		return 0, false
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, true
}

// freeUID goes round the range, so that an id comes back as late as possible: something of its last owner might be left
// in a place that we don't know.
func (s *settings) freeUID(taken map[int64]bool) (int64, error) {
	path := filepath.Join(s.DataDir, "next-uid.json")
	var next int64
	if err := readJSON(path, &next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, failed("read the next user id", err)
	}
	for i := range s.UIDCount {
		offset := (next + i) % s.UIDCount
		// One that somebody uses is not ours, whatever the configuration says.
		if uid := s.UIDBase + offset; !taken[uid] && len(ofUser(uid)) == 0 {
			if err := writeJSON(path, offset+1); err != nil {
				return 0, failed("write the next user id", err)
			}
			return uid, nil
		}
	}
	return 0, &adapters.Error{Class: adapters.Quota, Message: fmt.Sprintf("all %d user ids are taken", s.UIDCount)}
}
