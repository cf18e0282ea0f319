package unit

// Topic is what loops and streams wait for. The store wakes a topic after the commit that changed what it stands for, and
// nobody else does. A wake-up may be lost and several may be one, so whoever waits looks by itself too.
type Topic string

const (
	// Jobs may be due.
	Jobs Topic = "job"
	// Partners: a partnership or an agreement changed.
	Partners Topic = "partner"
	// Listings: what customers find may look different.
	Listings Topic = "listing"
)

// Order is one retail order of a portal.
func Order(portal, id string) Topic { return Topic("order/" + portal + "/" + id) }

// Ledger is our log towards a partner.
func Ledger(partner string) Topic { return Topic("ledger/" + partner) }

// Catalog is our catalog as a partner sees it.
func Catalog(partner string) Topic { return Topic("catalog/" + partner) }
