//go:build linux

package process

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/adapters"
)

// List implements adapters.Lister by the folders of the connection's data folder. One whose record was never written says not whose it is.
func (a *Adapter) List(ctx context.Context, c adapters.Connection, prefix, after string, limit int) ([]adapters.Listed, error) {
	s, err := a.resolveConnection(c)
	if err != nil {
		return nil, err
	}
	tags, err := s.tags()
	if err != nil {
		return nil, err
	}
	slices.Sort(tags)
	var all []adapters.Listed
	for _, tag := range tags {
		if err := ended(ctx); err != nil {
			return nil, err
		}
		if tag <= after || !strings.HasPrefix(tag, prefix) {
			continue
		}
		if len(all) == limit {
			break
		}
		l := adapters.Listed{Tag: tag}
		var r record
		switch err := readJSON(filepath.Join(s.instances(), tag, "instance.json"), &r); {
		case errors.Is(err, fs.ErrNotExist):
			if _, err := os.Lstat(filepath.Join(s.instances(), tag)); err != nil { // it went while we looked
				continue
			}
		case err != nil:
			return nil, failed("read the record", err)
		default:
			l.Owner = adapters.OwnerOf(r.Tenant, tag)
		}
		all = append(all, l)
	}
	return all, nil
}
