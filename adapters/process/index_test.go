//go:build linux

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/hanse-market/hanse/adapters"
)

// TestSidecarsThatShareAFolderShareNoPort lets two sidecars, and a third that is killed between its steps, take all ports of a range.
func TestSidecarsThatShareAFolderShareNoPort(t *testing.T) {
	s := newSite(t, true)
	base, err := freePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	s.config["port_from"], s.config["port_to"] = base, base+3
	one, two := s.adapter(t), s.adapter(t)
	apply := func(a *Adapter, tenant string) adapters.Request {
		t.Helper()
		req := s.request(t, tenant, "notes")
		if _, err := a.Apply(t.Context(), req); err != nil {
			t.Fatalf("%s: %v", tenant, err)
		}
		return req
	}
	first, second := apply(one, "a"), apply(two, "b")
	third := s.request(t, "c", "notes")
	if answer, _ := s.sidecar(t, third, "recorded"); len(answer) > 0 {
		t.Fatalf("it answered %s", answer)
	}
	fourth := apply(one, "d")
	ports := map[int]bool{}
	for _, req := range []adapters.Request{first, second, third, fourth} {
		ports[s.instance(t, req).record.Port] = true
	}
	if len(ports) != 4 {
		t.Errorf("four programs have the ports %v", ports)
	}
	for _, a := range []*Adapter{one, two} {
		if _, err := a.Apply(t.Context(), s.request(t, "e", "notes")); adapters.ClassOf(err) != adapters.Quota {
			t.Errorf("a fifth: %v", err)
		}
	}
	freed := s.instance(t, first).record.Port
	if err := two.Destroy(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if got := s.instance(t, apply(one, "f")).record.Port; got != freed {
		t.Errorf("port %d is given, %d is free", got, freed)
	}
}

// TestTheIndexMissesNothing changes a folder in every way behind an index's back.
func TestTheIndexMissesNothing(t *testing.T) {
	s := &settings{Name: "apps", DataDir: t.TempDir()}
	write := func(tag string, port int) {
		t.Helper()
		in := &instance{s: s, tag: tag, dir: filepath.Join(s.instances(), tag)}
		if err := os.MkdirAll(in.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := in.save(record{Tag: tag, Port: port, UID: int64(port)}); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := &index{claims: map[string]claim{}}, &index{claims: map[string]claim{}}
	about := func(x *index, tag string) {
		t.Helper()
		if err := x.about(s, tag); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name string
		do   func()
		want []int
	}{
		{"nothing is there", func() {}, nil},
		{"a record of ours", func() { about(ours, "a"); write("a", 1) }, []int{1}},
		{"a record of another sidecar's", func() { about(theirs, "b"); write("b", 2) }, []int{1, 2}},
		{"another sidecar gives one another port", func() { about(theirs, "a"); write("a", 3) }, []int{2, 3}},
		{"we do", func() { about(ours, "b"); write("b", 4) }, []int{3, 4}},
		{"one that was killed before it wrote", func() { about(theirs, "c") }, []int{3, 4}},
		{"one that was killed before the record", func() {
			about(theirs, "c")
			if err := os.MkdirAll(filepath.Join(s.instances(), "c"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, []int{3, 4}},
		{"it goes on", func() { write("c", 5) }, []int{3, 4, 5}},
		{"a folder that is brought back", func() { write("d", 6) }, []int{3, 4, 5, 6}},
		{"a folder that is gone", func() {
			if err := os.RemoveAll(filepath.Join(s.instances(), "a")); err != nil {
				t.Fatal(err)
			}
		}, []int{4, 5, 6}},
		{"the same name again, by another sidecar", func() { about(theirs, "a"); write("a", 7) }, []int{4, 5, 6, 7}},
		{"removed and made again by us", func() {
			if err := os.RemoveAll(filepath.Join(s.instances(), "a")); err != nil {
				t.Fatal(err)
			}
			about(ours, "a")
			write("a", 8)
		}, []int{4, 5, 6, 8}},
		{"a mark that a crash tore", func() {
			write("a", 9)
			if err := os.WriteFile(markFile(s), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []int{4, 5, 6, 9}},
		{"no mark at all", func() {
			write("a", 10)
			if err := os.Remove(markFile(s)); err != nil {
				t.Fatal(err)
			}
		}, []int{4, 5, 6, 10}},
		{"a file among the folders", func() {
			if err := os.WriteFile(filepath.Join(s.instances(), "README"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []int{4, 5, 6, 10}},
	} {
		step.do()
		ports, uids, err := ours.taken(s)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		var got []int
		for port := range ports {
			got = append(got, port)
			if !uids[int64(port)] {
				t.Errorf("%s: the user of %d is missing", step.name, port)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, step.want) {
			t.Errorf("%s: %v are taken, want %v", step.name, got, step.want)
		}
	}
}

// TestWhatIsRememberedOfAProcessEndsWithIt: the id comes back, the memory does not speak of it.
func TestWhatIsRememberedOfAProcessEndsWithIt(t *testing.T) {
	run := func(dir string) (pid int, id identity) {
		t.Helper()
		c := exec.Command("/bin/sleep", "600")
		c.Env = []string{"HANSE_TAG=h1", "HANSE_INSTANCE=" + dir}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		_, id, err := look(c.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return c.Process.Pid, id
	}
	known := &homes{}
	s := &settings{homes: known}
	find := func(dir string) (pids []int) {
		in := &instance{s: s, tag: "h1", dir: dir, record: record{UID: -1}}
		for _, p := range in.all() {
			pids = append(pids, p.pid)
		}
		return pids
	}
	root := t.TempDir()
	a, idA := run(root + "/a")
	b, idB := run(root + "/b")
	for range 2 { // read, then remembered
		for dir, pid := range map[string]int{root + "/a": a, root + "/b": b} {
			if got := find(dir); !slices.Equal(got, []int{pid}) {
				t.Fatalf("%s: found %v, want %d", dir, got, pid)
			}
		}
	}
	if known.of(a, idA).dir != root+"/a" || known.of(b, idB).dir != root+"/b" {
		t.Error("nothing is remembered")
	}
	if at := known.of(a, idB); at != (home{}) {
		t.Errorf("another process is taken for the one before: %+v", at)
	}
	if _, id, err := look(os.Getpid()); err != nil || known.of(os.Getpid(), id) != (home{}) {
		t.Error("a process of nobody's is remembered")
	}
	// A lie in the memory about the id alone changes nothing.
	known.keep(map[int]home{a: {identity{1, 1}, root + "/b"}})
	if got := find(root + "/a"); !slices.Equal(got, []int{a}) {
		t.Errorf("found %v, want %d", got, a)
	}
	if err := syscall.Kill(a, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for p := (proc{a, must(readStat(a)).start}); p.alive(); {
	}
	if got := find(root + "/a"); len(got) > 0 {
		t.Errorf("a dead one is found: %v", got)
	}
	if got := fmt.Sprint(find(root + "/c")); got != "[]" {
		t.Errorf("found %s for nobody", got)
	}
}

func must(st stat, err error) stat {
	if err != nil {
		panic(err)
	}
	return st
}
