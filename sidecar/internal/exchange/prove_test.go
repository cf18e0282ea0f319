package exchange_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// doubt is a member whose books are unproven with two partners, the first of whom may lie. Each of the three logs between them has two
// entries in either direction.
type doubt struct {
	*markettest.Member
	t      *testing.T
	prover *exchange.Prover
	desks  map[string]*exchange.Desk
	peers  map[string]*markettest.Member
	wake   chan struct{}
	lacks  bool

	mu sync.Mutex
	// lie changes what the first partner answers before it signs; nil is honest. silent gives no answer.
	lie    func(*exchange.Comparison)
	silent bool
	asked  map[string]int
	level  []string
	older  []string
	logged bytes.Buffer
}

func inDoubt(t *testing.T, test func(t *testing.T, d *doubt)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(markettest.Noon()))
		d := &doubt{
			t: t, desks: make(map[string]*exchange.Desk), peers: make(map[string]*markettest.Member), asked: make(map[string]int),
			wake: make(chan struct{}, 1),
		}
		d.Member = markettest.Open(t, resellerOrigin, markettest.Config{Wake: func(topic unit.Topic) {
			if topic == unit.Partners {
				select {
				case d.wake <- struct{}{}:
				default:
				}
			}
		}})
		d.Book.Older = func(partner string, _ ledger.Position) { d.older = append(d.older, partner) }
		for _, origin := range []string{firstOrigin, secondOrigin} {
			p := markettest.Open(t, origin, markettest.Config{Clock: d.Clock})
			d.Meet(p)
			d.desks[origin], d.peers[origin] = deskOf(p), p
			for _, subject := range []string{"order-1", "order-2"} {
				d.Append(origin, ledger.OrderPlaced, subject)
				p.Append(d.Origin, ledger.OrderAccepted, subject)
			}
			d.reads(d.Member, p)
			d.reads(p, d.Member)
		}
		d.prover = &exchange.Prover{
			Self: d.Origin, Work: store.For[federation.Tx](d.Store), Book: d.Book, Link: d, Now: time.Now, Nonce: func(b []byte) { _, _ = rand.Read(b) },
			Rand: func() float64 { return 0.5 }, Logger: slog.New(slog.NewTextHandler(&d.logged, nil)),
			Lacks:     func(federation.Tx, ledger.Entry) (bool, error) { return d.lacks, nil },
			Behind:    func(string) {},
			Level:     func(partner string) { d.mu.Lock(); defer d.mu.Unlock(); d.level = append(d.level, partner) },
			Subscribe: func(unit.Topic) (<-chan struct{}, func()) { return d.wake, func() {} },
		}
		test(t, d)
	})
}

// reads has one member read another's log to its end, and tell it so.
func (d *doubt) reads(m, from *markettest.Member) {
	d.t.Helper()
	var after ledger.Position
	m.View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(from.Origin, ledger.Theirs)
		after = head.Position()
		return err
	})
	page, err := from.Book.Tail(d.t.Context(), m.Origin, after, 100)
	if err != nil {
		d.t.Fatal(err)
	}
	handlers := make(map[ledger.Kind]federation.Handler)
	for _, kind := range ledger.Kinds() {
		handlers[kind] = func(_ federation.Tx, e ledger.Entry) error {
			if strings.HasPrefix(e.Subject, "parked") {
				return fault.New(fault.NotFound, "order_not_found", "no such order")
			}
			return nil
		}
	}
	reader := &federation.LedgerReader{Self: m.Origin, Work: store.For[federation.Tx](m.Store), Now: m.Clock.Now, Handlers: handlers}
	partner := member.Partner{Origin: from.Origin, BusinessKey: from.Key()}
	if _, err := reader.Read(d.t.Context(), partner, after, federation.LedgerPage{Entries: page.Entries, Checkpoint: page.Checkpoint}); err != nil {
		d.t.Fatal(err)
	}
	seen, err := m.Book.SeenCheckpoint(d.t.Context(), from.Origin)
	if err == nil {
		err = from.Book.Hear(d.t.Context(), m.Origin, m.Pinned(), seen)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// Compare is the wire.
func (d *doubt) Compare(ctx context.Context, partner string, nonce []byte) (string, error) {
	d.mu.Lock()
	d.asked[partner]++
	lie, silent := d.lie, d.silent
	d.mu.Unlock()
	if partner == firstOrigin && silent {
		<-ctx.Done()
		return "", ctx.Err()
	}
	jws, err := d.desks[partner].Compare(ctx, d.Origin, ledger.Token{}, nonce)
	if err != nil || partner != firstOrigin || lie == nil {
		return jws, err
	}
	payload, err := signed.Open(jws, signed.Compare, d.peers[partner].Key())
	if err != nil {
		return "", err
	}
	var c exchange.Comparison
	if err := signed.Decode(payload, &c); err != nil {
		return "", err
	}
	lie(&c)
	if payload, err = json.Marshal(c); err != nil {
		return "", err
	}
	return d.peers[partner].Keys.Sign(keys.Business, signed.Compare, payload)
}

// times is how often a partner was asked.
func (d *doubt) times(partner string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[partner]
}

// start doubts the books, as a start does, and asks.
func (d *doubt) start() (stop func()) {
	d.t.Helper()
	d.Do(func(tx *store.Tx) error { return ledger.Doubt(tx, ledger.ReasonStarted, time.Now()) })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = d.prover.Run(ctx); close(ended) }()
	synctest.Wait()
	return func() { cancel(); <-ended }
}

