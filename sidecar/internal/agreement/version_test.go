package agreement_test

import (
	"slices"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// announces has a side know that the partner reads these versions of documents.
func (s *side) announces(origin string, versions ...string) {
	s.t.Helper()
	p := s.partnership(origin)
	p.Documents = versions
	s.Do(func(tx *store.Tx) error {
		_, err := tx.Partners().Put(p)
		return err
	})
}

func TestNothingIsSignedThatThePartnerCannotRead(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	unread := refusal{fault.Precondition, "document_version", ""}

	s.announces(buyer, "hanse-agreement/2", signed.OrderV1)
	before := s.books()
	_, err := s.service.Offer(t.Context(), buyer, terms)
	unread.check(t, err)
	unread.check(t, s.service.MayOffer(t.Context(), buyer, terms))
	s.unchanged(t, before)
	s.announces(buyer, signed.AgreementV1)
	offered := s.delivered(buyer, terms)

	for _, missing := range []string{signed.OrderV1, signed.CancelV1, signed.AccessReceiptV1} {
		b.announces(seller, slices.DeleteFunc(signed.Versions(), func(v string) bool { return v == missing })...)
		before := b.books()
		_, err := b.agree(seller, offered.ID)
		unread.check(t, err)
		b.unchanged(t, before)
	}
	b.announces(seller, signed.Versions()...)
	if a, err := b.agree(seller, offered.ID); err != nil || a.State != agreement.Agreed {
		t.Errorf("with all versions it is %s, %v", a.State, err)
	}
}
