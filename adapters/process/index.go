//go:build linux

package process

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// stampOf is the record's stamp; the zero stamp where there is none.
func stampOf(s *settings, tag string) (stamp, error) {
	var st syscall.Stat_t
	err := syscall.Lstat(filepath.Join(s.instances(), tag, "instance.json"), &st)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, failed("look at the record", err)
	}
	return stamp{st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}, nil
}

// index of a connection's data folder.
func (a *Adapter) index(s *settings) *index {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.indexes[s.DataDir]
	if x == nil {
		x = &index{claims: map[string]claim{}}
		a.indexes[s.DataDir] = x
	}
	return x
}

func markFile(s *settings) string { return filepath.Join(s.DataDir, "allocation.mark") }

// about says that a tag's claim will be written: to all others, and to our own next use. Under the allocation lock.
func (x *index) about(s *settings, tag string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	mark := rand.Text()
	// Torn by a crash it is nobody's mark, and that is enough.
	if err := os.WriteFile(markFile(s), []byte(mark), 0o600); err != nil {
		return failed("mark the allocation", err)
	}
	delete(x.claims, tag)
	x.mark = mark
	return nil
}

// taken are the ports and user ids that records name. Under the allocation lock nobody adds to them.
func (x *index) taken(s *settings) (ports map[int]bool, uids map[int64]bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	tags, err := s.tags()
	if err != nil {
		return nil, nil, err
	}
	mark, err := os.ReadFile(markFile(s))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, failed("read the mark of the allocation", err)
	}
	same := string(mark) == x.mark
	claims := make(map[string]claim, len(tags))
	ports, uids = make(map[int]bool, len(tags)), make(map[int64]bool, len(tags))
	for _, tag := range tags {
		c, known := x.claims[tag]
		if !known || !same {
			if c, err = x.claim(s, tag); err != nil {
				return nil, nil, err
			}
		}
		if c.stamp != (stamp{}) {
			claims[tag] = c
			ports[c.port], uids[c.uid] = true, true
		}
	}
	x.claims, x.mark = claims, string(mark)
	return ports, uids, nil
}

// claim is the tag's, read if its record was written since.
func (x *index) claim(s *settings, tag string) (claim, error) {
	now, err := stampOf(s, tag)
	if have := x.claims[tag]; err != nil || now == (stamp{}) || now == have.stamp {
		return claim{now, have.port, have.uid}, err
	}
	var r record
	err = readJSON(filepath.Join(s.instances(), tag, "instance.json"), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return claim{}, nil
	}
	if err != nil {
		return claim{}, failed("read the record", err)
	}
	// Written again while it was read, it is read again next time: the stamp is the older one.
	return claim{now, r.Port, r.UID}, nil
}
