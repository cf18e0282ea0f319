package exchange

import (
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// A partner that has our signature under a document knows that we have signed our log up to its checkpoint. If this store is lost or put back
// then, the partner is the only one who can give that log back, and only what it has read of it. So our entries that it is not known to have
// read go with the document; as a rule they are those that placed it.

const (
	// unreadMost is how many entries go with a call.
	unreadMost = 500
	// callBytes bounds documents and entries of a call together: what every partner takes of a message, less what else is in it.
	callBytes = 240 << 10
	// entryFrame is what each entry takes in a message besides its bytes.
	entryFrame = 5
)

// readUnread reads our entries that the partner is not known to have read. Of a log that is in doubt, or that the partner does not read, there
// are none.
func (v *standing) readUnread(tx federation.Tx) ([]ledger.Entry, error) {
	if v.closed != nil || v.word != "" || v.forked && !v.opening {
		return nil, nil
	}
	read := ledger.Position{Life: v.own.Life}
	if v.own.Seen.Life == v.own.Life {
		read = v.own.Seen
	}
	if read.Compare(v.own.Position()) >= 0 {
		return nil, nil
	}
	return tx.Ledger().Entries(v.from.Origin, ledger.Own, read, unreadMost+1)
}

// tells are the entries that go with documents: all that are unread where they fit into the call. Where they do not, they are as many as do, if
// they have the entries of all the documents, and else none: the partner then knows of entries that it has not read until its feed brings them.
func (v *standing) tells(documents []dispatch.Document) []ledger.Entry {
	room := callBytes
	for _, d := range documents {
		room -= d.Size()
	}
	n := 0
	for n < min(len(v.unread), unreadMost) && len(v.unread[n].Bytes)+entryFrame <= room {
		room -= len(v.unread[n].Bytes) + entryFrame
		n++
	}
	fit := v.unread[:n]
	if n == 0 || fit[n-1].Position() == v.own.Position() || placedIn(fit, documents) {
		return fit
	}
	return nil
}

// placedIn reports whether each of the documents is named by one of the entries.
func placedIn(entries []ledger.Entry, documents []dispatch.Document) bool {
	named := make(map[string]bool, len(entries))
	for _, e := range entries {
		if b, err := ledger.ReadBody(e); err == nil {
			named[b.Document] = true
		}
	}
	for _, d := range documents {
		if payload, err := signed.Payload(d.JWS); err != nil || !named[signed.Digest(payload)] {
			return false
		}
	}
	return true
}
