//go:build linux

package process

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hanse-market/hanse/adapters"
)

// poll is how often a process that is starting or ending is looked at.
const poll = 20 * time.Millisecond

// entries are in the environment of every process of the instance.
func (in *instance) entries() []string {
	return []string{"HANSE_TAG=" + in.tag, "HANSE_INSTANCE=" + in.dir}
}

// ours says that a living process belongs to the instance. As a user of its own it can be nothing else. Where all have
// the sidecar's user, its environment tells.
func (in *instance) ours(pid int) bool {
	uid, err := realUID(pid)
	if err != nil {
		return false
	}
	if in.record.UID >= 0 {
		return uid == in.record.UID
	}
	return uid == int64(os.Getuid()) && carries(pid, in.entries()...)
}

// find is the running program: as run.json says, or else by a search.
func (in *instance) find() (proc, bool) {
	if in.run.PID > 0 && in.run.Boot == bootID() {
		p := proc{in.run.PID, in.run.Start}
		st, err := readStat(p.pid)
		if err == nil && st.start == p.start {
			if !st.dead() && in.ours(p.pid) {
				return p, true
			}
			p.reap()
		}
	}
	if in.fresh {
		return proc{}, false
	}
	for _, p := range in.all() { // the session's leader is the program itself, others are what it started
		if st, err := readStat(p.pid); err == nil && st.session == p.pid {
			return p, true
		}
	}
	return proc{}, false
}

// all are the living processes of the instance: a search through all processes of the machine.
func (in *instance) all() []proc {
	if in.record.UID >= 0 {
		return ofUser(in.record.UID)
	}
	seen := make(map[int]home)
	defer in.s.homes.keep(seen)
	return search(int64(os.Getuid()), func(pid int, id identity) bool {
		at := in.s.homes.of(pid, id)
		if at.dir == "" {
			at = home{id, homeOf(pid)}
		}
		if at.dir != "" {
			seen[pid] = at
		}
		return (at.dir == "" || at.dir == in.dir) && carries(pid, in.entries()...)
	})
}

// ofUser are the living processes of a user.
func ofUser(uid int64) []proc { return search(uid, func(int, identity) bool { return true }) }

// search finds a user's living processes that also pass a test. The owner of a process's folder is the user, or root where the
// process hides its memory: one cheap look leaves out all others.
func search(uid int64, test func(pid int, id identity) bool) []proc {
	var found []proc
	for _, pid := range pids() {
		owner, id, err := look(pid)
		if err != nil || owner != uid && owner != 0 || !test(pid, id) {
			continue
		}
		if real, err := realUID(pid); err != nil || real != uid {
			continue
		}
		if st, err := readStat(pid); err == nil && !st.dead() {
			found = append(found, proc{pid, st.start})
		}
	}
	return found
}

// runs makes sure that the program runs with the record's settings, and is ready.
func (a *Adapter) runs(ctx context.Context, in *instance) error {
	if in.record.Destroying {
		return &adapters.Error{Class: adapters.Conflict, Message: "it is being removed"}
	}
	p, alive := in.find()
	// A program that run.json does not know was started a moment before we were killed: start it properly.
	if alive && (in.run.PID != p.pid || in.run.Digest != in.s.digest(in.record)) {
		if err := a.stop(ctx, in); err != nil {
			return err
		}
		alive = false
	}
	if !alive {
		if err := ended(ctx); err != nil {
			return err
		}
		var err error
		if p, err = a.start(in); err != nil {
			return err
		}
	}
	err := a.await(ctx, in, p)
	if err != nil && alive && ctx.Err() == nil {
		if _, still := in.find(); !still { // it was on its way out when we found it
			if p, err = a.start(in); err == nil {
				err = a.await(ctx, in, p)
			}
		}
	}
	if err != nil {
		return err
	}
	if !in.record.Delivered {
		r := in.record
		r.Delivered = true
		return in.save(r)
	}
	return nil
}

func (a *Adapter) start(in *instance) (proc, error) {
	if err := a.keepPort(in); err != nil {
		return proc{}, err
	}
	command, err := a.command(in.s, in.record.With.Program)
	if err != nil {
		return proc{}, err
	}
	if err := in.s.ownUsers(command[0]); err != nil {
		return proc{}, err
	}
	log, err := os.OpenFile(in.path("log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return proc{}, failed("open the log", err)
	}
	defer func() { _ = log.Close() }()
	command = in.confined(append(command, in.args()...))
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = in.environment(), in.path("home"), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if uid := in.record.UID; uid >= 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), Groups: []uint32{}}
	}
	if err := startConfined(cmd); err != nil {
		return proc{}, failed("start the program", err)
	}
	pid := cmd.Process.Pid
	_ = cmd.Process.Release() // reaped by id: a goroutine that waits would have to outlive us
	st, err := readStat(pid)  // is there even when it has ended: nobody has waited yet
	if err != nil {
		return proc{}, failed("look at the program", err)
	}
	p := proc{pid, st.start}
	in.fresh = false
	a.step("started")
	return p, in.saveRun(in.next(p, a.now()))
}

// next is the run of a process that has just started.
func (in *instance) next(p proc, now time.Time) run {
	r := run{PID: p.pid, Start: p.start, Boot: bootID(), Digest: in.s.digest(in.record), StartedAt: now.Unix(), SeenAt: now.Unix(), Past: in.run.Past}
	if in.run.SeenAt > in.run.StartedAt {
		r.Past = append(r.Past, [2]int64{in.run.StartedAt, in.run.SeenAt})
	}
	if extra := len(r.Past) - keepRuns; extra > 0 {
		r.Past = r.Past[extra:]
	}
	return r
}

