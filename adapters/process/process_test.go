//go:build linux

package process

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/adapterstest"
	"github.com/hanse-market/hanse/adapters/process/notes"
)

// The test binary stands in for the hanse binary: "app notes" is the notebook. "apply" applies a request read from its
// input and answers, or dies at a step: the sidecar that gets killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "app" {
		os.Exit(app(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == "apply" {
		os.Exit(applyAndDie(os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

func app(name string) int {
	switch name {
	case "notes":
		return notes.Main(context.Background(), nil, os.Getenv, os.Stderr)
	case "mute": // never ready
		select {}
	case "crash": // ends at once
		return 3
	case "stubborn": // ready, deaf to SIGTERM, with a child of its own
		child := exec.Command(os.Args[0], "app", "mute")
		if err := child.Start(); err != nil {
			return 1
		}
		return stubborn()
	}
	return 2
}

func stubborn() int {
	ignore := make(chan os.Signal, 1)
	notifyTerm(ignore)
	server := &http.Server{Addr: os.Getenv("HANSE_BIND") + ":" + os.Getenv("HANSE_PORT"), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	})}
	_ = server.ListenAndServe()
	return 1
}

func applyAndDie(step string) int {
	var req adapters.Request
	if err := json.NewDecoder(os.Stdin).Decode(&req); err != nil {
		return 1
	}
	a, err := New(Config{})
	if err != nil {
		return 1
	}
	a.step = func(name string) {
		if name == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	result, err := a.Apply(context.Background(), req)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = json.NewEncoder(os.Stdout).Encode(result)
	select {} // until the test kills us
}

// site is a data folder that every user can walk to, with a copy of this binary that every user can run.
type site struct {
	dir    string
	binary string
	config map[string]any
}

func newSite(t testing.TB, dev bool) site {
	t.Helper()
	dir, err := os.MkdirTemp("", "hanse-process-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	s := site{dir: dir, binary: filepath.Join(dir, "hanse")}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.binary, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	s.config = map[string]any{
		"data_dir": filepath.Join(dir, "data"), "dev": dev, "stop_seconds": 3,
		"programs": map[string]any{
			"notes": map[string]any{"command": "self:notes"}, "mute": map[string]any{"command": "self:mute"},
			"crash": map[string]any{"command": "self:crash"}, "stubborn": map[string]any{"command": "self:stubborn"},
		},
	}
	if !dev {
		s.config["uid_base"] = 200000
	}
	return s
}

func (s site) adapter(t testing.TB, change ...func(*Config)) *Adapter {
	t.Helper()
	cfg := Config{Self: []string{s.binary, "app"}}
	for _, f := range change {
		f(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func (s site) request(t testing.TB, tenant, program string) adapters.Request {
	t.Helper()
	sum := sha256.Sum256([]byte(s.dir + t.Name() + tenant + program)) // other runs of this test have other tags
	req := adapters.Request{
		Tag: "h" + hex.EncodeToString(sum[:12]), Tenant: tenant, Generation: 1,
		Connection: adapters.Connection{Name: "apps", Config: s.config},
		With:       map[string]any{"program": program},
	}
	t.Cleanup(func() {
		if err := s.adapter(t).Destroy(context.Background(), req); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return req
}

func (s site) instance(t *testing.T, req adapters.Request) *instance {
	t.Helper()
	a := s.adapter(t)
	resolved, _, err := a.resolve(req)
	if err != nil {
		t.Fatal(err)
	}
	in, err := open(resolved, req.Tag)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// processes are the living ones with the tag in their environment, seen from outside.
func processes(tag string) []int {
	var found []int
	for _, pid := range pids() {
		if st, err := readStat(pid); err == nil && !st.dead() && carries(pid, "HANSE_TAG="+tag) {
			found = append(found, pid)
		}
	}
	return found
}

func TestConformanceInDevMode(t *testing.T) {
	s := newSite(t, true)
	adapterstest.Run(t, func(t *testing.T) adapterstest.Fixture { return s.fixture(t) })
}

func TestConformanceWithUsersOfTheirOwn(t *testing.T) {
	needRoot(t)
	s := newSite(t, false)
	adapterstest.Run(t, func(t *testing.T) adapterstest.Fixture { return s.fixture(t) })
}

// needRoot: only root can give programs users of their own. CI runs as root.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to give programs users of their own; run: sudo go test ./adapters/process")
	}
}

func (s site) fixture(t *testing.T) adapterstest.Fixture {
	log := &adapterstest.Log{}
	logged := func(c *Config) { c.Logger = log.Logger() }
	f := adapterstest.Fixture{
		Adapter: s.adapter(t, logged),
		Reopen:  func(t *testing.T) adapters.Adapter { return s.adapter(t, logged) },
		A:       s.request(t, "tenant-a", "notes"),
		B:       s.request(t, "tenant-b", "notes"),
		Changed: map[string]any{"program": "notes", "settings": map[string]any{"title": "Changed title"}},
		Stalled: s.request(t, "tenant-a", "mute"),
		Logs:    log,
		Probe:   useNotes,
	}
	f.Count = func(context.Context) (int, error) {
		count := 0
		for _, req := range []adapters.Request{f.A, f.B} {
			found := processes(req.Tag)
			_, err := os.Stat(filepath.Join(s.dir, "data", "instances", req.Tag))
			if len(found) > 1 || (len(found) == 0) != os.IsNotExist(err) {
				return 0, fmt.Errorf("%s: processes %v, folder %v", req.Tag, found, err)
			}
			count += len(found)
			graves, _ := filepath.Glob(filepath.Join(s.dir, "data", "trash", req.Tag+"*"))
			if len(graves) > 0 {
				return 0, fmt.Errorf("data left behind: %v", graves)
			}
		}
		return count, nil
	}
	f.Isolated = func(ctx context.Context, mine, other adapters.Result) error {
		stolen := adapters.Result{Outputs: other.Outputs, Sensitive: mine.Sensitive}
		if err := useNotes(ctx, stolen); err == nil {
			return fmt.Errorf("one's password opens the other")
		} else if !strings.Contains(err.Error(), "401") {
			return err
		}
		return nil
	}
	f.IsChanged = func(ctx context.Context, req adapters.Request) error {
		in := s.instance(t, req)
		page, err := fetch(ctx, in.s.localURL(in.record.Port)+"/login")
		if err == nil && !strings.Contains(page, "Changed title") {
			err = fmt.Errorf("the page is %s", page)
		}
		return err
	}
	f.Drift = func(ctx context.Context) error {
		for found := processes(f.A.Tag); len(found) > 0 && ctx.Err() == nil; found = processes(f.A.Tag) {
			for _, pid := range found {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
					return err
				}
				// A process that is on its way out has no environment any more, and is there nevertheless.
				for st, err := readStat(pid); err == nil && !st.dead() && ctx.Err() == nil; st, err = readStat(pid) {
					time.Sleep(time.Millisecond)
				}
			}
		}
		return ctx.Err()
	}
	return f
}

func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return string(raw), err
}

// useNotes writes a note with what the customer received, and reads it back.
func useNotes(ctx context.Context, r adapters.Result) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	call := func(method, body string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, method, r.Outputs["url"]+"/api/notes", strings.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+r.Sensitive["password"])
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode/100 != 2 {
			err = fmt.Errorf("%s: %s", resp.Status, raw)
		}
		return string(raw), err
	}
	if _, err := call("POST", `{"title":"used for real"}`); err != nil {
		return err
	}
	list, err := call("GET", "")
	if err == nil && !strings.Contains(list, "used for real") {
		err = fmt.Errorf("the note is not there: %s", list)
	}
	return err
}

// sidecar is a process that applies and holds the answer, or dies at a step.
func (s site) sidecar(t *testing.T, req adapters.Request, step string) (answer []byte, kill func()) {
	t.Helper()
	raw, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s.binary, "apply", step)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(raw), &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 64<<10)
	n, err := out.Read(buffer)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	}
	if n == 0 { // it died
		kill()
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
			t.Fatalf("the sidecar ended by itself: %v\n%s", cmd.ProcessState, stderr.String())
		}
	}
	return buffer[:n], kill
}

