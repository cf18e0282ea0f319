//go:build linux

package process

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// proc is one process for sure: an id comes back, an id with its start time does not before the next boot.
type proc struct {
	pid   int
	start uint64 // in ticks since boot
}

// stat is what /proc/PID/stat says.
type stat struct {
	state   byte
	parent  int
	session int
	start   uint64
}

func (s stat) dead() bool { return s.state == 'Z' || s.state == 'X' }

func readStat(pid int) (stat, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(raw))
}

// parseStat starts after the last ")": the name before it is the program's own choice and may hold anything.
func parseStat(raw string) (stat, error) {
	_, rest, ok := lastCut(raw, ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return stat{}, errors.New("unreadable stat")
	}
	parent, err1 := strconv.Atoi(fields[1])
	session, err2 := strconv.Atoi(fields[3])
	start, err3 := strconv.ParseUint(fields[19], 10, 64)
	return stat{state: fields[0][0], parent: parent, session: session, start: start}, errors.Join(err1, err2, err3)
}

func lastCut(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// alive reports whether the process is there and has not ended.
func (p proc) alive() bool {
	st, err := readStat(p.pid)
	return p.pid > 0 && err == nil && st.start == p.start && !st.dead()
}

// look is whom the process's folder belongs to, and the process's identity.
func look(pid int) (owner int64, id identity, err error) {
	var st syscall.Stat_t
	err = syscall.Lstat("/proc/"+strconv.Itoa(pid), &st)
	return int64(st.Uid), identity{st.Ino, st.Ctim.Nano()}, err
}

// homeOf is the one instance in whose environment the process was started, "" where there is none or not one.
func homeOf(pid int) string {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	dir := ""
	for entry := range strings.SplitSeq(string(raw), "\x00") {
		value, found := strings.CutPrefix(entry, "HANSE_INSTANCE=")
		if found && dir != "" {
			return ""
		}
		if found {
			dir = value
		}
	}
	return dir
}

// realUID is who the process runs as.
func realUID(pid int) (int64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, errors.New("unreadable status")
}

// carries says whether the process was started with all these environment entries.
func carries(pid int, entries ...string) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	all := append([]byte{0}, raw...)
	for _, entry := range entries {
		if !bytes.Contains(all, []byte("\x00"+entry+"\x00")) {
			return false
		}
	}
	return true
}

func bootID() string {
	raw, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(raw))
}

// pids of all processes.
func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	var all []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// signal reaches exactly this process: FindProcess holds it (by a pidfd), and only then its start time is compared.
func (p proc) signal(sig os.Signal) error {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return err
	}
	defer func() { _ = handle.Release() }()
	if st, err := readStat(p.pid); err != nil || st.start != p.start {
		return os.ErrProcessDone
	}
	return handle.Signal(sig)
}

// reap takes the exit of a child of ours that has ended. Others' children are not ours to wait for.
func (p proc) reap() (syscall.WaitStatus, bool) {
	var status syscall.WaitStatus
	st, err := readStat(p.pid)
	if err != nil || st.start != p.start || st.state != 'Z' || st.parent != os.Getpid() {
		return status, false
	}
	pid, err := syscall.Wait4(p.pid, &status, syscall.WNOHANG, nil)
	return status, err == nil && pid == p.pid
}
