package exchange

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// waves puts the documents into the order in which they are decided: of each subject the first together, then the second, and so
// on, because what a document meets depends on the one before. So it does for two that are decided under one id. A cancel overtakes.
func waves(items []*item) (all [][]*item) {
	order := slices.Clone(items)
	slices.SortStableFunc(order, func(a, b *item) int { return cmp.Compare(rank(a), rank(b)) })
	turns := make(map[any]int)
	for _, it := range order {
		if it.done {
			continue
		}
		meets := []any{it.subject, it.key}
		if it.ends != (Key{}) {
			meets = append(meets, it.ends)
		}
		turn := 0
		for _, m := range meets {
			turn = max(turn, turns[m])
		}
		for _, m := range meets {
			turns[m] = turn + 1
		}
		if turn == len(all) {
			all = append(all, nil)
		}
		all[turn] = append(all[turn], it)
	}
	return all
}

func rank(it *item) int {
	if it.typ == signed.Cancel {
		return 0
	}
	return 1
}

// unblocked leaves out of a wave what waits because an earlier document of its subject is undecided, and not what a cancel has
// decided.
func (v *visit) unblocked(wave []*item) []*item {
	for _, it := range v.items {
		if it.done && it.err != nil && it.matter != nil {
			if first, known := v.blocked[it.subject]; !known || it.place < first {
				v.blocked[it.subject] = it.place
			}
		}
	}
	ended := make(map[Key]bool)
	for _, it := range v.items {
		if it.ends != (Key{}) && it.done && it.err == nil {
			ended[it.ends] = true
		}
	}
	return slices.DeleteFunc(wave, func(it *item) bool {
		first, blocked := v.blocked[it.subject]
		switch {
		case it.done, !blocked, first > it.place, it.typ == signed.Cancel, ended[it.key]:
			return false
		case it.refusal != nil:
			it.undecided(it.refusal)
		default:
			it.undecided(fault.New(fault.Unavailable, reasonWaits, "an earlier document about %s is undecided", it.subject))
		}
		return true
	})
}

// errPart says that one document of a batch cannot be written.
var errPart = errors.New("a document of the batch cannot be written")

// together is how many rounds in a row the documents of a wave lose as one. What loses more often may be one that can never be written.
const together = 3

// decide decides on a wave. What changed since it was read has the wave read and assessed again; where one document cannot be
// written, or keeps the others from it, each is written by itself from then on, and only that one stays undecided.
func (d *Desk) decide(ctx context.Context, v *visit, wave []*item) error {
	apart, round := false, 0
	err := unit.Fresh(func() error {
		round++
		apart = apart || round > together
		wave = slices.DeleteFunc(wave, func(it *item) bool { return it.done })
		if len(wave) == 0 {
			return nil
		}
		if v.contradicted {
			if err := d.judge(ctx, v); err != nil {
				return err
			}
		}
		if err := d.read(ctx, v, wave); err != nil {
			return err
		}
		var ready []*item
		for _, it := range wave {
			if it.done {
				continue
			}
			if err := it.matter.assess(); err != nil {
				it.undecided(err)
				continue
			}
			ready = append(ready, it)
		}
		if len(ready) == 0 {
			return nil
		}
		d.hit(ready, "before_commit")
		err := d.commit(ctx, v, ready, apart)
		if errors.Is(err, errPart) {
			apart, err = true, unit.ErrStale
		}
		if errors.Is(err, errTake) {
			d.readFirst(ctx, v)
			err = unit.ErrStale
		}
		if err == nil || apart {
			d.hit(ready, "after_commit")
		}
		return err
	})
	if !errors.Is(err, unit.ErrStale) {
		return err
	}
	for _, it := range wave {
		if !it.done {
			d.Logger.Warn("a submitted document loses every race about what it depends on; the partner sends it again",
				"partner", v.call.Partner, "type", it.key.Type, "id", it.key.ID, "error", err)
			it.undecided(err)
		}
	}
	return nil
}

// points names the failpoints of each type.
var points = map[string]string{
	signed.Order: "resale.place.", signed.Cancel: "resale.cancel.", signed.AccessReceipt: "resale.confirm.", signed.Agreement: "exchange.agreement.",
	signed.Erase: "resale.erase.",
}

func (d *Desk) hit(items []*item, step string) {
	for typ, point := range points {
		if slices.ContainsFunc(items, func(it *item) bool { return it.typ == typ }) {
			d.Fail.Hit(point + step)
		}
	}
}

// batch is what the documents of one transaction share.
type batch struct {
	desk *Desk
	v    *visit
	tx   Tx
	look *resale.Look
	// accepted are jobs that are not written yet, jobs those that are held by this process.
	accepted, jobs []job.Job
}

func (d *Desk) batch(v *visit, tx Tx) *batch {
	return &batch{desk: d, v: v, tx: tx, look: d.Orders.Look(tx, v.call.Partner)}
}

