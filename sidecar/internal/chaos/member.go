package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

const (
	// startTime bounds how long a member may take to be ready, on a busy machine; stopTime how long to drain.
	startTime = 90 * time.Second
	stopTime  = 20 * time.Second
	// portalName is how the portal of every member is called.
	portalName = "shop"
)

// member is one provider: a folder, one or more processes of the real binary, and the proxy at its origin.
type member struct {
	name, origin, binary, database string
	// plant is the bug that all its processes and commands have; "" is none.
	plant    plant.Bug
	place    place
	proxy    *proxy
	replicas []*replica

	// life is held by whoever stops, starts or exchanges the member.
	life sync.Mutex
	mu   sync.Mutex
	dir  string // holds data and hanse.yaml
	key  string // the portal's
	// generation counts folders: each way back makes a new one.
	generation int
	offset     time.Duration
	turn       atomic.Uint64
	edition    map[string]int
	held       bool // not on sale now
	// variables are what all its processes have in their environment, beside what they are started with.
	variables []string
	// died is told of a process that ended by itself.
	died func()
}

// place is what a member's configuration says of this machine.
type place struct {
	root, ca, platform, redis, dsn string
	port                           int
}

// replica is one process of a member.
type replica struct {
	child
	portal, operator, peer, ops string
	// wanted says that it is to run: whoever finds it dead starts it.
	wanted atomic.Bool
	mu     sync.Mutex
	env    []string
}

// result is a command's answer.
type result struct {
	out  string
	code int
}

func (m *member) folder() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dir
}

func (m *member) configFile() string { return filepath.Join(m.folder(), "hanse.yaml") }

// configure writes the member's first configuration.
func (m *member) configure() error {
	var more strings.Builder
	if m.place.dsn != "" {
		fmt.Fprintf(&more, "database: {driver: postgres, dsn: %q}\nredis: {addresses: [%q]}\n", m.place.dsn, m.place.redis)
	}
	if len(offers[m.name]) > 0 {
		more.WriteString("adapters:\n  connections:\n")
		for _, tier := range []string{"a", "b", "c"} {
			fmt.Fprintf(&more, "    rig-%s: {adapter: rig-%s, config: {url: %q}}\n", tier, tier, m.place.platform)
		}
	}
	r := m.replicas[0]
	yaml := fmt.Sprintf(`origin: %s
dev: true
dev_ca_dir: %q
data_dir: data
member: {name: %s, legal_name: %s Ltd, country: DE}
listen: {peer: %q, portal: %q, operator: %q, ops: %q}
limits: {rate_per_second: 10000, rate_burst: 10000}
%s`, m.origin, m.place.ca, m.name, m.name, r.peer, r.portal, r.operator, r.ops, more.String())
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(m.configFile(), []byte(yaml), 0o600)
}

// launch starts a replica with more variables, and does not wait until it is ready.
func (m *member) launch(r *replica, env ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.env = env
	config := m.configFile()
	r.start = func() *exec.Cmd {
		cmd := exec.Command(m.binary, "serve", "-c", config)
		cmd.Env = append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(),
			"HANSE_LISTEN_PEER=" + r.peer, "HANSE_LISTEN_PORTAL=" + r.portal, "HANSE_LISTEN_OPERATOR=" + r.operator, "HANSE_LISTEN_OPS=" + r.ops,
		}, append(plant.Environ(m.plant), env...)...)
		m.mu.Lock()
		defer m.mu.Unlock()
		cmd.Env = append(cmd.Env, m.variables...)
		if m.offset != 0 {
			cmd.Env = append(cmd.Env, "HANSE_DEV_CLOCK_OFFSET="+m.offset.String())
		}
		return cmd
	}
	r.wanted.Store(true)
	return r.child.launch()
}

// watch starts processes again that died, until ctx ends.
func (m *member) watch(ctx context.Context, r *replica) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if r.wanted.Load() && !r.running() && m.life.TryLock() {
			if r.wanted.Load() && !r.running() {
				m.died()
				_ = m.launch(r)
			}
			m.life.Unlock()
		}
	}
}