func (d *doubt) stand(partner string) (b ledger.Books) {
	d.t.Helper()
	d.View(func(tx *store.Tx) (err error) { b, err = tx.Ledger().Books(partner); return err })
	return b
}

func TestOneAnswerOfEachPartnerProvesTheBooksLevel(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		stop := d.start()
		for _, partner := range []string{firstOrigin, secondOrigin} {
			if b := d.stand(partner); b.State != ledger.Level || b.Reason != "" || d.times(partner) != 1 {
				t.Errorf("with %s after %d questions: %+v", partner, d.times(partner), b)
			}
		}
		if len(d.level) != 2 {
			t.Errorf("told were %v", d.level)
		}
		d.Append(firstOrigin, ledger.OrderPlaced, "order-3")
		stop()
		if strings.Contains(d.logged.String(), "WARN") {
			t.Errorf("a start is told as trouble: %s", &d.logged)
		}
	})
}

// TestAStoreThatWasPutBackSaysSoBeforeItsBooksAreLevel, also after a start since; one that was started only does not.
func TestAStoreThatWasPutBackSaysSoBeforeItsBooksAreLevel(t *testing.T) {
	for reason, want := range map[string]bool{
		ledger.ReasonStarted: false, ledger.ReasonRestored: true, ledger.ReasonWentBack: true, ledger.ReasonServerChanged: true, "ledger_read_back": true,
	} {
		t.Run(reason, func(t *testing.T) {
			inDoubt(t, func(t *testing.T, d *doubt) {
				d.Do(func(tx *store.Tx) error { return ledger.Doubt(tx, reason, time.Now()) })
				fails := true
				var told []string
				d.prover.PutBack = func(_ context.Context, partner string) error {
					if d.stand(partner).State != ledger.Unproven {
						t.Errorf("%s: the books are %s before", reason, d.stand(partner).State)
					}
					if partner == firstOrigin && fails {
						fails = false
						return errors.New("the disk is full")
					}
					d.mu.Lock()
					defer d.mu.Unlock()
					told = append(told, partner)
					return nil
				}
				stop := d.start()
				defer stop()
				if want && d.stand(firstOrigin).State != ledger.Unproven {
					t.Errorf("%s: level though it could not be said", reason)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for _, partner := range []string{firstOrigin, secondOrigin} {
					if slices.Contains(told, partner) != want || d.stand(partner).State != ledger.Level {
						t.Errorf("%s: told %v, the books are %+v", reason, told, d.stand(partner))
					}
				}
			})
		})
	}
}

// TestALiarCannotProveUsLevel, nor can it keep anybody else's books waiting.
func TestALiarCannotProveUsLevel(t *testing.T) {
	first := func(d *doubt) *markettest.Member { return d.peers[firstOrigin] }
	for name, c := range map[string]struct {
		// before is done before the start, lie is what it answers.
		before func(d *doubt)
		lie    func(d *doubt) func(*exchange.Comparison)
		told   string
	}{
		"its log ends before what it signed": {lie: func(d *doubt) func(*exchange.Comparison) {
			return func(c *exchange.Comparison) { c.Seq = 1; c.Hash = d.hash(firstOrigin, ledger.Theirs, 1) }
		}, told: "older than what it signed"},
		"its log has another entry": {lie: func(*doubt) func(*exchange.Comparison) {
			return func(c *exchange.Comparison) { c.Hash = strings.Repeat("ab", 32) }
		}, told: "comparison_contradicts"},
		"it forgets what it countersigned": {lie: func(d *doubt) func(*exchange.Comparison) {
			old := d.checkpoint(firstOrigin, 1)
			return func(c *exchange.Comparison) { c.Held = old }
		}, told: "comparison_forgets"},
		"it says that it holds nothing": {lie: func(*doubt) func(*exchange.Comparison) {
			return func(c *exchange.Comparison) { c.Held = "" }
		}, told: "comparison_forgets"},
		"what it holds is its own word": {lie: func(d *doubt) func(*exchange.Comparison) {
			theirs, err := first(d).Book.OwnCheckpoint(d.t.Context(), d.Origin)
			if err != nil {
				d.t.Fatal(err)
			}
			return func(c *exchange.Comparison) { c.Held = theirs }
		}, told: "document_signature_invalid"},
		"an answer to another question": {lie: func(*doubt) func(*exchange.Comparison) {
			return func(c *exchange.Comparison) { c.Nonce = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) }
		}, told: "comparison_malformed"},
		"an answer for another member": {lie: func(*doubt) func(*exchange.Comparison) {
			return func(c *exchange.Comparison) { c.Audience = secondOrigin }
		}, told: "comparison_malformed"},
		"a log that goes on and that nobody can read": {lie: func(*doubt) func(*exchange.Comparison) {
			return func(c *exchange.Comparison) { c.Seq = 99 }
		}, told: "ledger_not_read"},
		"a document of ours that we do not have": {before: func(d *doubt) {
			first(d).Append(d.Origin, ledger.OrderAccepted, "parked-1")
			d.reads(d.Member, first(d))
			d.lacks = true
		}, told: "document_missing"},
		"no answer": {before: func(d *doubt) { d.silent = true }},
	} {
		t.Run(name, func(t *testing.T) {
			inDoubt(t, func(t *testing.T, d *doubt) {
				if c.before != nil {
					c.before(d)
				}
				if c.lie != nil {
					d.lie = c.lie(d)
				}
				stop := d.start()
				if b := d.stand(secondOrigin); b.State != ledger.Level {
					t.Errorf("another's books are %+v", b)
				}
				pass(time.Hour)
				if b := d.stand(firstOrigin); b.State != ledger.Unproven {
					t.Errorf("its books are %+v", b)
				}
				if n := d.times(firstOrigin); !d.silent && (n < 3 || n > 30) || d.times(secondOrigin) != 1 {
					t.Errorf("they were asked %d and %d times", n, d.times(secondOrigin))
				}
				if c.told != "" && strings.Count(d.logged.String(), c.told) != 1 {
					t.Errorf("told was %s", &d.logged)
				}
				// Once it is honest, one call of it is enough.
				if d.silent {
					stop()
					return
				}
				d.mu.Lock()
				d.lie, d.lacks = nil, false
				d.mu.Unlock()
				d.prover.Heard(firstOrigin)
				synctest.Wait()
				if c.told == "ledger_not_read" { // it was in the middle of waiting
					pass(time.Minute)
					d.prover.Heard(firstOrigin)
					pass(15 * time.Minute)
				}
				if b := d.stand(firstOrigin); b.State != ledger.Level {
					t.Errorf("heard again its books are %+v", b)
				}
				stop()
			})
		})
	}
}