func TestProgramsOutliveTheKilledSidecar(t *testing.T) {
	for _, dev := range []bool{true, false} {
		t.Run(fmt.Sprintf("dev mode %v", dev), func(t *testing.T) {
			if !dev {
				needRoot(t)
			}
			s := newSite(t, dev)
			req := s.request(t, "tenant-a", "notes")
			answer, kill := s.sidecar(t, req, "never")
			var first adapters.Result
			if err := json.Unmarshal(answer, &first); err != nil {
				t.Fatalf("%v in %s", err, answer)
			}
			before := processes(req.Tag)
			kill()
			if err := useNotes(t.Context(), first); err != nil {
				t.Errorf("after the sidecar was killed: %v", err)
			}
			a := s.adapter(t)
			if seen, err := a.Observe(t.Context(), req); err != nil || !seen.Ready || len(seen.Drift) > 0 {
				t.Errorf("observe: %+v, %v", seen, err)
			}
			again, err := a.Apply(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if again.Outputs["url"] != first.Outputs["url"] || again.Sensitive["password"] != first.Sensitive["password"] {
				t.Error("the access changed")
			}
			if after := processes(req.Tag); len(before) != 1 || !slices.Equal(before, after) {
				t.Errorf("processes %v, then %v", before, after)
			}
		})
	}
}

// TestApplyStartsAProgramThatEndsWhileItLooks: what is found alive may be on its way out.
func TestApplyStartsAProgramThatEndsWhileItLooks(t *testing.T) {
	s := newSite(t, true)
	req := s.request(t, "tenant-a", "notes")
	a := s.adapter(t)
	if _, err := a.Apply(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	found := processes(req.Tag)
	if len(found) != 1 {
		t.Fatalf("processes %v", found)
	}
	// Stopped, it lives and answers nobody; until it is, which takes each of its threads a moment, it may.
	if err := syscall.Kill(found[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); !stopped(t, found[0]); time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("it does not stop")
		}
	}
	timer := time.AfterFunc(500*time.Millisecond, func() { _ = syscall.Kill(found[0], syscall.SIGKILL) })
	defer timer.Stop()
	result, err := a.Apply(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := useNotes(t.Context(), result); err != nil {
		t.Error(err)
	}
	if now := processes(req.Tag); len(now) != 1 || now[0] == found[0] {
		t.Errorf("processes %v, before %v", now, found)
	}
}

// stopped reports whether all threads of a process are.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, thread := range threads {
		raw, err := os.ReadFile(thread)
		if err != nil {
			continue // it ended
		}
		if st, err := parseStat(string(raw)); err != nil || st.state != 'T' {
			return false
		}
	}
	return true
}

