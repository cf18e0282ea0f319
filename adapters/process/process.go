// Package process sells programs that run on this machine: one supervised program, folder, port and password per
// subscription, and outside dev mode one user id. Linux only: elsewhere the adapter describes itself and refuses all calls.
//
//	data_dir/instances/TAG/instance.json   the record, written before anything runs; never readable by the program
//	                       run.json        the process: id, start time, boot; and when it ran
//	                       password        0600, owned by the program's user
//	                       home/           the program's own folder
//	                       log             what it prints
//	data_dir/locks/TAG                     flock that orders callers, of several sidecars too
//	data_dir/allocation.lock, .mark        who gives ports and user ids, and that somebody did
//	data_dir/trash/                        what Destroy has not finished removing
//
// A program is started in a session of its own, without pipes to us, and outlives the sidecar. It is found again by
// process id, start time and boot id together with its user, in dev mode its tag in /proc/PID/environ; without run.json
// (we were killed right after the start) by a search through /proc. A process id alone is never trusted: it can be
// another's by now.
//
// An order costs the same whatever runs already: records are remembered, and of other processes no more than their owner is looked
// at. Of what is remembered nothing is believed that the folder or the kernel does not confirm.
//
// Under systemd, KillMode=process lets programs outlive the sidecar's unit; without it they are started again.
package process

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/internal/input"
)

// Config of an Adapter; the zero value works.
type Config struct {
	// Connections whose programs Run watches from the start. Others are watched from their first request on.
	Connections []adapters.Connection
	// Self is the command that self:NAME stands for, without NAME, and knows every NAME that it is asked for; default this binary and
	// "app", which has those of Inside.
	Self []string
	// Logger; default none.
	Logger *slog.Logger
	// Now; default time.Now.
	Now func() time.Time
	// Rand gives the customers' passwords; default crypto/rand.
	Rand io.Reader
}

// Adapter runs programs.
type Adapter struct {
	self       []string
	inside     []string // nil where only the host knows what its Self has
	log        *slog.Logger
	now        func() time.Time
	rand       io.Reader
	with       *input.Schema
	connection *input.Schema
	http       *http.Client

	mu      sync.Mutex
	known   map[string]*settings // by connection name and folder: what Run watches
	indexes map[string]*index    // by data folder
	homes   homes

	// tick and backoff pace Run.
	tick, backoff time.Duration
	// step is called between effects; tests kill the process there.
	step func(name string)
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Adapter, error) {
	a := &Adapter{
		self: cfg.Self, log: cfg.Logger, now: cfg.Now, rand: cfg.Rand, known: map[string]*settings{}, indexes: map[string]*index{},
		tick: time.Second, backoff: time.Second, step: func(string) {},
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.rand == nil {
		a.rand = rand.Reader
	}
	if len(a.self) == 0 {
		binary, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find own binary: %w", err)
		}
		a.self, a.inside = []string{binary, "app"}, Inside()
	}
	// No proxy, no connection kept: the only server asked is a program of ours.
	a.http = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 2 * time.Second},
		Timeout:       2 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var err error
	if a.with, err = input.Compile("with", withSchema); err != nil {
		return nil, err
	}
	if a.connection, err = input.Compile("the connection", ConnectionSchema); err != nil {
		return nil, err
	}
	for _, c := range cfg.Connections {
		s, err := a.resolveConnection(c)
		if err != nil {
			return nil, fmt.Errorf("connection %s: %w", c.Name, err)
		}
		if err := a.checkCommands(s); err != nil {
			return nil, fmt.Errorf("connection %s: %w", c.Name, err)
		}
		for _, other := range a.known {
			if !s.Dev && !other.Dev && s.DataDir != other.DataDir && s.UIDBase < other.UIDBase+other.UIDCount && other.UIDBase < s.UIDBase+s.UIDCount {
				return nil, fmt.Errorf("connections %s and %s share user ids: their programs could not be told apart", c.Name, other.Name)
			}
		}
		a.remember(s)
	}
	return a, nil
}

func (a *Adapter) remember(s *settings) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[s.Name+"\n"+s.DataDir] = s
}

func (a *Adapter) Describe() adapters.Description {
	return adapters.Description{
		Name:             "process",
		Tier:             adapters.TierA,
		WithSchema:       json.RawMessage(withSchema),
		ConnectionSchema: json.RawMessage(ConnectionSchema),
		Outputs: []adapters.Output{
			{Name: "url", Title: "Address"},
			{Name: "password", Title: "Password", Sensitive: true},
		},
		Actions: []string{"suspend", "resume", "rotate", "restart"},
		Meters:  []adapters.Meter{{Name: "uptime", Unit: "s"}},
	}
}

// WithSchema implements adapters.Narrower: a connection names its programs.
func (a *Adapter) WithSchema(c adapters.Connection) (json.RawMessage, error) {
	s, err := a.resolveConnection(c)
	if err != nil {
		return nil, err
	}
	var schema map[string]any
	if err := json.Unmarshal([]byte(withSchema), &schema); err != nil {
		return nil, fmt.Errorf("own schema: %w", err)
	}
	schema["properties"].(map[string]any)["program"] = map[string]any{"enum": slices.Sorted(maps.Keys(s.Programs))}
	return json.Marshal(schema)
}

// Close releases idle connections; the programs go on.
func (a *Adapter) Close() error {
	a.http.CloseIdleConnections()
	return nil
}
