// Package failpoint kills the process at named places, so that tests can prove what a crash there leaves behind. The points
// are always compiled in and inert unless dev mode reads them from HANSE_FAILPOINT.
package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Names lists every point; before and after each durable commit of an order's way and each send.
var Names = []string{
	// reseller
	"retail.place.before_commit",
	"retail.place.after_commit",
	"retail.cancel.before_commit",
	"retail.cancel.after_commit",
	"retail.overdue.before_commit",
	"retail.overdue.after_commit",
	"retail.abandon.before_commit",
	"retail.abandon.after_commit",
	"retail.erase.before_commit",
	"retail.erase.after_commit",
	"retail.sign.before_commit",
	"retail.sign.after_commit",
	"outbox.queue.after_take",
	"outbox.batch.before_send",
	"outbox.batch.after_send",
	"outbox.batch.before_apply",
	"outbox.batch.after_apply",
	"outbox.settle.before_commit",
	"retail.feed.before_commit",
	"retail.feed.after_commit",
	"retail.access.before_fetch",
	"retail.access.after_fetch",
	"retail.access.before_commit",
	"retail.access.after_commit",
	// supplier
	"resale.place.before_commit",
	"resale.place.after_commit",
	"resale.provision.before_apply",
	"resale.provision.after_apply",
	"resale.provision.after_commit",
	"resale.destroy.before_apply",
	"resale.destroy.after_apply",
	"resale.destroy.after_commit",
	"resale.act.before_call",
	"resale.act.after_call",
	"resale.access.before_send",
	"resale.confirm.before_commit",
	"resale.confirm.after_commit",
	"resale.cancel.before_commit",
	"resale.cancel.after_commit",
	"resale.erase.before_commit",
	"resale.erase.after_commit",

	// whoever runs a job that was handed over
	"job.begin.before_commit",
	"job.begin.after_commit",

	"exchange.agreement.before_commit",
	"exchange.agreement.after_commit",
	"resale.submit.before_hand_over",
	"resale.submit.before_reply",

	// after a start, on either side
	"books.prove.after_ask",
	"books.prove.after_answer",
	"books.prove.before_commit",
	"books.prove.after_commit",
	"recovery.prove.after_answer",
	"recovery.take.before_commit",
	"recovery.take.after_commit",
	"recovery.end.before_commit",
	"recovery.end.after_commit",

	// an old copy goes over the beginning of a life
	"recall.ended.before_commit",
	"recall.ended.after_commit",
	"recall.life.before_commit",
	"recall.life.after_commit",

	// a business key follows another, at its member and at a partner
	"key.rotate.before_commit",
	"key.rotate.after_commit",
	"member.follow.before_commit",
	"member.follow.after_commit",

	// a new life after a fork
	"life.propose.before_commit",
	"life.propose.after_commit",
	"life.sign.before_commit",
	"life.sign.after_commit",
	"life.apply.before_commit",
	"life.apply.after_commit",
}

// Points is the armed point, if any; nil is inert.
type Points struct {
	name  string
	left  atomic.Int64
	edges *edges
}

// Parse reads "name" or "name:n" (die at the n-th pass, from 1), "edge:MACHINE.SIDE:FROM>TO:MOMENT" or "edges:FILE", to which all edges are
// written that are committed. Empty is inert. An unknown name is an error.
func Parse(s string) (*Points, error) {
	if s == "" {
		return nil, nil
	}
	if strings.HasPrefix(s, "edge") {
		e, err := parseEdges(s)
		if err != nil {
			return nil, err
		}
		return &Points{edges: e}, nil
	}
	name, count, hasCount := strings.Cut(s, ":")
	if !slices.Contains(Names, name) {
		return nil, fmt.Errorf("failpoint %q is unknown", name)
	}
	p := &Points{name: name}
	p.left.Store(1)
	if hasCount {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("failpoint count %q is not a positive number", count)
		}
		p.left.Store(n)
	}
	return p, nil
}

// Hit kills the process with SIGKILL if the point is armed and its turn has come.
func (p *Points) Hit(name string) {
	if p == nil || p.name != name || p.left.Add(-1) != 0 {
		return
	}
	kill()
}

func kill() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}
