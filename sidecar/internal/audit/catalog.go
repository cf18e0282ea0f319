package audit

import (
	"crypto/sha256"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
)

// offerings audits the revisions of what we sell: of one offering they follow each other, but for the numbers from which a store that was put
// back goes on with them; all but the last made way, each is whole.
func (r *run) offerings() error {
	var before catalog.Offering
	for done := int64(0); ; {
		var list []catalog.Offering
		err := r.Work.View(r.ctx, func(tx Tx) (err error) {
			if r.floors, err = catalog.Floors(tx.Cursors(), r.Self); err != nil { // of the same moment: numbers may go on from another one meanwhile
				return err
			}
			list, err = tx.Catalog().Revisions(before.ID, before.Revision, page)
			return err
		})
		if err != nil {
			return err
		}
		for _, o := range list {
			r.follows(before, o)
			before = o
		}
		if done += int64(len(list)); len(list) > 0 {
			r.progress("offerings", done)
		}
		if len(list) < page {
			if before.ID != "" {
				r.last(before)
			}
			return nil
		}
	}
}

func (r *run) follows(before, o catalog.Offering) {
	r.holds(sha256.Sum256(o.Document) == o.Digest, catalogues, "", o.ID, "revision %d is not what its digest says", o.Revision)
	if o.ID != before.ID {
		if before.ID != "" {
			r.last(before)
		}
		r.holds(o.Revision == 1 || slices.Contains(r.floors, o.Revision), catalogues, "", o.ID, "its first revision is %d", o.Revision)
		return
	}
	r.holds(o.Revision == before.Revision+1 || o.Revision > before.Revision && slices.Contains(r.floors, o.Revision), catalogues, "", o.ID, "revision %d follows revision %d", o.Revision, before.Revision)
	r.holds(!before.SupersededAt.IsZero(), catalogues, "", o.ID, "revision %d never made way for revision %d", before.Revision, o.Revision)
	r.holds(!o.CreatedAt.Before(before.CreatedAt), catalogues, "", o.ID, "revision %d is older than revision %d", o.Revision, before.Revision)
}

// last audits the latest revision of an offering: it is the current one.
func (r *run) last(o catalog.Offering) {
	r.holds(o.SupersededAt.IsZero(), catalogues, "", o.ID, "revision %d made way, and there is none after it", o.Revision)
}

// foreign audits what partners sell: each offering is whole.
func (r *run) foreign() error {
	partner, id := "", ""
	for done := int64(0); ; {
		var list []catalog.Foreign
		err := r.Work.View(r.ctx, func(tx Tx) (err error) {
			list, err = tx.Catalog().ListForeign(partner, id, page)
			return err
		})
		if err != nil {
			return err
		}
		for _, f := range list {
			if partner, id = f.Partner, f.ID; r.concerns(f.Partner) {
				r.holds(sha256.Sum256(f.Document) == f.Digest && f.Revision > 0, catalogues, f.Partner, f.ID, "revision %d is not what its digest says", f.Revision)
			}
		}
		if done += int64(len(list)); len(list) > 0 {
			r.progress("partners' offerings", done)
		}
		if len(list) < page {
			return nil
		}
	}
}
