//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// trusted refuses a file that nobody named and that somebody else may have put in our way: it says where the operator token is
// read and to which address it is sent.
func trusted(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("%s can be changed by everyone on this machine and was not named with -c", path)
	}
	link, err := os.Lstat(path)
	if err != nil {
		return err
	}
	// Who owns a link says where it leads.
	for _, info := range []fs.FileInfo{info, link} {
		owner, known := info.Sys().(*syscall.Stat_t)
		if known && owner.Uid != 0 && int64(owner.Uid) != int64(os.Geteuid()) {
			return fmt.Errorf("%s belongs to another user and was not named with -c", path)
		}
	}
	return nil
}
