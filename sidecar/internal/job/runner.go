package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Tx is what the runner needs of a transaction.
type Tx interface{ Jobs() Store }

// Work runs transactions.
type Work interface {
	Do(ctx context.Context, fn func(Tx) error) error
	View(ctx context.Context, fn func(Tx) error) error
}

// Handler does a job. nil or ErrFinished ends it, *ParkError parks it, Again and Progress say when to come back, any other
// error comes back after the back-off. It may finish the job inside its own transaction.
type Handler func(ctx context.Context, j Job) error

// Topic is the wake-up topic for jobs that may be due.
const Topic = "job"

// Config of a Runner.
type Config struct {
	Work Work
	// Handlers by kind; a job of another kind waits for a version that knows it.
	Handlers map[string]Handler
	// Owner names this replica in leases; unique.
	Owner string
	// Alone says that no other replica runs on the database: jobs that others left running are taken over at the start
	// instead of when their leases end.
	Alone bool
	// Workers is how many jobs run at once; 0 is 16. PerPartner of them may be one partner's; 0 is 4.
	Workers    int
	PerPartner int
	// Lease is how long a job belongs to a worker; its handler's context ends a tenth earlier. 0 is 5 minutes.
	Lease time.Duration
	// Poll is how often the jobs are looked at without a wake-up; 0 is 5 seconds.
	Poll time.Duration
	// BackOff is the pause after attempt n (from 1); nil doubles from one second to 15 minutes, with jitter.
	BackOff func(attempt int) time.Duration
	// Subscribe gives wake-ups; nil polls only.
	Subscribe func(topic string) (<-chan struct{}, func())
	Now       func() time.Time
	// After makes a timer's channel; nil is time.After.
	After  func(time.Duration) <-chan time.Time
	Logger *slog.Logger
}

// MaxPanics is how often a job may take its handler down before it is parked. Attempts are counted when the lease is taken,
// so that a job which kills the process counts too.
const MaxPanics = 3

// Runner runs due jobs.
type Runner struct {
	cfg  Config
	free chan struct{}
	done chan struct{}

	mu sync.Mutex
	// next is when the earliest job that came back is due; zero is none.
	next time.Time
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Runner, error) {
	if cfg.Work == nil || cfg.Now == nil || cfg.Owner == "" || cfg.Logger == nil {
		return nil, errors.New("job: Work, Now, Owner and Logger are needed")
	}
	if cfg.Workers == 0 {
		cfg.Workers = 16
	}
	if cfg.PerPartner == 0 {
		cfg.PerPartner = 4
	}
	if cfg.Lease == 0 {
		cfg.Lease = 5 * time.Minute
	}
	if cfg.Poll == 0 {
		cfg.Poll = 5 * time.Second
	}
	if cfg.BackOff == nil {
		cfg.BackOff = BackOff
	}
	if cfg.After == nil {
		cfg.After = time.After
	}
	r := &Runner{cfg: cfg, free: make(chan struct{}, cfg.Workers), done: make(chan struct{}, 1)}
	for range cfg.Workers {
		r.free <- struct{}{}
	}
	return r, nil
}

// maxBackOff caps every pause between sidecars.
const maxBackOff = 15 * time.Minute

// BackOff doubles from one second and caps at 15 minutes, with a jitter of a fifth to both sides.
func BackOff(attempt int) time.Duration {
	d := maxBackOff
	if attempt < 11 {
		d = min(d, time.Second<<max(attempt-1, 0))
	}
	return d*4/5 + rand.N(d*2/5+1)
}

// Run runs jobs until ctx ends, then waits for those under way, whose contexts have ended too.
func (r *Runner) Run(ctx context.Context) error {
	var wake <-chan struct{}
	if r.cfg.Subscribe != nil {
		ch, cancel := r.cfg.Subscribe(Topic)
		defer cancel()
		wake = ch
	}
	if r.cfg.Alone {
		if err := r.cfg.Work.Do(ctx, func(tx Tx) error { return tx.Jobs().Reclaim(r.cfg.Owner, r.cfg.Now()) }); err != nil && ctx.Err() == nil {
			return fmt.Errorf("take over jobs: %w", err)
		}
	}
	var running sync.WaitGroup
	defer running.Wait()
	for {
		more, err := r.round(ctx, &running)
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("jobs unreadable", "error", err)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-r.done:
		case <-r.cfg.After(r.pause()):
		}
	}
}