// startConfined starts a program that can never gain rights (no_new_privs). The flag is a thread's and cannot be taken
// back, so that thread ends with its goroutine.
func startConfined(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			done <- fmt.Errorf("no_new_privs: %w", err)
			return
		}
		done <- cmd.Start()
	}()
	return <-done
}

// confined is the command under its limits. A shell sets them before it becomes the program: to limit another user's
// process from outside takes CAP_SYS_RESOURCE, which a container's root lacks, and leaves it free for a moment.
func (in *instance) confined(command []string) []string {
	limit := func(option string, resource int, value uint64) string {
		var own unix.Rlimit
		if err := unix.Getrlimit(resource, &own); err == nil {
			value = min(value, own.Max) // more than our own is not ours to give
		}
		return "ulimit " + option + " " + strconv.FormatUint(value, 10)
	}
	script := []string{"ulimit -c 0", limit("-n", unix.RLIMIT_NOFILE, in.s.OpenFiles)}
	if memory := in.s.memory(in.record.With); memory > 0 {
		script = append(script, limit("-d", unix.RLIMIT_DATA, memory>>10)) // in KiB
	}
	if in.record.UID >= 0 { // -p is dash's and ash's word, -u bash's
		script = append(script, "{ "+limit("-p", unix.RLIMIT_NPROC, in.s.Processes)+" 2>/dev/null || "+limit("-u", unix.RLIMIT_NPROC, in.s.Processes)+"; }")
	}
	return append([]string{"/bin/sh", "-c", strings.Join(script, " && ") + ` && exec "$@"`, "confine"}, command...)
}

// keepPort gives another port to a program whose address nobody knows yet, when somebody took its port meanwhile.
func (a *Adapter) keepPort(in *instance) error {
	if in.record.Delivered {
		return nil
	}
	if _, free := in.s.free(in.record.Port); free {
		return nil
	}
	unlock, err := in.s.lockAllocation()
	if err != nil {
		return err
	}
	defer unlock()
	r := in.record
	if r.Port, err = a.anotherPort(in.s); err != nil {
		return err
	}
	if err := a.index(in.s).about(in.s, in.tag); err != nil {
		return err
	}
	return in.save(r)
}

func (in *instance) args() []string {
	values := strings.NewReplacer("{tag}", in.tag, "{bind}", in.s.Bind, "{port}", strconv.Itoa(in.record.Port),
		"{url}", in.s.publicURL(in.tag, in.record.Port), "{data}", in.path("home"), "{password_file}", in.path("password"))
	var args []string
	for _, arg := range in.s.Programs[in.record.With.Program].Args {
		args = append(args, values.Replace(arg))
	}
	return args
}

// environment holds nothing of the sidecar's own: there may be secrets in it.
func (in *instance) environment() []string {
	env := append(in.entries(),
		"HANSE_BIND="+in.s.Bind, "HANSE_PORT="+strconv.Itoa(in.record.Port),
		"HANSE_PUBLIC_URL="+in.s.publicURL(in.tag, in.record.Port),
		"HANSE_DATA_DIR="+in.path("home"), "HANSE_PASSWORD_FILE="+in.path("password"),
		"HOME="+in.path("home"), "TMPDIR="+in.path("home"), "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8")
	for name, value := range in.record.With.Settings {
		env = append(env, "HANSE_SETTING_"+strings.ToUpper(name)+"="+value)
	}
	return env
}

// await returns when the program answers, or why it does not.
func (a *Adapter) await(ctx context.Context, in *instance, p proc) error {
	ctx, cancel := context.WithTimeout(ctx, in.s.ready())
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		answers := a.healthy(ctx, in.s, in.record.Port)
		// Alive after the answer: else it was another program's answer on that port.
		if st, err := readStat(p.pid); err != nil || st.start != p.start || st.dead() {
			p.reap()
			return &adapters.Error{Class: adapters.NotReady, Message: "the program ended while starting; see its log", After: 5 * time.Second}
		}
		if answers {
			return nil
		}
		select {
		case <-ctx.Done():
			return &adapters.Error{Class: adapters.NotReady, Message: "the program runs and is not ready yet", After: 2 * time.Second}
		case <-ticker.C:
		}
	}
}

func (a *Adapter) healthy(ctx context.Context, s *settings, port int) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.localURL(port)+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends all processes of the instance: asked first, then killed.
func (a *Adapter) stop(ctx context.Context, in *instance) error {
	main, alive := in.find()
	if alive {
		if in.run.PID == main.pid {
			if err := in.touch(a.now()); err != nil {
				return err
			}
		}
		_ = main.signal(syscall.SIGTERM)
	}
	kill := time.NewTimer(in.s.stop())
	defer kill.Stop()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	hard := in.s.StopSeconds == 0
	for {
		// As long as the program itself has time to end, it alone is looked at.
		if hard || !main.alive() {
			left := in.all()
			main.reap()
			if len(left) == 0 {
				return nil
			}
			for _, p := range left { // what the program leaves behind when it has ended has nobody to tell it to end
				_ = p.signal(syscall.SIGKILL)
			}
		}
		select {
		case <-ctx.Done():
			return &adapters.Error{Class: adapters.Retryable, Message: "the program has not ended yet"}
		case <-kill.C:
			hard = true
		case <-ticker.C:
		}
	}
}
