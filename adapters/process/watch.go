//go:build linux

package process

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// most is the longest pause before a program that keeps dying is started again; steady is how long it must run for its
// deaths to be forgotten; seen is how often it is noted that it runs.
const (
	most   = time.Minute
	steady = time.Minute
	seen   = 30 * time.Second
)

// deaths of one program.
type deaths struct {
	count int
	again time.Time
}

// Run starts what should run and does not, at once and whenever it ends, with growing pauses. Programs survive its end.
func (a *Adapter) Run(ctx context.Context) error {
	w := a.watcher()
	ticker := time.NewTicker(a.tick)
	defer ticker.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

type watcher struct {
	*Adapter
	died map[string]deaths // by folder
	saw  map[sighted]sight
}

// sighted names a sight: a folder may hold programs of several connections, each of which looks after its own.
type sighted struct{ connection, dir string }

// sight is what the last visit left: as long as nothing of it changes, the next one would find the same.
type sight struct {
	stamp stamp
	// program is the one that runs; the zero one where none should.
	program proc
	at      time.Time
}

func (a *Adapter) watcher() watcher {
	return watcher{Adapter: a, died: map[string]deaths{}, saw: map[sighted]sight{}}
}

func (w *watcher) look(ctx context.Context) {
	w.mu.Lock()
	known := make([]*settings, 0, len(w.known))
	for _, s := range w.known {
		known = append(known, s)
	}
	w.mu.Unlock()
	kept := make(map[sighted]sight, len(w.saw))
	for _, s := range known {
		if err := emptyTrash(s, ""); err != nil {
			w.log.Error("cannot remove what was destroyed", slog.String("connection", s.Name), slog.Any("error", err))
		}
		tags, err := s.tags()
		if err != nil {
			w.log.Error("cannot watch programs", slog.String("connection", s.Name), slog.Any("error", err))
			continue
		}
		for _, tag := range tags {
			if ctx.Err() != nil {
				return
			}
			if w.unchanged(s, tag) {
				continue
			}
			if err := w.visit(ctx, s, tag); err != nil {
				w.log.Warn("program does not run", slog.String("connection", s.Name), slog.String("tag", tag), slog.Any("error", err))
			}
		}
		for _, tag := range tags {
			key := sighted{s.Name, filepath.Join(s.instances(), tag)}
			if last, ok := w.saw[key]; ok {
				kept[key] = last
			}
		}
	}
	w.saw = kept // what is gone is forgotten
	w.step("looked")
}

// unchanged reports whether a visit would find what the last one did: the same record, and the program alive that should be.
func (w *watcher) unchanged(s *settings, tag string) bool {
	in := instance{s: s, tag: tag, dir: filepath.Join(s.instances(), tag)}
	last, known := w.saw[sighted{s.Name, in.dir}]
	if !known {
		return false
	}
	if now, err := stampOf(s, tag); err != nil || now != last.stamp {
		return false
	}
	if last.program == (proc{}) {
		return true
	}
	if w.now().Sub(last.at) >= seen || !last.program.alive() {
		return false
	}
	in.shortenLog()
	return true
}

// visit looks after one program; a call that is working on it has the lock, and precedence.
func (w *watcher) visit(ctx context.Context, s *settings, tag string) error {
	key := sighted{s.Name, filepath.Join(s.instances(), tag)}
	delete(w.saw, key)
	stamped, err := stampOf(s, tag) // before the record is read: what is written meanwhile is visited again
	if err != nil {
		return err
	}
	lock, err := tryLock(s.lockFile(tag))
	if err != nil {
		return failed("lock", err)
	}
	if lock == nil {
		return nil
	}
	defer func() { _ = lock.Close() }()
	in, err := open(s, tag)
	if err != nil {
		return err
	}
	if !in.exists {
		_ = os.Remove(s.lockFile(tag)) // the folder went while we looked
		return nil
	}
	now := w.now()
	if in.record.Connection != s.Name || in.record.Suspended || in.record.Destroying {
		w.saw[key] = sight{stamp: stamped}
		return nil
	}
	died := w.died[in.dir]
	if p, alive := in.find(); alive && in.run.PID == p.pid {
		if now.Unix()-in.run.StartedAt > int64(steady.Seconds()) {
			delete(w.died, in.dir)
		}
		in.shortenLog()
		w.saw[key] = sight{stamped, p, now}
		if now.Unix()-in.run.SeenAt >= int64(seen.Seconds()) {
			return in.touch(now)
		}
		return nil
	}
	if now.Before(died.again) {
		return nil
	}
	died.again = now.Add(min(w.backoff<<min(died.count, 10), most))
	died.count++
	w.died[in.dir] = died
	if err := w.stop(ctx, in); err != nil { // what a dead program left, and one that run.json does not know
		return err
	}
	p, err := w.start(in)
	if err != nil {
		return err
	}
	w.log.Info("program started", slog.String("connection", s.Name), slog.String("tag", tag), slog.Int("pid", p.pid), slog.Int("deaths", died.count-1))
	return nil
}

// shortenLog empties a log that has grown too long; the program appends, so it goes on at the start.
func (in *instance) shortenLog() {
	path := in.path("log")
	if info, err := os.Stat(path); err == nil && info.Size() > in.s.LogMaxMiB<<20 {
		_ = os.Truncate(path, 0)
	}
}

// StopAll stops every program under a data folder and leaves the data: for whoever removes the folder next, a demo or a
// test, because the programs outlive their sidecar. A sidecar that runs would start them again.
func StopAll(ctx context.Context, dataDir string) error {
	a, err := New(Config{})
	if err != nil {
		return err
	}
	s := &settings{DataDir: dataDir, StopSeconds: 1}
	tags, err := s.tags()
	if err != nil {
		return err
	}
	var problems []error
	for _, tag := range tags {
		problems = append(problems, a.stopOne(ctx, s, tag))
	}
	return errors.Join(problems...)
}

func (a *Adapter) stopOne(ctx context.Context, s *settings, tag string) error {
	unlock, err := s.lock(ctx, tag)
	if err != nil {
		return err
	}
	defer unlock()
	in, err := open(s, tag)
	if err != nil || !in.exists {
		return err
	}
	return a.stop(ctx, in)
}
