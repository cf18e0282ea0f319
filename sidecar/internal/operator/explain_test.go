package operator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestEveryWaitSaysWhatEndsIt: for both halves of a deal, whatever it waits for, an operator reads who must act, since when, and which
// command helps.
func TestEveryWaitSaysWhatEndsIt(t *testing.T) {
	t.Parallel()
	placed := markettest.Noon()
	asked := placed.Add(time.Hour)
	for name, c := range map[string]struct {
		side  operator.Side
		state order.State
		// job is there, parked where it says so; met is its last error.
		job    string
		parked bool
		met    string
		// down: the partner cannot be reached. stuck: an entry of its ledger is parked.
		// held: an operator holds the partner back.
		down, stuck, held bool
		books             ledger.Books
		// passes is how long ago it was placed; given that it was given up, ending what ends what was made of it then.
		passes  time.Duration
		given   *retail.Abandoned
		ending  order.State
		wait    string
		who     operator.Who
		next    string
		command string
	}{
		"a new order":                          {side: operator.Retail, state: order.Acknowledged, job: retail.JobSubmit, wait: "decision", who: operator.Partner, next: "takes or refuses it", command: "hanse order cancel corr-1"},
		"at a supplier that is away":           {side: operator.Retail, state: order.PendingUnreachable, job: retail.JobSubmit, down: true, wait: "partner_unreachable", who: operator.Partner, next: "no route", command: "hanse partner show " + supplier},
		"before the books are level":           {side: operator.Retail, state: order.Acknowledged, job: retail.JobSign, books: ledger.Books{State: ledger.Unproven}, wait: "books_unproven", who: operator.Partner, next: "level", command: "hanse partner show " + supplier},
		"of which a decision is missing":       {side: operator.Retail, state: order.Acknowledged, job: retail.JobSign, books: ledger.Books{State: ledger.Unproven, Reason: ledger.ReasonMissing}, wait: "books", who: operator.Operator, next: "does not have", command: "hanse partner show " + supplier},
		"with books that are behind":           {side: operator.Resale, state: order.InProgress, job: resale.JobProvision, books: ledger.Books{State: ledger.Behind}, wait: "books_behind", who: operator.Sidecar, next: "read back"},
		"at a supplier that is behind":         {side: operator.Retail, state: order.PendingUnreachable, job: retail.JobSubmit, books: ledger.Books{State: ledger.Level, PartnerBehind: ledger.PartnerBehind{Since: asked, Proof: "x"}}, wait: "partner_behind", who: operator.Partner, next: "recovered", command: "hanse partner show " + supplier},
		"with books that are forked":           {side: operator.Retail, state: order.InProgress, books: ledger.Books{State: ledger.Forked}, wait: "books", who: operator.Operator, next: "forked"},
		"of which the supplier withholds more": {side: operator.Retail, state: order.Acknowledged, books: ledger.Books{State: ledger.Forked, Reason: ledger.ReasonWithheld, Doubted: true}, wait: "books", who: operator.Operator, next: "does not give", command: "hanse partner show " + supplier},
		"whose document is refused":            {side: operator.Retail, state: order.PendingUnreachable, job: retail.JobSubmit, parked: true, met: "document_malformed", wait: "parked_job", who: operator.Operator, next: "document_malformed", command: "hanse job retry "},
		"whose decision cannot be applied":     {side: operator.Retail, state: order.Acknowledged, job: retail.JobSubmit, stuck: true, wait: "parked_entry", who: operator.Operator, next: "order_contradiction", command: "hanse ledger parked list " + supplier},
		"whose document is held back":          {side: operator.Retail, state: order.Acknowledged, job: retail.JobSubmit, held: true, wait: "partner_held", who: operator.Operator, next: "they move", command: "hanse partner flush " + supplier},
		"that its supplier works on":           {side: operator.Retail, state: order.InProgress, wait: "work_at_supplier", who: operator.Partner, next: "carries it out"},
		"that its supplier holds":              {side: operator.Retail, state: order.HeldIndeterminate, wait: "held_at_supplier", who: operator.Partner, next: "by hand"},
		"that is being cancelled":              {side: operator.Retail, state: order.AssessingCancel, job: retail.JobCancel, wait: "cancel", who: operator.Partner, next: "whether it is cancelled"},
		"that is not decided in time":          {side: operator.Retail, state: order.PendingCancellation, job: retail.JobCancel, wait: "overdue", who: operator.Partner, next: "has not decided by"},
		"that may be given up":                 {side: operator.Retail, state: order.PendingCancellation, job: retail.JobCancel, passes: 9 * 24 * time.Hour, down: true, wait: "abandon", who: operator.Operator, next: "give it up", command: "hanse order abandon corr-1 --reason"},
		"that is worked on for long":           {side: operator.Retail, state: order.InProgress, passes: 9 * 24 * time.Hour, wait: "work_at_supplier", who: operator.Partner, next: "carries it out", command: "hanse order abandon corr-1 --reason"},
		"that was given up":                    {side: operator.Retail, state: order.Failed, job: retail.JobCancel, given: &retail.Abandoned{At: asked}, down: true, wait: "given_up", who: operator.Partner, next: "its cancel stays queued"},
		"that was given up and taken":          {side: operator.Retail, state: order.Failed, given: &retail.Abandoned{There: order.InProgress}, wait: "late_accepted", who: operator.Partner, next: "4.00 EUR once"},
		"that was given up and made":           {side: operator.Retail, state: order.Failed, given: &retail.Abandoned{There: order.Completed, Ending: "end-1"}, ending: order.InProgress, wait: "late_made", who: operator.Partner, next: "charges for it (4.00 EUR once) until order end-1", command: "hanse order explain end-1"},
		"that was given up, made and kept":     {side: operator.Retail, state: order.Failed, given: &retail.Abandoned{There: order.Completed, Ending: "end-1"}, ending: order.Rejected, wait: "late_refused", who: operator.Operator, next: "did not end it", command: "hanse order explain end-1"},
		"that was given up, made and ended":    {side: operator.Retail, state: order.Failed, given: &retail.Abandoned{There: order.Completed, Ending: "end-1"}, ending: order.Completed, who: operator.Nobody, next: "order end-1 ended it there"},
		"that was given up and refused":        {side: operator.Retail, state: order.Failed, given: &retail.Abandoned{There: order.Rejected}, who: operator.Nobody, next: "nothing: it is failed"},
		"whose access data come":               {side: operator.Retail, state: order.Completed, job: subscription.JobAccessFetch, met: "not yet", wait: "access_data", who: operator.Sidecar, next: "not yet", command: "hanse job retry "},
		"that is done":                         {side: operator.Retail, state: order.Completed, who: operator.Nobody, next: "nothing: it is completed"},
		"that is done, at a supplier away now": {side: operator.Retail, state: order.Completed, down: true, who: operator.Nobody, next: "nothing"},
		"that we work on":                      {side: operator.Resale, state: order.InProgress, job: resale.JobProvision, met: "no capacity", wait: "platform", who: operator.Sidecar, next: "no capacity", command: "hanse job retry "},
		"that we hold":                         {side: operator.Resale, state: order.HeldIndeterminate, job: resale.JobProvision, parked: true, met: "it may be on another connection", wait: "held_outcome", who: operator.Operator, next: "it may be on another connection", command: "hanse order resolve corr-1 --made|--not-made|--give-up"},
		"that came back and is looked for":     {side: operator.Resale, state: order.Completed, job: resale.JobLook, met: "no route", wait: "look", who: operator.Sidecar, next: "no route", command: "hanse job retry "},
		"that came back and is not there":      {side: operator.Resale, state: order.Completed, job: resale.JobLook, parked: true, met: "should run", wait: "parked_job", who: operator.Operator, next: "should run", command: "hanse job retry "},
		"that we refused":                      {side: operator.Resale, state: order.Rejected, who: operator.Nobody, next: "nothing: it is rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := markettest.NewMember(t, "https://us.localhost:1")
			desk := &operator.Desk{Work: store.For[operator.Tx](m.Store), Now: m.Clock.Now, Reach: func(string) operator.Reach {
				return operator.Reach{Known: true, Up: !c.down, LastError: "no route", LastContact: placed}
			}}
			item := order.Item{
				Action: order.Add, SubscriptionID: "sub-corr-1", State: c.state,
				Events: []order.Event{{At: placed, State: order.Acknowledged, Source: "own ledger 1"}, {At: asked, State: c.state}},
			}
			m.Do(func(tx *store.Tx) error {
				if c.side == operator.Resale {
					_, err := tx.ResaleOrders().Put(resale.Order{ID: "corr-1", Partner: supplier, Item: item})
					return err
				}
				if c.ending != "" {
					ends := order.Item{Action: order.Delete, SubscriptionID: "sub-corr-1", State: c.ending}
					_, err := tx.RetailOrders().Put(retail.Order{ID: "end-1", Items: []retail.Item{{Item: ends, CorrelationID: "end-1", Partner: supplier}}})
					if err != nil {
						return err
					}
				}
				item.Wholesale.OneOff = &money.Amount{Minor: 400, Currency: "EUR"}
				_, err := tx.RetailOrders().Put(retail.Order{Portal: "shop", ID: "order-1", Items: []retail.Item{{Item: item, CorrelationID: "corr-1", Partner: supplier, Abandoned: c.given}}})
				return err
			})
			if c.held {
				other := markettest.NewMember(t, supplier)
				m.Know(other, func(p *member.Partner) { p.Hold = &member.Hold{Since: asked, By: "operator", Reason: "they move"} })
				m.Do(func(tx *store.Tx) error {
					_, err := tx.Jobs().Send(job.Sending{Kind: c.job, Key: "corr-1", Partner: supplier, Subject: "sub-corr-1"}, asked, "", asked)
					return err
				})
			} else if c.job != "" {
				key := "corr-1"
				if c.job == subscription.JobAccessFetch {
					key = "sub-corr-1"
				}
				failing(m, c.job, key, c.met, c.parked)
			}
			m.Do(func(tx *store.Tx) error {
				if err := tx.Acts().Add(act.Word{By: "operator", Reason: "asked them"}.On(asked.Add(-time.Minute), "job retry", supplier, "corr-1", "job 7")); err != nil {
					return err
				}
				if c.books.State != "" {
					c.books.Partner, c.books.Since = supplier, asked
					if _, err := tx.Ledger().PutBooks(c.books); err != nil {
						return err
					}
				}
				if !c.stuck {
					return nil
				}
				return tx.Ledger().Park(ledger.Parked{Partner: supplier, Subject: "sub-corr-1", Seq: 4, Reason: "order_contradiction", At: asked})
			})
			m.Clock.Pass(c.passes)
			o, deals, err := desk.Explain(t.Context(), operator.Query{ID: "corr-1"})
			if err != nil || len(deals) != 1 || o.Side != c.side {
				t.Fatalf("%+v, %+v, %v", o, deals, err)
			}
			e := deals[0]
			if e.Wait != c.wait || e.Who != c.who || !strings.Contains(e.Next, c.next) {
				t.Errorf("it waits for %q of %q: %q", e.Wait, e.Who, e.Next)
			}
			since := asked
			switch c.wait {
			case "partner_unreachable":
				since = placed
			case "abandon":
				since = placed.Add(8 * 24 * time.Hour)
			}
			if !e.Since.Equal(since) {
				t.Errorf("since %s, want %s", e.Since, since)
			}
			if len(e.Commands) == 0 && c.command != "" || c.command != "" && !strings.HasPrefix(e.Commands[0], c.command) {
				t.Errorf("helps %q, want %q first", e.Commands, c.command)
			}
			if len(e.Happened) != 3 || e.Happened[1].What != "job retry" || e.Happened[1].Source != "operator" || !strings.Contains(e.Happened[1].Message, "asked them") {
				t.Errorf("happened: %+v", e.Happened)
			}
		})
	}
}

// failing makes a job whose last run ended with an error; without one it was never run.
func failing(m *markettest.Member, kind, key, met string, park bool) (made job.Job) {
	m.Do(func(tx *store.Tx) error {
		if err := tx.Jobs().At(kind, key, supplier, m.Clock.Now()); err != nil {
			return err
		}
		j, _, err := tx.Jobs().Find(kind, supplier, key)
		if err != nil || met == "" {
			made = j
			return err
		}
		if made, err = tx.Jobs().Lease(j, "me", m.Clock.Now().Add(time.Minute)); err != nil {
			return err
		}
		if park {
			return tx.Jobs().Park(made, met)
		}
		return tx.Jobs().Reschedule(made, m.Clock.Now().Add(time.Hour), met, false)
	})
	return made
}
