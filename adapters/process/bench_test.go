//go:build linux

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// crowd makes n subscriptions whose programs run: each a process that sleeps, with the record that the adapter would have written.
func crowd(b *testing.B, s site, n int) *settings {
	b.Helper()
	a := s.adapter(b)
	resolved, d, err := a.resolve(s.request(b, "tenant-a", "notes"))
	if err != nil {
		b.Fatal(err)
	}
	sleeps := make([]*exec.Cmd, 0, n)
	b.Cleanup(func() {
		for _, c := range sleeps {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	for i := range n {
		in := &instance{s: resolved, tag: fmt.Sprintf("hcrowd%05d", i), dir: filepath.Join(resolved.instances(), fmt.Sprintf("hcrowd%05d", i))}
		if err := os.MkdirAll(in.dir, 0o711); err != nil {
			b.Fatal(err)
		}
		r := record{Tag: in.tag, Tenant: "tenant-a", Connection: resolved.Name, Generation: 1, With: d, Port: 40000 + i, UID: -1, Delivered: true}
		c := exec.Command("/bin/sleep", "3600")
		c.Env, c.SysProcAttr = in.entries(), &syscall.SysProcAttr{Setsid: true}
		if !resolved.Dev {
			r.UID = resolved.UIDBase + resolved.UIDCount - 1 - int64(i)
			c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(r.UID), Gid: uint32(r.UID)}
		}
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		sleeps = append(sleeps, c)
		if err := in.save(r); err != nil {
			b.Fatal(err)
		}
		st, err := readStat(c.Process.Pid)
		if err != nil {
			b.Fatal(err)
		}
		if err := in.saveRun(in.next(proc{c.Process.Pid, st.start}, time.Now())); err != nil {
			b.Fatal(err)
		}
	}
	return resolved
}

// cpu is what this process and its ended children have used: machines that run tests are noisy, and a wait costs nothing.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkCrowd shows what an order (a program started, then removed) and a round of the loop cost beside programs that run
// already. An order should cost the same beside 10 and 1,000; a round grows with them, by little.
func BenchmarkCrowd(b *testing.B) {
	for _, dev := range []bool{true, false} {
		if !dev && os.Geteuid() != 0 {
			continue
		}
		for _, n := range []int{10, 1000} {
			b.Run(fmt.Sprintf("dev=%v/beside=%d", dev, n), func(b *testing.B) { beside(b, dev, n) })
		}
	}
}

func beside(b *testing.B, dev bool, n int) {
	s := newSite(b, dev)
	resolved := crowd(b, s, n)
	a := s.adapter(b)
	req := s.request(b, "tenant-b", "notes")
	b.Run("order", func(b *testing.B) {
		before := cpu(b)
		for range b.N {
			if _, err := a.Apply(b.Context(), req); err != nil {
				b.Fatal(err)
			}
			if err := a.Destroy(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpu(b)-before)/1e6/float64(b.N), "cpu-ms/order")
	})
	b.Run("round", func(b *testing.B) {
		w := a.watcher()
		w.remember(resolved)
		w.look(b.Context())
		before := cpu(b)
		for range b.N {
			w.look(b.Context())
		}
		b.ReportMetric(float64(cpu(b)-before)/1e6/float64(b.N), "cpu-ms/round")
	})
}