// hash is that of an entry of a log, and checkpoint what we signed at a place.
func (d *doubt) hash(partner string, dir ledger.Direction, seq int64) string {
	d.t.Helper()
	var e ledger.Entry
	d.View(func(tx *store.Tx) (err error) {
		e, err = tx.Ledger().Entry(partner, dir, ledger.Position{Seq: seq})
		return err
	})
	return hex.EncodeToString(e.Hash[:])
}

func (d *doubt) checkpoint(partner string, seq int64) string {
	d.t.Helper()
	raw, err := hex.DecodeString(d.hash(partner, ledger.Own, min(seq, 2)))
	if err != nil {
		d.t.Fatal(err)
	}
	jws, err := d.Book.Checkpoint(partner, ledger.Position{Seq: seq}, [32]byte(raw))
	if err != nil {
		d.t.Fatal(err)
	}
	return jws
}

// TestBooksInWhichNothingStandsAreInDoubtToo: the copy may be older than the first entry.
func TestBooksInWhichNothingStandsAreInDoubtToo(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		const third = "https://third.localhost:4"
		p := markettest.Open(t, third, markettest.Config{Clock: d.Clock})
		d.Meet(p)
		d.desks[third], d.peers[third] = deskOf(p), p
		d.Do(func(tx *store.Tx) error { return ledger.Doubt(tx, ledger.ReasonStarted, time.Now()) })
		if b := d.stand(third); b.State != ledger.Unproven {
			t.Errorf("its books are %+v", b)
		}
		stop := d.start()
		defer stop()
		if b := d.stand(third); b.State != ledger.Level || d.times(third) != 1 {
			t.Errorf("after %d questions its books are %+v", d.times(third), b)
		}
	})
}