// read finds what of a wave was decided before and reads its facts. The first time it finds what was decided before of all documents,
// for no other document keeps those waiting.
func (d *Desk) read(ctx context.Context, v *visit, wave []*item) error {
	of := wave
	if !v.looked {
		of = v.items
	}
	var left []*item
	var keys []Key
	for _, it := range of {
		if plant.On(plant.SkipTheDedupe) && !v.looked {
			it.key.ID += rand.Text()
		}
		if !it.done {
			left, keys = append(left, it), append(keys, it.key)
		}
	}
	results := make([]func(), 0, len(left))
	err := d.Work.View(ctx, func(tx Tx) (err error) {
		results = results[:0]
		books, err := tx.Ledger().Books(v.call.Partner)
		if err != nil {
			return err
		}
		v.books, v.doubted, v.older = books.State, books.Closed() != nil, books.Older()
		known, err := tx.Decisions().Decisions(v.call.Partner, keys)
		if err != nil {
			return err
		}
		b := d.batch(v, tx)
		for _, it := range left {
			before, decided := known[it.key]
			if decided {
				results = append(results, func() { it.recall(before) })
			}
			if decided || !slices.Contains(wave, it) {
				continue
			}
			refusal := v.bars(it)
			if refusal == nil {
				refusal = it.matter.read(b)
				if fault.Is(refusal, fault.Unavailable) {
					return refusal
				}
			}
			if refusal != nil {
				results = append(results, func() { it.undecided(refusal) })
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.looked = true
	for _, result := range results {
		result()
	}
	return nil
}

// recall takes what was decided about a document before, whoever may submit it now.
func (it *item) recall(before Decision) {
	if len(before.Digest) > 0 && !bytes.Equal(before.Digest, it.digest) {
		it.undecided(fault.New(fault.Conflict, reasonConflict, "a document %s with other content was decided in entry %s", it.key.ID, before.At))
		return
	}
	it.decided(before.At)
}

// bars is why a document that is not decided yet waits, whatever it says.
func (v *visit) bars(it *item) error {
	if it.refusal == nil && v.books != ledger.Level && (newBusiness(it.scope) || v.doubted) {
		return fault.New(fault.Unavailable, "books_"+string(v.books), "our books with the partner are %s; %s", v.books, waitsFor[v.books])
	}
	if it.refusal == nil && v.older && newBusiness(it.scope) {
		return fault.New(fault.Unavailable, ledger.ReasonPartnerBehind, "your database is older than what you signed for us; no new business until it has recovered")
	}
	return it.refusal
}

// waitsFor says what a document waits for that is not decided in a state of the books.
var waitsFor = map[ledger.BooksState]string{
	ledger.Unproven: "nothing is decided until they are proved level",
	ledger.Behind:   "nothing is decided until what is missing is read back",
	ledger.Forked:   "no new business until both operators agree",
}

// newBusiness reports whether documents that need a scope begin something, which waits while the books are not level.
func newBusiness(name string) bool { return name == scope.OrdersWrite || name == scope.AgreementSign }

// commit writes the decisions on documents that were assessed: all or none of them, or with apart each by itself.
func (d *Desk) commit(ctx context.Context, v *visit, ready []*item, apart bool) error {
	var b *batch
	places, errs := make([]ledger.Position, len(ready)), make([]error, len(ready))
	err := d.Work.Do(ctx, func(tx Tx) error {
		b = d.batch(v, tx)
		if err := b.still(); err != nil {
			return err
		}
		if !apart {
			err := tx.Together(func() error {
				if err := b.take(); err != nil {
					return err
				}
				return b.write(ready, places)
			})
			if err != nil {
				return err
			}
			return b.seen()
		}
		if err := b.take(); err != nil {
			return err
		}
		for i := range ready {
			jobs := len(b.jobs)
			if errs[i] = tx.Savepoint(func() error { return b.write(ready[i:i+1], places[i:i+1]) }); errs[i] != nil {
				b.jobs = b.jobs[:jobs]
			}
			if fault.Is(errs[i], fault.Unavailable) {
				return errs[i]
			}
		}
		return b.seen()
	})
	if err != nil {
		return err
	}
	v.news, v.taken = false, true
	v.jobs = append(v.jobs, b.jobs...)
	for i, it := range ready {
		switch {
		case errs[i] == nil:
			it.decided(places[i])
		case errors.Is(errs[i], unit.ErrStale):
			err = unit.ErrStale
		default:
			var part *partError
			if errors.As(errs[i], &part) {
				errs[i] = part.err
			}
			it.undecided(errs[i])
		}
	}
	return err
}

// still is unit.ErrStale where the books are in another state than when the documents were read, and refuses a call that began before
// the partner asked how they stand.
func (b *batch) still() error {
	if err := ledger.Under(b.tx, b.v.call.Partner, b.v.epoch); err != nil {
		return err
	}
	books, err := b.tx.Ledger().Books(b.v.call.Partner)
	if err != nil {
		return err
	}
	if books.State != b.v.books || books.Older() != b.v.older {
		return unit.ErrStale
	}
	return b.word()
}

// word is unit.ErrStale where a page came since the partner's checkpoint was judged and has another entry at its place. A page that comes
// after this commit is held against what is kept with the decision; of one that came before, nobody else would ask.
func (b *batch) word() error {
	v, store := b.v, b.tx.Ledger()
	held := v.shown.Checkpoint
	if !v.shown.Beyond {
		return nil
	}
	head, err := store.Head(v.call.Partner, ledger.Theirs)
	if err != nil || head.Life != held.Life || head.Seq < held.Seq {
		return err
	}
	hash := head.Hash
	if head.Seq > held.Seq {
		e, err := store.Entry(v.call.Partner, ledger.Theirs, held.Position())
		if err != nil {
			return fmt.Errorf("our copy of the ledger of %s: %s", v.call.Partner, err) // it is missing here, and nobody asked for it
		}
		hash = e.Hash
	}
	if hex.EncodeToString(hash[:]) != held.Hash {
		v.contradicted = true
		return unit.ErrStale
	}
	return nil
}

// seen takes over what the partner has read. It writes the head of our ledger, so it comes behind what is appended there.
func (b *batch) seen() error {
	if !b.v.news {
		return nil
	}
	return b.tx.Ledger().SetSeen(b.v.call.Partner, b.v.proof.Checkpoint, b.v.proof.JWS)
}

// partError is why a document cannot be written.
type partError struct{ err error }

func (e *partError) Error() string        { return errPart.Error() + ": " + e.err.Error() }
func (e *partError) Unwrap() error        { return e.err }
func (e *partError) Is(target error) bool { return target == errPart }

// part is the error of one document, unless it is about the transaction.
func part(err error) error {
	if err == nil || errors.Is(err, unit.ErrStale) || fault.Is(err, fault.Unavailable) {
		return err
	}
	return &partError{err}
}

// write writes documents with one lock of our ledger's head, held as short as can be: it comes last.
func (b *batch) write(items []*item, places []ledger.Position) error {
	b.accepted = b.accepted[:0]
	for _, it := range items {
		if err := it.matter.still(b); err != nil {
			return part(err)
		}
	}
	decided := make([]resale.Decided, len(items))
	drafts := make([]ledger.Draft, len(items))
	for i, it := range items {
		var err error
		if decided[i], err = it.matter.commit(b); err != nil {
			return part(err)
		}
		drafts[i] = decided[i].Draft
	}
	if err := b.lease(); err != nil {
		return part(err)
	}
	entries, err := b.desk.Book.AppendAll(b.tx, b.v.call.Partner, drafts)
	if err != nil {
		return part(err)
	}
	made := make([]Decision, 0, len(items))
	for i, it := range items {
		places[i] = entries[i].Position()
		if err := decided[i].Settle(entries[i]); err != nil {
			return part(err)
		}
		made = append(made, b.made(it, places[i])...)
	}
	return part(b.tx.Decisions().PutDecisions(made))
}

// made is the decision, and where a cancel came before its order, or a request to erase one that both ended before it came, that on the order too.
func (b *batch) made(it *item, at ledger.Position) []Decision {
	made := Decision{
		Partner: b.v.call.Partner, Key: it.key, Digest: it.digest, At: at,
		Checkpoint: b.v.call.Checkpoint, Held: b.v.shown.Checkpoint, Escrow: it.Escrow,
	}
	if it.typ == signed.Cancel || it.typ == signed.AccessReceipt || it.typ == signed.Life || it.typ == signed.Erase {
		made.Document = it.JWS
	}
	order := made
	order.Key, order.Digest, order.Document = it.ends, nil, ""
	if e, erases := it.matter.(*eraseMatter); erases && e.never {
		order.Key = Key{signed.Order, e.erase.Order}
	} else if !it.unseen() {
		return []Decision{made}
	}
	return []Decision{made, order}
}

// enqueue takes a job of an accepted document; lease writes it.
func (b *batch) enqueue(j job.Job) error {
	j.DueAt = b.desk.Now().UTC()
	b.accepted = append(b.accepted, j)
	return nil
}

// lease adds the jobs of accepted documents, held where this process can begin them at once.
func (b *batch) lease() error {
	if len(b.accepted) == 0 {
		return nil
	}
	if b.desk.Claim != nil && b.desk.Provision != nil {
		if owner, until, ok := b.desk.Claim(); ok {
			added, err := b.tx.Jobs().AllLeased(b.accepted, owner, until)
			b.jobs = append(b.jobs, added...)
			return err
		}
	}
	for _, j := range b.accepted {
		if err := b.tx.Jobs().At(j.Kind, j.Key, j.Partner, j.DueAt); err != nil {
			return err
		}
	}
	return nil
}

// acceptSeen takes over what the partner has read, where no decision did.
func (d *Desk) acceptSeen(ctx context.Context, v *visit) error {
	if !v.news {
		return nil
	}
	return d.Work.Do(ctx, func(tx Tx) error { return tx.Ledger().SetSeen(v.call.Partner, v.proof.Checkpoint, v.proof.JWS) })
}
