package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/filelock"
)

// sqliteFile is the database file itself, whatever links and mounts lead to it. SQLite keeps its log (-wal) beside the name by
// which it opened the file, so there must be one name: through a second one its last commits would be lost.
type sqliteFile struct {
	// path has no symbolic links in it.
	path string
	was  os.FileInfo
	// beside and inside are the locks of an exclusive store: on a file of their own beside the real one, which keeps a second
	// store of this process from touching the database at all (closing any opening of it drops SQLite's locks), and on the
	// database, which a mount shows in another folder.
	beside, inside *os.File
}

// openSQLiteFile makes the file at path if there is none, readable by the owner only, finds the real one and, if exclusive,
// locks it.
func openSQLiteFile(path string, exclusive bool) (_ *sqliteFile, err error) {
	real, err := realFile(path)
	if err != nil {
		return nil, err
	}
	f := &sqliteFile{path: real}
	if f.was, err = soleName(real); err != nil {
		return nil, err
	}
	if !exclusive {
		return f, nil
	}
	if err := f.lock(); err != nil {
		err = errors.Join(err, f.close())
		if errors.Is(err, filelock.ErrHeld) {
			return nil, fmt.Errorf("%w (%s: %w)", ErrInUse, real, err)
		}
		return nil, err
	}
	return f, nil
}

func (f *sqliteFile) lock() (err error) {
	if f.beside, err = filelock.Try(f.path + ".lock"); err != nil {
		return err
	}
	if f.inside, err = os.OpenFile(f.path, os.O_RDWR, 0); err != nil {
		return err
	}
	if err := filelock.TryInside(f.inside); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if f.was, err = f.inside.Stat(); err != nil {
		return err
	}
	return f.moved()
}

// moved is what keeps a store from writing when its file is no longer the one at its path, by its only name: what it would
// commit would be nowhere after the next start.
func (f *sqliteFile) moved() error {
	now, err := os.Stat(f.path)
	if err == nil && os.SameFile(now, f.was) && filelock.Names(now) == 1 {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%s is another file now, or has another name beside it", f.path)
	}
	return fault.New(fault.Unavailable, "store_moved", "our database file was moved, removed, replaced or linked while in use").
		Do("put the same file back at its place, by one name; stop the sidecar before you move its files").
		Because(&outage{reason: "moved", err: err})
}

// close gives the locks back. Not before SQLite has closed the file: its locks end with any opening of it.
func (f *sqliteFile) close() error {
	var errs []error
	for _, lock := range []*os.File{f.inside, f.beside} {
		if lock != nil {
			errs = append(errs, lock.Close())
		}
	}
	return errors.Join(errs...)
}

// realFile is where the links in path lead, after making what is missing.
func realFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	// Never opened when it is there: see sqliteFile. The engine gives its own files (-wal, -shm) the mode of this one.
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		made, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return "", err
		}
		if err := made.Close(); err != nil {
			return "", err
		}
	}
	return filepath.EvalSymlinks(path)
}

// soleName refuses what has, or may have, another name than path.
func soleName(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the database %s is not a regular file; name a file, which is made if missing", path)
	}
	if filelock.Mounted(path) {
		return nil, fmt.Errorf("the database file %s is mounted by itself, and its log beside it would be left behind; "+
			"mount its folder", path)
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if with, err := os.Stat(path + suffix); err == nil && filelock.Names(with) > 1 {
			return nil, fmt.Errorf("the database file %s has %d names (hard links), and what is written by one is lost by another; "+
				"remove the others, which `find FOLDER -samefile %[1]s` lists, or replace them by copies made while the sidecar is stopped",
				path+suffix, filelock.Names(with))
		}
	}
	return info, nil
}