// TestWhatNamesADocumentThatWeLackKeepsTheBooksUntilItIsLeftAside: one lie of a partner costs one look of an operator, and no restart after
// it.
func TestWhatNamesADocumentThatWeLackKeepsTheBooksUntilItIsLeftAside(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		first := d.peers[firstOrigin]
		first.Append(d.Origin, ledger.OrderAccepted, "parked-1")
		d.reads(d.Member, first)
		d.lacks = true
		stop := d.start()
		if b := d.stand(firstOrigin); b.State != ledger.Unproven || b.Reason != "document_missing" {
			t.Errorf("its books are %+v", b)
		}
		d.View(func(tx *store.Tx) error {
			proof, err := tx.Ledger().Evidence(firstOrigin)
			if err != nil || !bytes.Contains(proof, []byte("parked-1")) {
				t.Errorf("the evidence is %s, %v", proof, err)
			}
			return nil
		})
		reader := &federation.LedgerReader{Work: store.For[federation.Tx](d.Store), Now: d.Clock.Now, Released: func(p ledger.Parked) { d.prover.Heard(p.Partner) }}
		if _, _, err := reader.Release(t.Context(), firstOrigin, "parked-1", 3, act.Word{By: "operator", Reason: "never ordered"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if b := d.stand(firstOrigin); b.State != ledger.Level || b.Reason != "" {
			t.Errorf("left aside, its books are %+v", b)
		}
		stop()
		stop = d.start()
		defer stop()
		if b := d.stand(firstOrigin); b.State != ledger.Level {
			t.Errorf("after the next start its books are %+v", b)
		}
	})
}

// TestAStartDoesNotUnsayThatADocumentIsMissing: nobody vouches for that, though the partner is silent since.
func TestAStartDoesNotUnsayThatADocumentIsMissing(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		first := d.peers[firstOrigin]
		first.Append(d.Origin, ledger.OrderAccepted, "parked-1")
		d.reads(d.Member, first)
		d.lacks, d.silent = true, true
		stop := d.start()
		defer stop()
		if b := d.stand(firstOrigin); b.Reason != ledger.ReasonStarted {
			t.Fatalf("its books are %+v", b)
		}
		if err := d.prover.Complete(t.Context(), firstOrigin); fault.ReasonOf(err) != ledger.ReasonMissing {
			t.Errorf("complete: %v", err)
		}
		if b := d.stand(firstOrigin); b.Reason != ledger.ReasonMissing {
			t.Errorf("its books are %+v", b)
		}
	})
}

// TestWhatIsParkedWhileAnAnswerIsWeighedIsLookedAt: what it names may be a document that we lack, and no later page would say so.
func TestWhatIsParkedWhileAnAnswerIsWeighedIsLookedAt(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		first, came := d.peers[firstOrigin], false
		parked := func(subject string) {
			first.Append(d.Origin, ledger.OrderAccepted, subject)
			d.reads(d.Member, first)
		}
		parked("parked-1")
		d.prover.Lacks = func(_ federation.Tx, e ledger.Entry) (bool, error) {
			if !came {
				came = true
				parked("parked-2")
			}
			return e.Subject == "parked-2", nil
		}
		stop := d.start()
		defer stop()
		pass(time.Minute)
		if b := d.stand(firstOrigin); b.State != ledger.Unproven || b.Reason != "document_missing" {
			t.Errorf("its books are %+v", b)
		}
	})
}

