package agreement

import (
	"context"
	"sync"
	"time"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Relations says, per call, what a partner may do now. It keeps what it read for a moment; Forget drops it when a
// partnership or an agreement changed: what this process commits holds before anybody is told of the commit, what another replica
// does as soon as its wake-up comes, within relationAge without one.
type Relations struct {
	Self string
	Work unit.Work[Tx]
	Now  func() time.Time

	mu sync.Mutex
	// epoch counts the calls of Forget.
	epoch uint64
	known map[string]relation
}

// relationAge bounds how long another replica's change may go unseen here without a wake-up.
const relationAge = 5 * time.Second

type relation struct {
	read    time.Time
	partner member.State
	// sold holds our agreements as supplier by id.
	sold   map[string]State
	scopes map[string]bool
}

// Forget drops what is kept, and what is being read now is not kept: it may be from before the change.
func (r *Relations) Forget() {
	r.mu.Lock()
	r.epoch++
	r.known = nil
	r.mu.Unlock()
}

// Allowed tells which of the scopes the partner may have under the agreement ("" is none). A scope about orders needs an
// agreement of ours with that partner; fault.Denied agreement_not_yours where there is none.
func (r *Relations) Allowed(ctx context.Context, partner, agreementID string, scopes []string) ([]string, error) {
	rel, err := r.of(ctx, partner)
	if err != nil {
		return nil, err
	}
	granted := rel.scopes
	if agreementID != "" {
		state, known := rel.sold[agreementID]
		if !known {
			return nil, fault.New(fault.Denied, "agreement_not_yours", "there is no agreement %s between us", agreementID)
		}
		granted = Scopes(rel.partner, state)
	}
	var out []string
	for _, s := range scopes {
		if granted[s] && (agreementID != "" || !scope.NeedsAgreement(s)) {
			out = append(out, s)
		}
	}
	return out, nil
}

func (r *Relations) of(ctx context.Context, partner string) (relation, error) {
	r.mu.Lock()
	rel, known := r.known[partner]
	epoch := r.epoch
	r.mu.Unlock()
	if known && r.Now().Sub(rel.read) < relationAge {
		return rel, nil
	}
	rel = relation{read: r.Now(), sold: make(map[string]State)}
	err := r.Work.View(ctx, func(tx Tx) error {
		p, err := tx.Partners().Get(partner)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		rel.partner = p.State
		list, err := tx.Agreements().Between(r.Self, partner)
		if err != nil {
			return err
		}
		states := make([]State, 0, len(list))
		for _, a := range list {
			rel.sold[a.ID] = a.State
			states = append(states, a.State)
		}
		rel.scopes = Scopes(p.State, states...)
		return nil
	})
	if err != nil {
		return relation{}, err
	}
	if rel.scopes == nil {
		rel.scopes = Scopes("")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.epoch != epoch {
		return rel, nil
	}
	if r.known == nil || len(r.known) > 10000 {
		r.known = make(map[string]relation)
	}
	r.known[partner] = rel
	return rel, nil
}
