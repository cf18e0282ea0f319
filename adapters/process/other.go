//go:build !linux

package process

import (
	"context"
	"runtime"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

// refusal says what no repetition and no other input changes: a program is told from others by /proc, and confined by means
// that are the Linux kernel's.
func refusal() error {
	return &adapters.Error{Class: adapters.Permanent, Message: "programs can be run on Linux only, and this is " + runtime.GOOS}
}

func (*Adapter) Validate(context.Context, adapters.Request) error { return refusal() }

func (*Adapter) Apply(context.Context, adapters.Request) (adapters.Result, error) {
	return adapters.Result{}, refusal()
}

func (*Adapter) Observe(context.Context, adapters.Request) (adapters.Observation, error) {
	return adapters.Observation{}, refusal()
}

func (*Adapter) Act(context.Context, adapters.Request, string) (adapters.Result, error) {
	return adapters.Result{}, refusal()
}

func (*Adapter) Destroy(context.Context, adapters.Request) error { return refusal() }

func (*Adapter) Collect(context.Context, adapters.Request, time.Time, time.Time) ([]adapters.MeterPoint, error) {
	return nil, refusal()
}

// List implements adapters.Lister.
func (*Adapter) List(context.Context, adapters.Connection, string, string, int) ([]adapters.Listed, error) {
	return nil, refusal()
}

// Run has no program to watch; it waits, so that a host with other connections goes on.
func (*Adapter) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// StopAll has nothing to stop: nothing was started here.
func StopAll(context.Context, string) error { return nil }
