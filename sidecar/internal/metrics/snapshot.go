package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// snapshotTimeout keeps a scrape from waiting on a database that does not answer; Prometheus gives up after 10 s by default.
const snapshotTimeout = 5 * time.Second

// Snapshot is what SQL says. Strings are the wire words of the domain.
type Snapshot struct {
	// Counted says that the orders that ended, and all subscriptions, were counted, CountsAge how long ago; the rest is of now.
	Counted       bool
	CountsAge     time.Duration
	Orders        []Count
	Subscriptions []Count
	// Jobs has the kind in Group.
	Jobs []Count
	// Partnerships counts them by state.
	Partnerships map[string]int64
	// OldestOpen is the age of the oldest order that has not ended, by side; a side without one is absent.
	OldestOpen map[string]time.Duration
	// Parked counts the subjects parked in each partner's ledger, by origin.
	Parked map[string]int64
	// Held says of each partner whether an operator holds back what is sent to it: 1, else 0.
	Held map[string]int64
	// Books has the partner's origin in Group: the state of the books with each.
	Books []Count
	// KeysStale says that keys or partners changed since the keys were exported.
	KeysStale bool
	// LastBackup is of which moment the last whole backup is, zero for none.
	LastBackup time.Time
}

// Count is how many there are of a group (a side, a kind) in a state.
type Count struct {
	Group, State string
	N            int64
}

// snapshots asks for a Snapshot at each scrape.
type snapshots struct {
	read     func(context.Context) (Snapshot, error)
	partners *partners
	words    *limiter

	orders, oldest, subscriptions, jobs, partnerships, parked, held, books, stale, backup, age, up *prometheus.Desc
}

func newSnapshots(read func(context.Context) (Snapshot, error), p *partners, words *limiter) *snapshots {
	return &snapshots{
		read: read, partners: p, words: words,
		orders:        prometheus.NewDesc("hanse_orders", "Orders by side and state; those that ended as of hanse_store_counts_age_seconds ago.", []string{"side", "state"}, nil),
		oldest:        prometheus.NewDesc("hanse_order_oldest_open_age_seconds", "Age of the oldest order that has not ended; 0 where all have.", []string{"side"}, nil),
		subscriptions: prometheus.NewDesc("hanse_subscriptions", "Subscriptions by side and state, as of hanse_store_counts_age_seconds ago.", []string{"side", "state"}, nil),
		jobs:          prometheus.NewDesc("hanse_jobs", "Durable jobs by kind and state.", []string{"kind", "state"}, nil),
		partnerships:  prometheus.NewDesc("hanse_partnerships", "Partnerships by state.", []string{"state"}, nil),
		parked:        prometheus.NewDesc("hanse_ledger_parked_subjects", "Subjects parked in the partner's ledger; each wants an operator.", []string{"partner"}, nil),
		held:          prometheus.NewDesc("hanse_partner_held", "1 while an operator holds back what is sent to the partner, else 0.", []string{"partner"}, nil),
		books:         prometheus.NewDesc("hanse_partner_books", "Partners by the state of the books with them: 1 for each; every state but level wants an operator.", []string{"partner", "state"}, nil),
		stale:         prometheus.NewDesc("hanse_keys_export_stale", "1 if keys or partners changed since hanse key export, else 0; it wants to be run again.", nil, nil),
		backup:        prometheus.NewDesc("hanse_backup_last_success_timestamp_seconds", "Of which moment the last backup is that hanse backup wrote to its end, in seconds since 1970; 0 where there was none.", nil, nil),
		age:           prometheus.NewDesc("hanse_store_counts_age_seconds", "Time since ended orders and subscriptions were counted; that happens after a scrape, the more rarely the longer it takes.", nil, nil),
		up:            prometheus.NewDesc("hanse_store_up", "1 if the database answered this scrape, else 0.", nil, nil),
	}
}

func (s *snapshots) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.orders, s.oldest, s.subscriptions, s.jobs, s.partnerships, s.parked, s.held, s.books, s.stale, s.backup, s.age, s.up} {
		ch <- d
	}
}

// Collect leaves the gauges out when the database does not answer: an old figure would hide the outage, and failing the
// whole scrape would hide everything else.
func (s *snapshots) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	snap, err := s.read(ctx)
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(s.up, boolValue(err == nil))
	if err != nil {
		return
	}
	gauge(s.stale, boolValue(snap.KeysStale))
	last := 0.0
	if !snap.LastBackup.IsZero() {
		last = float64(snap.LastBackup.UnixMilli()) / 1000
	}
	gauge(s.backup, last)
	if snap.Counted {
		gauge(s.age, snap.CountsAge.Seconds())
	}
	for _, c := range snap.Orders {
		gauge(s.orders, float64(c.N), c.Group, c.State)
	}
	for _, side := range []string{"retail", "resale"} {
		gauge(s.oldest, snap.OldestOpen[side].Seconds(), side)
	}
	for _, c := range snap.Subscriptions {
		gauge(s.subscriptions, float64(c.N), c.Group, c.State)
	}
	for _, c := range sum(snap.Jobs, func(kind string) string { return s.words.bound("job", kind) }) {
		gauge(s.jobs, float64(c.N), c.Group, c.State)
	}
	for state, n := range snap.Partnerships {
		gauge(s.partnerships, float64(n), state)
	}
	for desc, of := range map[*prometheus.Desc]map[string]int64{s.parked: snap.Parked, s.held: snap.Held} {
		labelled := map[string]int64{}
		for origin, n := range of {
			labelled[s.partners.label(origin)] += n
		}
		for label, n := range labelled {
			gauge(desc, float64(n), label)
		}
	}
	for _, c := range sum(snap.Books, s.partners.label) {
		gauge(s.books, float64(c.N), c.Group, c.State)
	}
}

// sum adds up what falls under one label.
func sum(counts []Count, label func(string) string) []Count {
	total := map[Count]int64{}
	for _, c := range counts {
		total[Count{Group: label(c.Group), State: c.State}] += c.N
	}
	out := make([]Count, 0, len(total))
	for c, n := range total {
		c.N = n
		out = append(out, c)
	}
	return out
}
