package unit

// Topic is what loops and streams wait for. The store wakes a topic after the commit that changed what it stands for; Flushed, of which
// nothing is stored, is woken by who flushed. A wake-up may be lost and several may be one, so whoever waits looks by itself too.
type Topic string

const (
	// Jobs may be due.
	Jobs Topic = "job"
	// Partners: a partnership or an agreement changed.
	Partners Topic = "partner"
	// Listings: what customers find may look different.
	Listings Topic = "listing"
	// Keys: a key of this member was made, or took another one's place.
	Keys Topic = "key"
	// Flushed: an operator had all sent that waits for a partner, which every replica tries anew.
	Flushed Topic = "flushed"
)

// Order is one retail order of a portal.
func Order(portal, id string) Topic { return Topic("order/" + portal + "/" + id) }

// Ledger is our log towards a partner.
func Ledger(partner string) Topic { return Topic("ledger/" + partner) }

// Catalog is our catalog as a partner sees it.
func Catalog(partner string) Topic { return Topic("catalog/" + partner) }