// TestOneProofThatTheStoreIsOldPutsAllBooksInDoubt: by our own signature alone, which nobody else can make. The others answer, and go on.
func TestOneProofThatTheStoreIsOldPutsAllBooksInDoubt(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		later := d.checkpoint(firstOrigin, 3)
		d.lie = func(c *exchange.Comparison) { c.Held = later }
		stop := d.start()
		defer stop()
		b := d.stand(firstOrigin)
		if b.State != ledger.Behind || b.Reason != "ledger_recovering" || len(d.older) != 1 {
			t.Errorf("the books are %+v, told were %v", b, d.older)
		}
		d.View(func(tx *store.Tx) error {
			proof, err := tx.Ledger().Evidence(firstOrigin)
			if err != nil || !bytes.Contains(proof, []byte(later)) {
				t.Errorf("the evidence is %s, %v", proof, err)
			}
			return nil
		})
		pass(time.Second) // the other may have been in the middle of an answer that does not count any more
		if b := d.stand(secondOrigin); b.State != ledger.Level || d.times(secondOrigin) < 1 {
			t.Errorf("another's books are %+v", b)
		}
		// A command or a tail proves it too, of books that were level, and no answer of the partner ends it.
		d.lie = nil
		asked := d.times(firstOrigin)
		seen, err := d.peers[secondOrigin].Book.Countersign(d.Origin, d.checkpoint(secondOrigin, 3))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Book.Hear(t.Context(), secondOrigin, d.peers[secondOrigin].Pinned(), seen); fault.ReasonOf(err) != "ledger_recovering" {
			t.Errorf("heard: %v", err)
		}
		// What reaches further is kept, and what does not is not: all that it has shown is to be read back.
		further := d.checkpoint(secondOrigin, 5)
		for _, jws := range []string{further, d.checkpoint(secondOrigin, 4)} {
			if _, err := d.Book.Held(t.Context(), secondOrigin, jws, ""); fault.ReasonOf(err) != "ledger_recovering" {
				t.Errorf("held: %v", err)
			}
		}
		d.View(func(tx *store.Tx) error {
			proof, err := tx.Ledger().Evidence(secondOrigin)
			if err != nil || !bytes.Contains(proof, []byte(further)) {
				t.Errorf("then the evidence is %s, %v", proof, err)
			}
			return nil
		})
		d.prover.Heard(firstOrigin)
		pass(time.Hour)
		for _, partner := range []string{firstOrigin, secondOrigin} {
			if b := d.stand(partner); b.State != ledger.Behind {
				t.Errorf("with %s: %+v", partner, b)
			}
		}
		if d.times(firstOrigin) != asked || len(d.older) != 2 {
			t.Errorf("asked %d times more, told were %v", d.times(firstOrigin)-asked, d.older)
		}
	})
}

// TestAStoreThatIsOlderThanItsKeySaysSoOnce: also where the partner answered nothing to the point before.
func TestAStoreThatIsOlderThanItsKeySaysSoOnce(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		theirs, err := d.peers[firstOrigin].Book.OwnCheckpoint(t.Context(), d.Origin)
		if err != nil {
			t.Fatal(err)
		}
		d.lie = func(c *exchange.Comparison) { c.Nonce = "" }
		stop := d.start()
		defer stop()
		pass(time.Hour)
		d.mu.Lock()
		d.lie = func(c *exchange.Comparison) { c.Held = theirs } // by a key that is not here
		d.mu.Unlock()
		d.prover.Heard(firstOrigin)
		pass(time.Hour)
		if b := d.stand(firstOrigin); b.State != ledger.Unproven {
			t.Errorf("the books are %+v", b)
		}
		if n := strings.Count(d.logged.String(), "level=ERROR"); n != 1 || !strings.Contains(d.logged.String(), "hanse key import --renew") {
			t.Errorf("told was %s", &d.logged)
		}
	})
}