// start starts all replicas that do not run and waits until they are ready.
func (m *member) start(ctx context.Context) error {
	for _, r := range m.replicas {
		if !r.running() {
			if err := m.launch(r); err != nil {
				return err
			}
		}
	}
	return m.ready(ctx)
}

// right starts a member again whose clock is wrong, with one that is right, and waits until it is ready.
func (m *member) right(ctx context.Context) error {
	m.life.Lock()
	defer m.life.Unlock()
	m.mu.Lock()
	skewed := m.offset != 0
	m.offset = 0
	m.mu.Unlock()
	if skewed {
		m.stop()
	}
	return m.start(ctx)
}

func (m *member) stop() {
	var all sync.WaitGroup
	for _, r := range m.replicas {
		r.wanted.Store(false)
		all.Go(func() { r.child.stop(stopTime) })
	}
	all.Wait()
}

// halt kills all that runs, and nobody starts it again before the member is put back.
func (m *member) halt() {
	m.life.Lock()
	defer m.life.Unlock()
	m.kill()
}

func (m *member) kill() {
	for _, r := range m.replicas {
		r.wanted.Store(false)
		r.child.kill()
	}
}

// ready waits until every replica says that it is; one that died is started again.
func (m *member) ready(ctx context.Context) error {
	for _, r := range m.replicas {
		err := within(ctx, startTime, func() error {
			if !r.running() {
				m.died()
				return errors.Join(errors.New("it ended"), m.launch(r))
			}
			return answers(ctx, "http://"+r.ops+"/readyz")
		})
		if err != nil {
			return fmt.Errorf("%s is not ready: %w", m.name, err)
		}
	}
	return nil
}

func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", url, res.StatusCode)
	}
	return nil
}

// hanse runs a command of the same binary.
func (m *member) hanse(ctx context.Context, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, m.binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}, plant.Environ(m.plant)...)
	err := cmd.Run()
	done := result{out: out.String(), code: cmd.ProcessState.ExitCode()}
	if err != nil {
		return done, fmt.Errorf("%s: hanse %s: %w: %s", m.name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return done, nil
}

// operate runs one of the operator's commands.
func (m *member) operate(ctx context.Context, args ...string) (string, error) {
	done, err := m.hanse(ctx, append(args, "-c", m.configFile())...)
	return done.out, err
}

// openPortal makes the portal's key, which a new database does not have.
func (m *member) openPortal(ctx context.Context) error {
	out, err := m.operate(ctx, "portal", "add", portalName, "-o", "json")
	if err != nil {
		return err
	}
	var added struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal([]byte(out), &added); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.key = added.Key
	return nil
}

// some is one of the member's replicas, in turn.
func (m *member) some() *replica { return m.replicas[m.turn.Add(1)%uint64(len(m.replicas))] }

func (m *member) portalKey() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.key
}

// token is the operator's, which a folder that was made again has anew.
func (m *member) token() string {
	raw, _ := os.ReadFile(filepath.Join(m.folder(), "data", "operator.token"))
	return strings.TrimSpace(string(raw))
}

// bearer puts a key on each call.
func bearer(key string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", "Bearer "+key)
			return next(ctx, req)
		}
	}))
}

// client makes one for a surface of some replica.
func portalOf[C any](m *member, make func(connect.HTTPClient, string, ...connect.ClientOption) C) C {
	return make(http.DefaultClient, "http://"+m.some().portal, bearer(m.portalKey()))
}

func operatorOf[C any](m *member, make func(connect.HTTPClient, string, ...connect.ClientOption) C) C {
	return make(http.DefaultClient, "http://"+m.some().operator, bearer(m.token()))
}

// next is a new, empty folder for the member.
func (m *member) next() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation++
	return filepath.Join(m.place.root, m.name, fmt.Sprint(m.generation))
}

func (m *member) moveTo(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dir = dir
}

// copyFolder copies what a stopped member has, readable for its user alone.
func copyFolder(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		mode := fs.FileMode(0o600)
		if err == nil && e.IsDir() {
			mode = 0o700
		}
		return errors.Join(err, os.Chmod(path, mode))
	})
}
