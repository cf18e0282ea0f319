//go:build linux

package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

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

// Apply starts the program, or restarts it when its request has changed, and waits until it is ready.
func (a *Adapter) Apply(ctx context.Context, req adapters.Request) (adapters.Result, error) {
	var result adapters.Result
	s, d, err := a.resolve(req)
	if err != nil {
		return result, err
	}
	err = a.locked(ctx, s, req, func(in *instance) error {
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
	s, err := a.place(req)
	if err != nil {
		return result, err
	}
	err = a.locked(ctx, s, req, func(in *instance) error {
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
	s, err := a.place(req)
	if err != nil {
		return err
	}
	return a.locked(ctx, s, req, func(in *instance) error {
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
	s, err := a.place(req)
	if err != nil {
		return nil, err
	}
	err = a.locked(ctx, s, req, func(in *instance) error {
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

// locked runs fn on the instance as it is, under the tag's lock.
func (a *Adapter) locked(ctx context.Context, s *settings, req adapters.Request, fn func(*instance) error) error {
	unlock, err := s.lock(ctx, req.Tag)
	if err != nil {
		return err
	}
	defer unlock()
	in, err := a.load(s, req)
	if err != nil {
		return err
	}
	return fn(in)
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
