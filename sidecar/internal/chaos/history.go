package chaos

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

// history is what the portals know of themselves, outside all members: a line is on the disk before anything counts as acknowledged.
type history struct {
	mu   sync.Mutex
	file *os.File
	// orders by id, in the order of the wishes.
	orders map[string]*placed
	ids    []string
}

// placed is an order as its portal knows it.
type placed struct {
	Wish
	// acknowledged is when the reseller first said yes; calledOff says that a cancel was acknowledged.
	acknowledged time.Time
	calledOff    bool
	// first is when it was sent first, subscriptions are those that its portal read of it.
	first         time.Time
	subscriptions []string
	// asked is when the call was sent that was acknowledged last; forgotten says that the reseller knew nothing of it later, and had no right to.
	asked     time.Time
	forgotten bool
	// void says why it can never be placed: what it ends was not bought.
	void string
	// given says that an operator gave it up: its supplier may have more of it.
	given bool
	// refused is a final answer that nobody expected.
	refused string
	// ended and state are what the portal read last; seen is when it read the end first.
	ended bool
	state string
	seen  time.Time
}

type line struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Wish
}

func openHistory(file string) (*history, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &history{file: f, orders: map[string]*placed{}}, nil
}

func (h *history) close() error { return h.file.Close() }

func (h *history) write(kind string, w Wish) error {
	raw, err := json.Marshal(line{At: time.Now().UTC(), Kind: kind, Wish: w})
	if err != nil {
		return err
	}
	_, err = h.file.Write(append(raw, '\n'))
	return errors.Join(err, h.file.Sync())
}

// want notes an order that is going to be placed.
func (h *history) want(w Wish) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.orders[w.ID] = &placed{Wish: w}
	h.ids = append(h.ids, w.ID)
}

// acknowledged writes down that a reseller said yes to a call of a time.
func (h *history) acknowledged(id string, cancel bool, asked time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.orders[id]
	kind := "acknowledged"
	if !cancel && !o.acknowledged.IsZero() {
		o.asked = asked
	}
	switch {
	case cancel && o.calledOff, !cancel && !o.acknowledged.IsZero():
		return nil
	case cancel:
		kind = "cancel_acknowledged"
	}
	if err := h.write(kind, o.Wish); err != nil {
		return err
	}
	if cancel {
		o.calledOff = true
	} else {
		o.acknowledged, o.asked = time.Now(), asked
	}
	return nil
}

// read notes which subscriptions an order is about.
func (h *history) read(id string, items []*portalv1.OrderLine) {
	h.change(id, func(o *placed) {
		o.subscriptions = nil
		for _, it := range items {
			if s := it.GetSubscriptionId(); s != "" {
				o.subscriptions = append(o.subscriptions, s)
			}
		}
	})
}

// change alters what is known of an order.
func (h *history) change(id string, fn func(*placed)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.orders[id]; o != nil {
		fn(o)
	}
}

// of is a copy of what is known of an order.
func (h *history) of(id string) placed {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.orders[id]; o != nil {
		return *o
	}
	return placed{}
}

// all are copies of all orders, in the order of the wishes.
func (h *history) all() (all []placed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range h.ids {
		all = append(all, *h.orders[id])
	}
	return all
}
