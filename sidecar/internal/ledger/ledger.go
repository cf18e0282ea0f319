package ledger

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// Direction says whose log it is.
type Direction string

const (
	// Own is what we told the partner.
	Own Direction = "own"
	// Theirs is our verified copy of what the partner told us.
	Theirs Direction = "theirs"
)

// Position is a place in one log, after an entry. Its order is (Life, Seq); the zero Position is the start.
type Position struct {
	Life int64 `json:"life"`
	Seq  int64 `json:"seq"`
}

// Compare orders positions: -1 where p comes before q, 0 where they are one place, 1 where p comes after q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Life, q.Life), cmp.Compare(p.Seq, q.Seq))
}

// next is the place of the entry after this one, in the same life.
func (p Position) next() Position { return Position{p.Life, p.Seq + 1} }

// String is the sequence number, with the life before it where that is not the first.
func (p Position) String() string {
	if p.Life == 0 {
		return strconv.FormatInt(p.Seq, 10)
	}
	return strconv.FormatInt(p.Life, 10) + "." + strconv.FormatInt(p.Seq, 10)
}

// Entry is one business event. Bytes is the RFC 8785 form as hashed and as it travels; the other fields are read from it.
type Entry struct {
	Partner   string
	Direction Direction
	// Life is the stretch of the log that the entry stands in; Seq starts at 1 in each.
	Life int64
	Seq  int64
	At   time.Time
	Kind Kind
	// Subject is what the entry is about: an order, an agreement. Entries of one subject apply in order.
	Subject string
	Body    json.RawMessage
	Prev    [32]byte
	Hash    [32]byte
	Bytes   []byte
}

// Position is the entry's place.
func (e Entry) Position() Position { return Position{e.Life, e.Seq} }

// Head is the end of one log.
type Head struct {
	Partner   string
	Direction Direction
	Life      int64
	Seq       int64
	Hash      [32]byte
	// Tick is that of Checkpoint for Theirs; for Own the highest that came back in a SeenCheckpoint.
	Tick int64
	// Checkpoint is the compact JWS at the head that we verified, for Theirs; "" for Own, where it is signed when asked for.
	Checkpoint string
	// Seen is the last checkpoint of ours that the partner countersigned, for Own.
	Seen           Position
	SeenCheckpoint string
}

// Position is the head's place.
func (h Head) Position() Position { return Position{h.Life, h.Seq} }

// Parked is an entry that verified but could not be applied; later entries of its subject queue behind it.
type Parked struct {
	Partner string
	Subject string
	Life    int64
	Seq     int64
	Reason  string
	At      time.Time
	// Behind says, of one that was just parked, that it queues behind another of its subject; it is not kept.
	Behind bool
	// Recovering says, of one that was just parked, that what it waits for may come back by itself, for the books are not level; it is not kept.
	Recovering bool
}

// Position is the place of the entry that is parked.
func (p Parked) Position() Position { return Position{p.Life, p.Seq} }

// Subjects names each subject of parked entries once, in the order in which they were parked.
func Subjects(parked []Parked) []string {
	var subjects []string
	for _, p := range parked {
		if !slices.Contains(subjects, p.Subject) {
			subjects = append(subjects, p.Subject)
		}
	}
	return subjects
}

// Store keeps the logs. All methods belong to one transaction.
type Store interface {
	// Head is the end of the log; the zero Position and the partnership's first hash where nothing was written.
	Head(partner string, dir Direction) (Head, error)
	// Heads are the ends of both logs.
	Heads(partner string) (own, theirs Head, err error)
	// Verified is where our copy of the partner's log ends, and the last verified checkpoint there; "" before the first.
	Verified(partner string) (at Position, checkpoint string, err error)
	// Advance locks the head, calls build with its place and hash, stores the entries that it returns, which continue the chain,
	// and moves the head to the last of them.
	Advance(partner string, dir Direction, build func(after Position, prev [32]byte) ([]Entry, error)) ([]Entry, error)
	// Entries lists the entries after a place, ascending.
	Entries(partner string, dir Direction, after Position, limit int) ([]Entry, error)
	// Entry reads one entry; fault.NotFound.
	Entry(partner string, dir Direction, at Position) (Entry, error)
	// Begin has both logs with a partner stand before the first entry of a life, whose prev is first; nothing of either was read there yet.
	Begin(partner string, life int64, first [32]byte) error
	// SetCheckpoint records the last verified checkpoint of the partner's log (Theirs); unit.ErrStale where it does not stand at the
	// head of our copy.
	SetCheckpoint(partner string, c Checkpoint, jws string) error
	// SetSeen records the last checkpoint of ours that the partner countersigned (Own); one that is not beyond the last changes
	// nothing.
	SetSeen(partner string, c Checkpoint, jws string) error
	// Park records an entry that could not be applied.
	Park(Parked) error
	// Unpark forgets one.
	Unpark(partner, subject string, at Position) error
	// AnyParked reports whether anything of the partner is parked.
	AnyParked(partner string) (bool, error)
	// ParkedSubject lists the first of what is parked for one subject, ascending; ParkedAll all for one partner.
	ParkedSubject(partner, subject string, limit int) ([]Parked, error)
	ParkedAll(partner string) ([]Parked, error)
	// ParkedPage lists what is parked behind one that was listed, by partner, subject and place; partner "" is all partners'.
	ParkedPage(partner string, after Parked, limit int) ([]Parked, error)
	// ParkedPlaces are the places of all that is parked for one partner, ascending.
	ParkedPlaces(partner string) ([]Position, error)
	// ParkedSubjects counts the subjects for which anything is parked, by partner; a partner without one is absent.
	ParkedSubjects() (map[string]int64, error)
	// Tick is the counter of this store, 0 at first; SetTick moves it, unit.ErrStale where it is not at from any more. It wakes
	// nobody.
	Tick() (int64, error)
	SetTick(from, to int64) error
	// Standing is the state of the books alone; Uneven are those of all partners that are not level.
	Standing(partner string) (BooksState, error)
	Uneven() (map[string]BooksState, error)
	// Older names the partners whose own store is known to be older than what they signed.
	Older() ([]string, error)
	// Books is what is known about both logs of the partnership; Level where nothing was ever written down.
	Books(partner string) (Books, error)
	// Evidence is what proves that the books are forked, as JSON; nil where nothing is. PutEvidence keeps it.
	Evidence(partner string) ([]byte, error)
	PutEvidence(partner string, proof []byte) error
	// HeldWithin calls fn with the checkpoints of its own log that the partner sent with its documents, each once, as they were verified, at
	// the places behind after up to the other, of one life.
	HeldWithin(partner string, after, upTo Position, fn func(at Position, jws string) error) error
	// PutBooks writes it; fault.Conflict with unit.ErrStale where another version is stored. It returns what is stored now. Every job
	// that failed before and waits for the partner goes on.
	PutBooks(Books) (Books, error)
	// Ask has the epoch of the books grow for a question of ours, and returns it; Answer does for an answer to the partner, and keeps under
	// which token it asked, unless that is older than what is kept. They wake nobody.
	Ask(partner string) (epoch int64, err error)
	Answer(partner string, asker Token) error
	// Kept names the partners with whom logs are kept, also where nothing stands in them yet.
	Kept() ([]string, error)
}
