package metrics

import (
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const other = "other"

// limiter keeps the values of each label to a number: later ones become "other".
type limiter struct {
	max  int
	mu   sync.Mutex
	seen map[string]map[string]struct{}
}

func newLimiter(limit int) *limiter {
	return &limiter{max: limit, seen: map[string]map[string]struct{}{}}
}

func (l *limiter) bound(label, value string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	values := l.seen[label]
	if values == nil {
		values = map[string]struct{}{}
		l.seen[label] = values
	}
	if _, known := values[value]; known {
		return value
	}
	if len(values) >= l.max {
		return other
	}
	values[value] = struct{}{}
	return value
}

// partner is what we last saw of one.
type partner struct {
	up, upKnown bool
	skew        time.Duration
	skewKnown   bool
	lag         int64
	lagKnown    bool
	// tailed and synced are when the partner's ledger and catalog last were known whole.
	tailed, synced time.Time
}

// partners collects the gauges that peer calls and loops report.
type partners struct {
	now func() time.Time

	mu sync.Mutex
	// labels keeps an origin's label as long as the origin is known, so that no partner shows up under two.
	labels  map[string]string
	byLabel map[string]map[string]*partner

	up, skew, lag, ledgerAge, catalogAge *prometheus.Desc
}

func newPartners(now func() time.Time) *partners {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"partner"}, nil)
	}
	return &partners{
		now: now, labels: map[string]string{}, byLabel: map[string]map[string]*partner{},
		up:         desc("hanse_peer_up", "1 if the last call at the partner reached it, else 0."),
		skew:       desc("hanse_peer_clock_skew_seconds", "How far the partner's clock is ahead of ours."),
		lag:        desc("hanse_ledger_feed_lag_entries", "Entries of the partner's ledger that we heard of and have not applied."),
		ledgerAge:  desc("hanse_ledger_feed_age_seconds", "Time since a verified checkpoint or heartbeat of the partner's ledger; since the start of the tail where none came yet."),
		catalogAge: desc("hanse_catalog_feed_age_seconds", "Time since we were at the end of the partner's catalog feed."),
	}
}

// label is the host of an origin, or "other" once there are too many.
func (p *partners) label(origin string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.locked(origin)
}

func (p *partners) locked(origin string) string {
	if label, known := p.labels[origin]; known {
		return label
	}
	label := origin
	if u, err := url.Parse(origin); err == nil && u.Host != "" {
		label = u.Host
	}
	own := len(p.byLabel)
	if p.byLabel[other] != nil {
		own--
	}
	if p.byLabel[label] == nil && own >= maxPartners {
		label = other
	}
	p.labels[origin] = label
	if p.byLabel[label] == nil {
		p.byLabel[label] = map[string]*partner{}
	}
	return label
}

func (p *partners) update(origin string, change func(*partner)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	group := p.byLabel[p.locked(origin)]
	if group[origin] == nil {
		group[origin] = &partner{}
	}
	change(group[origin])
}

func (p *partners) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.up, p.skew, p.lag, p.ledgerAge, p.catalogAge} {
		ch <- d
	}
}

// Collect shows, for "other", the worst of those it stands for.
func (p *partners) Collect(ch chan<- prometheus.Metric) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for label, group := range p.byLabel {
		var up, skew, lag, ledgerAge, catalogAge []float64
		for _, one := range group {
			if one.upKnown {
				up = append(up, boolValue(one.up))
			}
			if one.skewKnown {
				skew = append(skew, one.skew.Seconds())
			}
			if one.lagKnown {
				lag = append(lag, float64(one.lag))
			}
			if !one.tailed.IsZero() {
				ledgerAge = append(ledgerAge, now.Sub(one.tailed).Seconds())
			}
			if !one.synced.IsZero() {
				catalogAge = append(catalogAge, now.Sub(one.synced).Seconds())
			}
		}
		gauge := func(d *prometheus.Desc, values []float64, worst func([]float64) float64) {
			if len(values) > 0 {
				ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, worst(values), label)
			}
		}
		gauge(p.up, up, slices.Min)
		gauge(p.skew, skew, widest)
		gauge(p.lag, lag, slices.Max)
		gauge(p.ledgerAge, ledgerAge, slices.Max)
		gauge(p.catalogAge, catalogAge, slices.Max)
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// widest is the value farthest from zero.
func widest(values []float64) float64 {
	low, high := slices.Min(values), slices.Max(values)
	if -low > high {
		return low
	}
	return high
}
