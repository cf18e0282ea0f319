package process

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/internal/input"
)

// settings is a resolved connection.
type settings struct {
	Name         string             `json:"-"`
	DataDir      string             `json:"data_dir"`
	Programs     map[string]program `json:"programs"`
	Bind         string             `json:"bind"`
	PortFrom     int                `json:"port_from"`
	PortTo       int                `json:"port_to"`
	PublicURL    string             `json:"public_url"`
	Dev          bool               `json:"dev"`
	UIDBase      int64              `json:"uid_base"`
	UIDCount     int64              `json:"uid_count"`
	ReadySeconds int                `json:"ready_seconds"`
	StopSeconds  int                `json:"stop_seconds"`
	MemoryMiB    int64              `json:"memory_mib"`
	OpenFiles    uint64             `json:"open_files"`
	Processes    uint64             `json:"processes"`
	LogMaxMiB    int64              `json:"log_max_mib"`

	homes *homes
}

type program struct {
	Command string   `json:"command"`
	Args    []string `json:"args"`
}

// desired is a resolved Request.With.
type desired struct {
	Program   string            `json:"program"`
	Settings  map[string]string `json:"settings,omitempty"`
	MemoryMiB *int64            `json:"memory_mib,omitempty"`
}

func (a *Adapter) resolveConnection(c adapters.Connection) (*settings, error) {
	s := &settings{
		Name: c.Name, Bind: "127.0.0.1", PublicURL: "http://{bind}:{port}", UIDCount: 10000,
		ReadySeconds: 30, StopSeconds: 5, OpenFiles: 1024, Processes: 256, LogMaxMiB: 10,
		homes: &a.homes,
	}
	if err := a.connection.Decode(c.Config, s); err != nil {
		return nil, err
	}
	bad := func(format string, args ...any) (*settings, error) {
		return nil, &adapters.Error{Class: adapters.InvalidInput, Message: "the connection: " + fmt.Sprintf(format, args...)}
	}
	s.DataDir = filepath.Clean(s.DataDir)
	if net.ParseIP(s.Bind) == nil {
		return bad("/bind must be an IP address")
	}
	if (s.PortFrom == 0) != (s.PortTo == 0) || s.PortFrom > s.PortTo {
		return bad("/port_from and /port_to must come together and in order")
	}
	if u, err := url.Parse(s.publicURL("x", 1)); err != nil || u.Host == "" || u.User != nil {
		return bad("/public_url is not an address")
	}
	if !s.Dev && s.UIDBase == 0 {
		return bad("/uid_base is needed outside dev mode")
	}
	// 2^32-1 means "no change" to chown, and what follows wraps around to root.
	if int64(s.UIDBase)+int64(s.UIDCount) > 1<<32-2 {
		return bad("/uid_base and /uid_count reach beyond the last user id")
	}
	return s, nil
}

// place is where a request's instance is, whatever is asked of it.
func (a *Adapter) place(req adapters.Request) (*settings, error) {
	if err := input.CheckNames(req); err != nil {
		return nil, err
	}
	s, err := a.resolveConnection(req.Connection)
	if err != nil {
		return nil, err
	}
	a.remember(s)
	return s, nil
}

// resolve is place with what the request asks for.
func (a *Adapter) resolve(req adapters.Request) (*settings, desired, error) {
	var d desired
	if err := a.with.Decode(req.With, &d); err != nil {
		return nil, d, err
	}
	s, err := a.place(req)
	if err != nil {
		return nil, d, err
	}
	if _, ok := s.Programs[d.Program]; !ok {
		return nil, d, &adapters.Error{Class: adapters.InvalidInput, Message: fmt.Sprintf("with: /program: the connection has no program %q", d.Program)}
	}
	return s, d, nil
}

func (s *settings) publicURL(tag string, port int) string {
	host := s.Bind
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = "[" + host + "]"
	}
	return strings.TrimSuffix(strings.NewReplacer("{tag}", tag, "{bind}", host, "{port}", strconv.Itoa(port)).Replace(s.PublicURL), "/")
}

// localURL is where we reach a program.
func (s *settings) localURL(port int) string {
	host := s.Bind
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port))
}

func (s *settings) ready() time.Duration { return time.Duration(s.ReadySeconds) * time.Second }
func (s *settings) stop() time.Duration  { return time.Duration(s.StopSeconds) * time.Second }

// memory is the limit in bytes for a subscription, 0 for none.
func (s *settings) memory(d desired) uint64 {
	mib := s.MemoryMiB
	if d.MemoryMiB != nil {
		mib = *d.MemoryMiB
	}
	return uint64(mib) << 20
}

// ownUsers checks that programs can run under users of their own, and get to their files.
func (s *settings) ownUsers(command string) error {
	if s.Dev {
		return nil
	}
	if os.Geteuid() != 0 {
		return &adapters.Error{Class: adapters.Auth, Message: "a user for each subscription needs a sidecar that runs as root, or dev mode"}
	}
	for _, path := range []string{s.DataDir, filepath.Dir(command)} {
		for ; path != "/"; path = filepath.Dir(path) {
			info, err := os.Stat(path)
			if os.IsNotExist(err) {
				continue // made by us, open enough
			}
			if err != nil || info.Mode()&0o001 == 0 {
				return &adapters.Error{Class: adapters.InvalidInput, Message: "other users cannot walk through " + path + ": chmod o+x"}
			}
		}
	}
	return nil
}
