package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Series plays as many plans as parts, of seeds that follow each other, with their share of orders and faults each, and some of them at once. The
// report of a part that was clean is kept in a folder under a name that says what was played, plan and binary: it is not played again by a series
// that was interrupted. After a part that is not clean no other begins.
func Series(ctx context.Context, cfg Config, parts, atOnce int, results string) (sum Report, err error) {
	if err := os.MkdirAll(results, 0o700); err != nil {
		return sum, err
	}
	cfg.Progress = inTurn(cfg.Progress)
	program, err := digestOf(cfg.Binary)
	if err != nil {
		return sum, err
	}
	sum = Report{Seed: cfg.Seed, Engine: cfg.Engine, Replicas: cfg.Replicas, States: map[string]int{}, ByKind: map[string]int{}, Points: map[string]int{}, NotRun: map[string]string{}, Findings: []Finding{}, LeftOver: []string{}}
	var playing errgroup.Group
	playing.SetLimit(atOnce)
	shares := make(chan int, atOnce) // of the ports, for whoever plays
	for n := range atOnce {
		shares <- n + 1
	}
	var at sync.Mutex
	over := false
	for part := range parts {
		playing.Go(func() error {
			at.Lock()
			skip := over
			at.Unlock()
			if skip {
				return nil
			}
			own := cfg
			if atOnce > 1 {
				own.beside = <-shares
				defer func() { shares <- own.beside }()
			}
			r, err := playPart(ctx, own, part, parts, program, results)
			at.Lock()
			defer at.Unlock()
			over = over || err != nil || !r.Clean()
			if err == nil {
				sum.add(r)
			}
			return err
		})
	}
	return sum, playing.Wait()
}

// playPart plays a part, or reads its report.
func playPart(ctx context.Context, cfg Config, part, parts int, program []byte, results string) (r Report, err error) {
	own := cfg
	own.Seed = cfg.Seed + uint64(part)
	own.Orders, own.Faults = share(cfg.Orders, part, parts), share(cfg.Faults, part, parts)
	own.Dir = filepath.Join(cfg.Dir, fmt.Sprintf("seed-%d", own.Seed))
	if own.beside > 0 {
		own.Progress = prefixed{cfg.Progress, fmt.Sprintf("seed %d: ", own.Seed)}
	}
	plan := NewPlan(own)
	id, err := partID(plan, program)
	if err != nil {
		return r, err
	}
	file := filepath.Join(results, fmt.Sprintf("%s-%dx-%d-orders-%d-faults-seed-%d-%s.json", own.Engine, own.Replicas, own.Orders, own.Faults, own.Seed, id))
	raw, err := os.ReadFile(file)
	switch {
	case err == nil:
		err = json.Unmarshal(raw, &r)
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(own.Progress, "part %d of %d\n", part+1, parts)
		if r, err = Run(ctx, own, plan); err == nil && r.Clean() {
			err = writeJSON(file, r)
		}
	}
	if err != nil {
		return r, fmt.Errorf("seed %d: %w", own.Seed, err)
	}
	return r, nil
}

// digestOf is the SHA-256 of a file.
func digestOf(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hash.Sum(nil), err
}

// partID is of a plan and of the program that its members run: less was proved by a plan that left more out, and nothing of another program.
func partID(plan Plan, program []byte) (string, error) {
	raw, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(raw, program...))
	return hex.EncodeToString(sum[:6]), nil
}

func share(n, part, parts int) int { return n*(part+1)/parts - n*part/parts }

// add counts another run in; of healing and rate the worst stand.
func (r *Report) add(o Report) {
	if !o.Clean() {
		r.Seed, r.Dir = o.Seed, o.Dir
	}
	first := r.Seconds == 0
	for _, n := range [][2]*int{
		{&r.Orders, &o.Orders},
		{&r.Faults, &o.Faults},
		{&r.Planned, &o.Planned},
		{&r.Restores, &o.Restores},
		{&r.Emptied, &o.Emptied},
		{&r.Lost, &o.Lost},
		{&r.Double, &o.Double},
		{&r.Divergent, &o.Divergent},
		{&r.Stuck, &o.Stuck},
		{&r.Orphans, &o.Orphans},
		{&r.Unsurfaced, &o.Unsurfaced},
		{&r.Broken, &o.Broken},
		{&r.Void, &o.Void},
		{&r.Resolved, &o.Resolved},
		{&r.Told, &o.Told},
		{&r.NoAccess, &o.NoAccess},
		{&r.MadeAgain, &o.MadeAgain},
	} {
		*n[0] += *n[1]
	}
	for _, maps := range [][2]map[string]int{{r.States, o.States}, {r.ByKind, o.ByKind}, {r.Points, o.Points}} {
		for k, v := range maps[1] {
			maps[0][k] += v
		}
	}
	for k, v := range o.NotRun {
		r.NotRun[k] = v
	}
	r.LeftOver, r.Findings = append(r.LeftOver, o.LeftOver...), append(r.Findings, o.Findings...)
	r.Seconds += o.Seconds
	r.HealingP50, r.HealingP99 = max(r.HealingP50, o.HealingP50), max(r.HealingP99, o.HealingP99)
	if first || o.Rate < r.Rate {
		r.Rate = o.Rate
	}
}
