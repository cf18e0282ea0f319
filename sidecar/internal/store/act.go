package store

import (
	"github.com/hanse-market/hanse/sidecar/internal/act"
)

type acts struct{ tx *Tx }

func (s acts) Add(a act.Act) error {
	var last int64
	if _, err := s.tx.row(`SELECT coalesce(max(place), 0) FROM operator_act WHERE partner = $1 AND subject = $2`, []any{a.Partner, a.Subject}, &last); err != nil {
		return err
	}
	_, err := s.tx.exec(`INSERT INTO operator_act (partner, subject, place, acted_at, acted_by, verb, reason, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		a.Partner, a.Subject, last+1, ns(a.At), a.By, a.Verb, a.Reason, a.Detail)
	return err
}

func (s acts) About(partner, subject string) (all []act.Act, err error) {
	a := act.Act{Partner: partner, Subject: subject}
	var acted int64
	err = s.tx.rows(`SELECT acted_at, acted_by, verb, reason, detail FROM operator_act WHERE partner = $1 AND subject = $2 ORDER BY place`,
		[]any{partner, subject}, func() []any { return []any{&acted, &a.By, &a.Verb, &a.Reason, &a.Detail} },
		func() error {
			a.At = at(acted)
			all = append(all, a)
			return nil
		})
	return all, err
}