// TestAPartnerWhoseStoreIsOlderIsAskedUntilItHasRecovered: its word alone says nothing, its signature under a shorter log is kept.
func TestAPartnerWhoseStoreIsOlderIsAskedUntilItHasRecovered(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		stop := d.start()
		defer stop()
		d.prover.Suspect(firstOrigin)
		synctest.Wait()
		if b := d.stand(firstOrigin); b.Older() || b.State != ledger.Level || d.times(firstOrigin) != 2 {
			t.Errorf("said to be older, after %d questions its books are %+v", d.times(firstOrigin), b)
		}
		d.mu.Lock()
		d.lie = func(c *exchange.Comparison) { c.Seq = 1; c.Hash = d.hash(firstOrigin, ledger.Theirs, 1) }
		d.mu.Unlock()
		d.prover.Suspect(firstOrigin)
		pass(time.Hour)
		b := d.stand(firstOrigin)
		if !b.Older() || b.State != ledger.Level || b.PartnerBehind.Proof == "" {
			t.Errorf("proved to be older, its books are %+v", b)
		}
		if b := d.stand(secondOrigin); b.Older() || b.State != ledger.Level {
			t.Errorf("another's books are %+v", b)
		}
		if n := strings.Count(d.logged.String(), "older than what it signed"); n != 1 || strings.Contains(d.logged.String(), "it is not proved that our books") {
			t.Errorf("told was %s", &d.logged)
		}
		d.mu.Lock()
		d.lie = nil
		d.mu.Unlock()
		before := d.times(firstOrigin)
		d.prover.Heard(firstOrigin)
		pass(time.Second)
		if n := d.times(firstOrigin); n != before {
			t.Errorf("it called to read what it lacks, and is asked %d times meanwhile", n-before)
		}
		pass(2 * time.Second)
		asked := d.times(firstOrigin)
		pass(time.Hour)
		if b := d.stand(firstOrigin); b.Older() || d.times(firstOrigin) != asked {
			t.Errorf("recovered, after %d questions more its books are %+v", d.times(firstOrigin)-asked, b)
		}
	})
}

// TestAnAnswerCountsForTheLastQuestionAlone: what was asked of another store, or by another replica before, proves nothing now.
func TestAnAnswerCountsForTheLastQuestionAlone(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		again := 0
		d.lie = func(*exchange.Comparison) {
			if again++; again < 3 {
				d.Do(func(tx *store.Tx) error { _, err := tx.Ledger().Ask(firstOrigin); return err })
			}
		}
		stop := d.start()
		defer stop()
		if b := d.stand(firstOrigin); b.State != ledger.Unproven {
			t.Errorf("its books are %+v", b)
		}
		pass(time.Minute)
		if b := d.stand(firstOrigin); b.State != ledger.Level || d.times(firstOrigin) != 3 {
			t.Errorf("after %d questions its books are %+v", d.times(firstOrigin), b)
		}
	})
}

// TestAnAnswerWaitsUntilItsLogIsRead: what the partner decided meanwhile may be about a document that this store does not have.
func TestAnAnswerWaitsUntilItsLogIsRead(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		p := d.peers[firstOrigin]
		p.Append(d.Origin, ledger.OrderAccepted, "order-1")
		p.Append(d.Origin, ledger.OrderAccepted, "order-2")
		stop := d.start()
		defer stop()
		pass(2 * time.Second)
		if b := d.stand(firstOrigin); b.State != ledger.Unproven {
			t.Errorf("its books are %+v", b)
		}
		d.reads(d.Member, p)
		d.prover.Read(firstOrigin)
		synctest.Wait()
		if b := d.stand(firstOrigin); b.State != ledger.Level || d.times(firstOrigin) != 1 {
			t.Errorf("after %d questions its books are %+v", d.times(firstOrigin), b)
		}
	})
}

// TestWhoIsHeardAgainIsNotLeftToTheEndOfAPause: it called while it could not answer yet, and a moment later, when it could.
func TestWhoIsHeardAgainIsNotLeftToTheEndOfAPause(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		d.lie = func(c *exchange.Comparison) { c.Held = "" }
		stop := d.start()
		defer stop()
		pass(2 * time.Hour) // the pauses are as long as they get
		before := d.times(firstOrigin)
		d.prover.Heard(firstOrigin)
		synctest.Wait()
		d.mu.Lock()
		d.lie = nil
		d.mu.Unlock()
		pass(time.Second)
		d.prover.Heard(firstOrigin)
		pass(5 * time.Second)
		if n := d.times(firstOrigin) - before; n != 1 {
			t.Errorf("within ten seconds it was asked %d times", n)
		}
		pass(7500 * time.Millisecond)
		if b := d.stand(firstOrigin); b.State != ledger.Level {
			t.Errorf("its books are %+v", b)
		}
	})
}

// TestWhoIsReachedAgainIsAskedAtOnce: it was heard just before, and could not be reached yet.
func TestWhoIsReachedAgainIsAskedAtOnce(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		d.lie = func(c *exchange.Comparison) { c.Held = "" }
		stop := d.start()
		defer stop()
		pass(2 * time.Hour)
		d.prover.Heard(firstOrigin)
		synctest.Wait()
		d.mu.Lock()
		d.lie = nil
		d.mu.Unlock()
		d.prover.Back(firstOrigin)
		synctest.Wait()
		if b := d.stand(firstOrigin); b.State != ledger.Level {
			t.Errorf("its books are %+v", b)
		}
	})
}