// pause is the time until the next look: until a job comes back, at most Poll.
func (r *Runner) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.IsZero() {
		return r.cfg.Poll
	}
	wait := r.next.Sub(r.cfg.Now())
	if wait <= 0 {
		r.next = time.Time{}
	}
	return min(max(wait, 0), r.cfg.Poll)
}

func (r *Runner) comesBack(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.IsZero() || at.Before(r.next) {
		r.next = at
	}
}

// round leases due jobs for the free workers and starts them; more tells that another round may find some.
func (r *Runner) round(ctx context.Context, running *sync.WaitGroup) (more bool, err error) {
	free := len(r.free)
	if free == 0 || ctx.Err() != nil {
		return false, nil
	}
	var due []Job
	now := r.cfg.Now()
	err = r.cfg.Work.View(ctx, func(tx Tx) (err error) {
		due, err = tx.Jobs().Due(now, r.cfg.PerPartner, free)
		return err
	})
	if err != nil {
		return false, err
	}
	started := 0
	for _, j := range due {
		handler := r.cfg.Handlers[j.Kind]
		if handler == nil {
			continue
		}
		err := r.cfg.Work.Do(ctx, func(tx Tx) (err error) {
			j, err = tx.Jobs().Lease(j, r.cfg.Owner, r.cfg.Now().Add(r.cfg.Lease))
			return err
		})
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return false, err
		}
		<-r.free
		started++
		running.Go(func() {
			r.run(ctx, j, handler)
			r.free <- struct{}{}
			select {
			case r.done <- struct{}{}:
			default:
			}
		})
	}
	return started > 0, nil
}

func (r *Runner) run(ctx context.Context, j Job, handler Handler) {
	bounded, cancel := context.WithTimeout(ctx, r.cfg.Lease*9/10)
	defer cancel()
	err := safely(bounded, j, handler)
	// The outcome is written even while the host stops: the job is done or not, whatever the host wants.
	if werr := r.settle(context.WithoutCancel(ctx), ctx.Err() != nil, j, err); werr != nil {
		r.cfg.Logger.Warn("job outcome not written, its lease will run out", "kind", j.Kind, "key", j.Key, "error", werr)
	}
}

var errPanic = errors.New("the handler panicked")

func safely(ctx context.Context, j Job, handler Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
		}
	}()
	return handler(ctx, j)
}

// settle writes what became of a job.
func (r *Runner) settle(ctx context.Context, stopping bool, j Job, outcome error) error {
	now := r.cfg.Now()
	var again *againError
	var park *ParkError
	var apply func(Store) error
	switch {
	case errors.Is(outcome, ErrFinished):
		return nil
	case outcome == nil:
		apply = func(s Store) error { return s.Finish(j) }
	case errors.As(outcome, &park), errors.Is(outcome, errPanic) && j.Attempts >= MaxPanics:
		r.cfg.Logger.Error("job parked", "kind", j.Kind, "key", j.Key, "partner", j.Partner, "attempts", j.Attempts, "error", outcome)
		apply = func(s Store) error { return s.Park(j, clip(outcome)) }
	default:
		pause, progress := r.cfg.BackOff(j.Attempts), false
		if errors.As(outcome, &again) {
			progress = again.progress
			if again.after > 0 || progress {
				pause = again.after
			}
		}
		if stopping {
			pause = 0
		}
		r.cfg.Logger.Warn("job comes back", "kind", j.Kind, "key", j.Key, "partner", j.Partner, "attempts", j.Attempts, "pause", pause.String(), "error", outcome)
		r.comesBack(now.Add(pause))
		apply = func(s Store) error { return s.Reschedule(j, now.Add(pause), clip(outcome), progress) }
	}
	err := r.cfg.Work.Do(ctx, func(tx Tx) error { return apply(tx.Jobs()) })
	if fault.Is(err, fault.Conflict) {
		// The handler finished it itself, or the lease ran out and another runner has it.
		return nil
	}
	return err
}

func clip(err error) string {
	s := err.Error()
	if len(s) > 500 {
		s = s[:500]
	}
	return s
}
