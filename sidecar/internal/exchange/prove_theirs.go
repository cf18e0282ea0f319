package exchange

import (
	"context"
	"maps"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// wanted are the partners to ask: where our store is in doubt, and where theirs is known to be older or said to be.
func (p *Prover) wanted(ctx context.Context, states map[string]ledger.BooksState) (partners []string) {
	for partner, state := range states {
		if state == ledger.Unproven {
			partners = append(partners, partner)
		}
	}
	var older []string
	var withheld map[string]ledger.Books
	err := p.Work.View(ctx, func(tx federation.Tx) (err error) {
		if older, err = tx.Ledger().Older(); err != nil {
			return err
		}
		withheld, err = ledger.AllWithheld(tx, states)
		return err
	})
	for partner, books := range withheld {
		if books.Asks() {
			partners = append(partners, partner)
		}
	}
	if err != nil && ctx.Err() == nil {
		p.Logger.Warn("books unreadable, nobody new is asked about theirs", "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.AppendSeq(append(partners, older...), maps.Keys(p.suspects))
}

// Suspect is told of a partner that says its own store is older than what it signed. It is asked for its signature under that.
func (p *Prover) Suspect(partner string) {
	signal := p.signal()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.suspects[partner] {
		return
	}
	if p.suspects == nil {
		p.suspects = make(map[string]bool)
	}
	p.suspects[partner] = true
	select {
	case signal <- struct{}{}:
	default:
	}
}

func (p *Prover) signal() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.suspected == nil {
		p.suspected = make(chan struct{}, 1)
	}
	return p.suspected
}

func (p *Prover) suspect(partner string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.suspects[partner]
}

func (p *Prover) unsuspect(partner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.suspects, partner)
}

// older keeps the partner's signature under a log that ends before what it had signed, and tells it once.
func (p *Prover) older(ctx context.Context, partner, document string) error {
	first := false
	err := p.Work.Do(ctx, func(tx federation.Tx) error {
		books, err := tx.Ledger().Books(partner)
		if first = err == nil && !books.Older(); !first {
			return err
		}
		books.PartnerBehind = ledger.PartnerBehind{Since: p.Now().UTC(), Proof: document}
		_, err = tx.Ledger().PutBooks(books)
		return err
	})
	if err == nil && first {
		p.Logger.Error("the database of a partner is older than what it signed: there is no new business with it until it has recovered; its operator has to be told",
			"partner", partner)
	}
	return err
}

// recovered ends what was known of the partner's store, or suspected: its log has again what it signed.
func (p *Prover) recovered(ctx context.Context, partner string) error {
	was := false
	err := p.Work.Do(ctx, func(tx federation.Tx) error {
		books, err := tx.Ledger().Books(partner)
		if was = err == nil && books.Older(); !was {
			return err
		}
		books.PartnerBehind = ledger.PartnerBehind{}
		_, err = tx.Ledger().PutBooks(books)
		return err
	})
	if err == nil {
		p.unsuspect(partner)
	}
	if err == nil && was {
		p.Logger.Info("the database of a partner has again what it signed", "partner", partner)
	}
	return err
}
