package process

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/adapters"
)

// Inside are the programs inside the hanse binary, NAME of self:NAME each.
func Inside() []string { return []string{"notes"} }

// command is the program's path and leading arguments.
func (a *Adapter) command(s *settings, name string) ([]string, error) {
	p, ok := s.Programs[name]
	if !ok {
		return nil, &adapters.Error{Class: adapters.InvalidInput, Message: fmt.Sprintf("the connection has no program %q", name)}
	}
	bad := func(format string, args ...any) ([]string, error) {
		return nil, &adapters.Error{
			Class: adapters.InvalidInput, Message: fmt.Sprintf("the connection: /programs/%s/command is no program: ", name) + fmt.Sprintf(format, args...),
		}
	}
	if app, ok := strings.CutPrefix(p.Command, "self:"); ok {
		if a.inside != nil && !slices.Contains(a.inside, app) {
			return bad("%s is not inside the hanse binary, which has self:%s", p.Command, strings.Join(a.inside, ", self:"))
		}
		return append(slices.Clone(a.self), app), nil
	}
	path := filepath.Clean(p.Command)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad("there is no file %s; write its whole path, for no other folder is searched", path)
	case err != nil:
		return bad("%v", err)
	case !info.Mode().IsRegular():
		return bad("%s is no file", path)
	case info.Mode()&0o111 == 0:
		return bad("%s cannot be executed: chmod +x", path)
	}
	return []string{path}, nil
}

// checkCommands finds every program that could not be started, before anybody orders it.
func (a *Adapter) checkCommands(s *settings) error {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(s.Programs)) {
		if _, err := a.command(s, name); err != nil {
			found = append(found, err.Error())
		}
	}
	if len(found) == 0 {
		return nil
	}
	return errors.New(strings.Join(found, " | "))
}