func TestASidecarKilledAtAnyStepLeavesOneProgram(t *testing.T) {
	s := newSite(t, true)
	for _, step := range []string{"prepared", "recorded", "started"} {
		t.Run("killed when "+step, func(t *testing.T) {
			req := s.request(t, "tenant-a", "notes")
			if answer, _ := s.sidecar(t, req, step); len(answer) > 0 {
				t.Fatalf("it answered %s", answer)
			}
			result, err := s.adapter(t).Apply(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if err := useNotes(t.Context(), result); err != nil {
				t.Error(err)
			}
			if found := processes(req.Tag); len(found) != 1 {
				t.Errorf("processes %v", found)
			}
		})
	}
}

func TestProgramsRunAsUsersOfTheirOwn(t *testing.T) {
	needRoot(t)
	s := newSite(t, false)
	a := s.adapter(t)
	uids := map[int64]string{}
	for _, tenant := range []string{"tenant-a", "tenant-b"} {
		req := s.request(t, tenant, "notes")
		if _, err := a.Apply(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		found := processes(req.Tag)
		if len(found) != 1 {
			t.Fatalf("processes %v", found)
		}
		status, err := os.ReadFile("/proc/" + strconv.Itoa(found[0]) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		in := s.instance(t, req)
		uid := in.record.UID
		if uid < 200000 || uids[uid] != "" {
			t.Errorf("uid %d, others %v", uid, uids)
		}
		uids[uid] = tenant
		for _, want := range []string{
			fmt.Sprintf("\nUid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid), fmt.Sprintf("\nGid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid),
			"\nGroups:\t \n", "\nNoNewPrivs:\t1\n", "\nCapEff:\t0000000000000000\n",
		} {
			if !strings.Contains(string(status), want) {
				t.Errorf("/proc status lacks %q:\n%s", want, status)
			}
		}
		for name, want := range map[string]struct {
			mode os.FileMode
			uid  uint32
		}{
			".": {0o710, 0}, "home": {0o700, uint32(uid)}, "home/notes.json": {0o600, uint32(uid)}, "password": {0o600, uint32(uid)},
			"instance.json": {0o600, 0}, "run.json": {0o600, 0}, "log": {0o600, 0},
		} {
			if name == "home/notes.json" {
				if err := useNotes(t.Context(), mustResult(t, in)); err != nil {
					t.Fatal(err)
				}
			}
			info, err := os.Stat(in.path(name))
			if err != nil {
				t.Error(err)
				continue
			}
			if owner := info.Sys().(*syscall.Stat_t).Uid; info.Mode().Perm() != want.mode || owner != want.uid {
				t.Errorf("%s is %v of %d, want %v of %d", name, info.Mode(), owner, want.mode, want.uid)
			}
		}
	}
}

func mustResult(t *testing.T, in *instance) adapters.Result {
	t.Helper()
	r, err := in.result()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheSidecarsEnvironmentStaysItsOwn(t *testing.T) {
	t.Setenv("HANSE_CANARY_SECRET", "canary")
	s := newSite(t, true)
	req := s.request(t, "tenant-a", "notes")
	result, err := s.adapter(t).Apply(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range processes(req.Tag) {
		for _, name := range []string{"environ", "cmdline"} {
			raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(raw, []byte("canary")) || bytes.Contains(raw, []byte(result.Sensitive["password"])) {
				t.Errorf("a secret is in %s: %q", name, raw)
			}
		}
	}
}

func TestLimitsHold(t *testing.T) {
	s := newSite(t, true)
	s.config["open_files"] = 100
	req := s.request(t, "tenant-a", "mute")
	req.With["memory_mib"] = 4096
	s.config["ready_seconds"] = 1
	_, _ = s.adapter(t).Apply(t.Context(), req)
	found := processes(req.Tag)
	if len(found) != 1 {
		t.Fatalf("processes %v", found)
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", found[0]))
	if err != nil {
		t.Fatal(err)
	}
	limits := strings.Join(strings.Fields(string(raw)), " ")
	for _, want := range []string{"Max open files 100 100", "Max data size 4294967296 4294967296", "Max core file size 0 0"} {
		if !strings.Contains(limits, want) {
			t.Errorf("no %q in %s", want, raw)
		}
	}
}

func TestStopIsFinalAlsoForTheDeaf(t *testing.T) {
	s := newSite(t, true)
	s.config["stop_seconds"] = 0
	req := s.request(t, "tenant-a", "stubborn")
	a := s.adapter(t)
	if _, err := a.Apply(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if found := processes(req.Tag); len(found) != 2 {
		t.Fatalf("processes %v", found)
	}
	if err := a.Destroy(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if found := processes(req.Tag); len(found) != 0 {
		t.Errorf("left: %v", found)
	}
}

func TestARecycledProcessIDIsNeverTaken(t *testing.T) {
	s := newSite(t, true)
	req := s.request(t, "tenant-a", "notes")
	a := s.adapter(t)
	if _, err := a.Apply(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	bystander := exec.Command("sleep", "600")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bystander.Process.Kill(); _ = bystander.Wait() })
	st, err := readStat(bystander.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*run){
		"the id alone":           func(r *run) { r.PID = bystander.Process.Pid },
		"id and start time":      func(r *run) { r.PID, r.Start = bystander.Process.Pid, st.start },
		"another boot":           func(r *run) { r.Boot = "another" },
		"an id that is not used": func(r *run) { r.PID = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			in := s.instance(t, req)
			changed := in.run
			change(&changed)
			if err := in.saveRun(changed); err != nil {
				t.Fatal(err)
			}
			result, err := a.Apply(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if err := useNotes(t.Context(), result); err != nil {
				t.Error(err)
			}
			if found := processes(req.Tag); len(found) != 1 || found[0] != s.instance(t, req).run.PID {
				t.Errorf("processes %v, known %d, bystander %d", found, s.instance(t, req).run.PID, bystander.Process.Pid)
			}
			if st, err := readStat(bystander.Process.Pid); err != nil || st.dead() {
				t.Fatal("a bystander was killed")
			}
		})
	}
}

func TestValidateSaysWhatStandsInTheWay(t *testing.T) {
	needRoot(t)
	s := newSite(t, false)
	closed := filepath.Join(s.dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(s.dir, "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	programs := func(command string) map[string]any {
		return map[string]any{"notes": map[string]any{"command": command}}
	}
	for name, c := range map[string]struct {
		key   string
		value any
		want  string
	}{
		"nothing":                          {"bind", "127.0.0.1", ""},
		"a folder others cannot reach":     {"data_dir", filepath.Join(closed, "data"), "other users cannot walk through " + closed},
		"a program others cannot reach":    {"programs", programs(filepath.Join(closed, "app")), "is no program"},
		"a program that is no program":     {"programs", programs(plain), "/programs/notes/command is no program"},
		"a program that is not on offer":   {"programs", map[string]any{"other": map[string]any{"command": "self:notes"}}, `no program "notes"`},
		"a name to listen on":              {"bind", "localhost", "/bind must be an IP address"},
		"half a range of ports":            {"port_from", 5000, "must come together"},
		"an address with a path":           {"public_url", "https://apps.example/{tag}", "/public_url breaks pattern"},
		"a shell instead of a path":        {"programs", programs("rm -rf /"), "/programs/notes/command breaks pattern"},
		"users who are no customers' ones": {"uid_base", 0, "/uid_base breaks minimum"},
	} {
		t.Run(name, func(t *testing.T) {
			req := adapters.Request{Tag: "h1", Tenant: "tenant-a", Generation: 1, With: map[string]any{"program": "notes"}}
			req.Connection = adapters.Connection{Name: "apps", Config: maps.Clone(s.config)}
			req.Connection.Config[c.key] = c.value
			err := s.adapter(t).Validate(t.Context(), req)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if adapters.ClassOf(err) != adapters.InvalidInput || !strings.Contains(err.Error(), c.want) {
				t.Errorf("validate: %v, want %s", err, c.want)
			}
		})
	}
}

func TestNewFindsEveryCommandThatIsNoProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	place := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, plain := place("good", 0o755), place("plain", 0o644)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command string
		self    []string
		wants   []string
	}{
		"a program":                    {good, nil, nil},
		"a link to one":                {link, nil, nil},
		"one inside":                   {"self:notes", nil, nil},
		"one inside the host's binary": {"self:theirs", []string{"/bin/host"}, nil},
		"none inside":                  {"self:nosuch", nil, []string{"self:nosuch is not inside", "self:notes"}},
		"no file":                      {filepath.Join(dir, "sleep"), nil, []string{"there is no file " + filepath.Join(dir, "sleep"), "whole path"}},
		"below a file":                 {filepath.Join(plain, "x"), nil, []string{"not a directory"}},
		"a folder":                     {dir, nil, []string{"is no file"}},
		"a device":                     {"/dev/null", nil, []string{"is no file"}},
		"nobody may execute it":        {plain, nil, []string{plain + " cannot be executed"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Self: c.self, Connections: []adapters.Connection{{Name: "apps", Config: map[string]any{
				"data_dir": dir, "dev": true, "programs": map[string]any{"good": map[string]any{"command": good}, "it": map[string]any{"command": c.command}},
			}}}})
			if (err == nil) != (c.wants == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range append(c.wants, "/programs/it/command is no program") {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
		})
	}
}

func TestCallsAboutOneTagWaitForEachOther(t *testing.T) {
	s := newSite(t, true)
	req := s.request(t, "tenant-a", "notes")
	a := s.adapter(t)
	if _, err := a.Apply(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	in := s.instance(t, req)
	unlock, err := in.s.lock(t.Context(), req.Tag)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.adapter(t).Apply(ctx, req); adapters.ClassOf(err) != adapters.Retryable || !strings.Contains(err.Error(), "another call") {
		t.Errorf("apply while another call has the lock: %v", err)
	}
	w := a.watcher()
	if err := w.visit(t.Context(), in.s, req.Tag); err != nil || len(processes(req.Tag)) != 1 {
		t.Errorf("the loop did not leave it alone: %v", err)
	}
	unlock()
	if err := a.Destroy(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(in.s.lockFile(req.Tag)); !os.IsNotExist(err) {
		t.Errorf("the lock's file stays: %v", err)
	}
}

func TestPortsOfARangeRunOut(t *testing.T) {
	s := newSite(t, true)
	base, err := freePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	s.config["port_from"], s.config["port_to"] = base, base+1
	a := s.adapter(t)
	got := map[string]bool{}
	for _, tenant := range []string{"tenant-a", "tenant-b"} {
		result, err := a.Apply(t.Context(), s.request(t, tenant, "notes"))
		if err != nil {
			t.Fatal(err)
		}
		got[result.Outputs["url"]] = true
	}
	for port := base; port <= base+1; port++ {
		if !got[fmt.Sprintf("http://127.0.0.1:%d", port)] {
			t.Errorf("port %d was not given: %v", port, got)
		}
	}
	if _, err := a.Apply(t.Context(), s.request(t, "tenant-c", "notes")); adapters.ClassOf(err) != adapters.Quota {
		t.Errorf("a third program: %v", err)
	}
}

// freePorts finds n adjoining ports that are free.
func freePorts(n int) (int, error) {
	s := settings{Bind: "127.0.0.1"}
	for base := 20000; base < 30000; base += n {
		all := true
		for port := base; port < base+n; port++ {
			_, free := s.free(port)
			all = all && free
		}
		if all {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports", n)
}
