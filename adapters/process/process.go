// Package process sells programs that run on this machine: one supervised program, folder, port and password per
// subscription, and outside dev mode one user id. Linux only.
//
//	data_dir/instances/TAG/instance.json   the record, written before anything runs; never readable by the program
//	                       run.json        the process: id, start time, boot; and when it ran
//	                       password        0600, owned by the program's user
//	                       home/           the program's own folder
//	                       log             what it prints
//	data_dir/locks/TAG                     flock that orders callers, of several sidecars too
//	data_dir/trash/                        what Destroy has not finished removing
//
// A program is started in a session of its own, without pipes to us, and outlives the sidecar. It is found again by
// process id, start time and boot id together with its user, in dev mode its tag in /proc/PID/environ; without run.json
// (we were killed right after the start) by a search through /proc. A process id alone is never trusted: it can be
// another's by now.
//
// Under systemd, KillMode=process lets programs outlive the sidecar's unit; without it they are started again.
package process

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/internal/input"
)

// Config of an Adapter; the zero value works.
type Config struct {
	// Connections whose programs Run watches from the start. Others are watched from their first request on.
	Connections []adapters.Connection
	// Self is the command that self:NAME stands for, without NAME; default this binary and "app".
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
	log        *slog.Logger
	now        func() time.Time
	rand       io.Reader
	with       *input.Schema
	connection *input.Schema
	http       *http.Client

	mu    sync.Mutex
	known map[string]*settings // by connection name and folder: what Run watches

	// tick and backoff pace Run.
	tick, backoff time.Duration
	// step is called between effects; tests kill the process there.
	step func(name string)
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Adapter, error) {
	a := &Adapter{
		self: cfg.Self, log: cfg.Logger, now: cfg.Now, rand: cfg.Rand, known: map[string]*settings{},
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
		a.self = []string{binary, "app"}
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
	if a.connection, err = input.Compile("the connection", connectionSchema); err != nil {
		return nil, err
	}
	for _, c := range cfg.Connections {
		s, err := a.resolveConnection(c)
		if err != nil {
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
		ConnectionSchema: json.RawMessage(connectionSchema),
		Outputs: []adapters.Output{
			{Name: "url", Title: "Address"},
			{Name: "password", Title: "Password", Sensitive: true},
		},
		Actions: []string{"suspend", "resume", "rotate", "restart"},
		Meters:  []adapters.Meter{{Name: "uptime", Unit: "s"}},
	}
}

// Validate checks the request, and that programs can be started at all.
func (a *Adapter) Validate(ctx context.Context, req adapters.Request) error {
	s, d, err := a.resolve(req)
	if err != nil {
		return err
	}
	if err := ended(ctx); err != nil {
		return err
	}
	command, err := a.command(s, d.Program)
	if err != nil {
		return err
	}
	return s.ownUsers(command[0])
}

// command is the program's path and leading arguments.
func (a *Adapter) command(s *settings, name string) ([]string, error) {
	p, ok := s.Programs[name]
	if !ok {
		return nil, &adapters.Error{Class: adapters.InvalidInput, Message: fmt.Sprintf("the connection has no program %q", name)}
	}
	if app, ok := strings.CutPrefix(p.Command, "self:"); ok {
		return append(slices.Clone(a.self), app), nil
	}
	path := filepath.Clean(p.Command)
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return nil, &adapters.Error{Class: adapters.InvalidInput, Message: fmt.Sprintf("the connection: /programs/%s/command is no program", name)}
	}
	return []string{path}, nil
}

// Apply starts the program, or restarts it when its request has changed, and waits until it is ready.
func (a *Adapter) Apply(ctx context.Context, req adapters.Request) (adapters.Result, error) {
	var result adapters.Result
	err := a.locked(ctx, req, func(s *settings, d desired, in *instance) error {
		command, err := a.command(s, d.Program)
		if err != nil {
			return err
		}
		if err := s.ownUsers(command[0]); err != nil {
			return err
		}
		if err := a.record(s, d, in, req); err != nil {
			return err
		}
		a.step("recorded")
		if !in.record.Suspended {
			if err := a.runs(ctx, in); err != nil {
				return err
			}
		}
		result, err = in.result()
		return err
	})
	return result, err
}

// record brings the durable record to the request.
func (a *Adapter) record(s *settings, d desired, in *instance, req adapters.Request) error {
	if !in.exists {
		return a.create(s, d, in, req)
	}
	r := in.record
	switch {
	case req.Generation < r.Generation:
		return &adapters.Error{Class: adapters.Conflict, Message: fmt.Sprintf("generation %d is older than %d, which is applied", req.Generation, r.Generation)}
	case req.Generation == r.Generation && in.wants(d):
		return nil
	}
	r.Generation, r.With = req.Generation, d
	return in.save(r)
}

// Observe looks at record, process and GET /healthz.
func (a *Adapter) Observe(ctx context.Context, req adapters.Request) (adapters.Observation, error) {
	var seen adapters.Observation
	s, d, err := a.resolve(req)
	if err != nil {
		return seen, err
	}
	if err := ended(ctx); err != nil {
		return seen, err
	}
	in, err := a.load(s, req)
	if err != nil || !in.exists {
		return seen, err
	}
	seen.Exists, seen.Suspended = true, in.record.Suspended
	if in.record.Generation != req.Generation || !in.wants(d) {
		seen.Drift = append(seen.Drift, fmt.Sprintf("generation %d is applied instead of %d", in.record.Generation, req.Generation))
	}
	if in.record.Destroying {
		seen.Drift = append(seen.Drift, "it is being removed")
		return seen, nil
	}
	p, alive := in.find()
	switch {
	case seen.Suspended && alive:
		seen.Drift = append(seen.Drift, "the program runs although it is suspended")
	case seen.Suspended:
	case !alive:
		seen.Drift = append(seen.Drift, "the program does not run")
	default:
		if in.run.Digest != s.digest(in.record) || in.run.PID != p.pid {
			seen.Drift = append(seen.Drift, "the program runs with other settings")
		}
		seen.Ready = a.healthy(ctx, s, in.record.Port)
	}
	return seen, nil
}

// Act suspends (stops, data stays), resumes, restarts, or rotates the password.
func (a *Adapter) Act(ctx context.Context, req adapters.Request, action string) (adapters.Result, error) {
	var result adapters.Result
	if !slices.Contains(a.Describe().Actions, action) {
		return result, &adapters.Error{Class: adapters.InvalidInput, Message: fmt.Sprintf("no action %q", action)}
	}
	err := a.locked(ctx, req, func(_ *settings, _ desired, in *instance) error {
		if !in.exists {
			return &adapters.Error{Class: adapters.Conflict, Message: "there is no program of this tag"}
		}
		if err := a.act(ctx, in, action); err != nil {
			return err
		}
		var err error
		result, err = in.result()
		return err
	})
	return result, err
}

func (a *Adapter) act(ctx context.Context, in *instance, action string) error {
	r := in.record
	switch action {
	case "suspend":
		r.Suspended = true
	case "resume":
		r.Suspended = false
	case "rotate":
		if err := in.writePassword(a.password()); err != nil {
			return err
		}
		r.PasswordRevision++
	case "restart":
		if err := a.stop(ctx, in); err != nil {
			return err
		}
	}
	if r.Suspended != in.record.Suspended || r.PasswordRevision != in.record.PasswordRevision {
		if err := in.save(r); err != nil {
			return err
		}
	}
	if r.Suspended {
		return a.stop(ctx, in)
	}
	return a.runs(ctx, in)
}

// Destroy stops the program and removes all it had.
func (a *Adapter) Destroy(ctx context.Context, req adapters.Request) error {
	return a.locked(ctx, req, func(_ *settings, _ desired, in *instance) error {
		if !in.exists {
			return in.discard() // what a create left that never became a record
		}
		if !in.record.Destroying { // from here on Run does not start it again
			r := in.record
			r.Destroying = true
			if err := in.save(r); err != nil {
				return err
			}
		}
		if err := a.stop(ctx, in); err != nil {
			return err
		}
		a.step("stopped")
		if err := in.discard(); err != nil {
			return err
		}
		_ = os.Remove(in.s.lockFile(in.tag))
		return nil
	})
}

// Collect counts the seconds in which the program ran.
func (a *Adapter) Collect(ctx context.Context, req adapters.Request, from, to time.Time) ([]adapters.MeterPoint, error) {
	var points []adapters.MeterPoint
	err := a.locked(ctx, req, func(_ *settings, _ desired, in *instance) error {
		if !in.exists {
			return nil
		}
		if _, alive := in.find(); alive {
			if err := in.touch(a.now()); err != nil {
				return err
			}
		}
		points = []adapters.MeterPoint{{
			Meter: "uptime", Unit: "s", From: from, To: to, Value: in.run.seconds(from, to),
			DedupeKey: fmt.Sprintf("%s/uptime/%d-%d", req.Tag, from.UnixNano(), to.UnixNano()),
		}}
		return nil
	})
	return points, err
}

// Close releases idle connections; the programs go on.
func (a *Adapter) Close() error {
	a.http.CloseIdleConnections()
	return nil
}

// locked runs fn on the instance as it is, under the tag's lock.
func (a *Adapter) locked(ctx context.Context, req adapters.Request, fn func(*settings, desired, *instance) error) error {
	s, d, err := a.resolve(req)
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx, req.Tag)
	if err != nil {
		return err
	}
	defer unlock()
	in, err := a.load(s, req)
	if err != nil {
		return err
	}
	return fn(s, d, in)
}

func ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return &adapters.Error{Class: adapters.Retryable, Message: "the call's time is over"}
	}
	return nil
}

// failed is an error of this machine's files or processes. Whatever happened, the next call looks first.
func failed(doing string, err error) error {
	return &adapters.Error{Class: adapters.Retryable, Message: doing + ": " + err.Error(), After: 5 * time.Second, Err: err}
}
