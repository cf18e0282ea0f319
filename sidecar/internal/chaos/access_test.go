package chaos

import (
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters/rig"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

// TestMayLack: what a partner does not give back may be dropped where one of both was put back since it was placed, and is a fault else.
func TestMayLack(t *testing.T) {
	begun := time.Now()
	at := func(s int) time.Time { return begun.Add(time.Duration(s) * time.Second) }
	entry := func(about string) *operatorv1.Job {
		return &operatorv1.Job{Kind: "recovery.lost", Partner: "https://b", LastError: "entry 0.4 of our ledger towards https://b, order.placed about " + about + ", was read back"}
	}
	bare := func(id string) *operatorv1.Job {
		return &operatorv1.Job{Kind: "recovery.lost", Partner: "https://b", LastError: "order " + id + " with https://b, which entry 0.4 of our ledger placed, came back"}
	}
	for name, c := range map[string]struct {
		backs []back
		job   *operatorv1.Job
		want  bool
	}{
		"nobody was put back":                {nil, entry("sub-a"), false},
		"the partner was since":              {[]back{{member: "bravo", at: at(20)}}, entry("sub-a"), true},
		"it was itself":                      {[]back{{member: "alpha", at: at(20)}}, entry("sub-a"), true},
		"another one was":                    {[]back{{member: "charlie", at: at(20)}}, entry("sub-a"), false},
		"before it was placed":               {[]back{{member: "alpha", at: at(5)}, {member: "bravo", at: at(5)}}, entry("sub-a"), false},
		"what no portal knows":               {[]back{{member: "alpha", at: at(20)}}, entry("sub-x"), false},
		"what is no order":                   {[]back{{member: "alpha", at: at(5)}}, entry("agr-1"), true},
		"an order by its own id":             {[]back{{member: "alpha", at: at(20)}}, bare("a"), true},
		"such a one before it was placed":    {[]back{{member: "alpha", at: at(5)}}, bare("a"), false},
		"an end, which no portal knows so":   {[]back{{member: "alpha", at: at(5)}}, bare("end"), true},
		"an end, and another was put back":   {[]back{{member: "charlie", at: at(5)}}, bare("end"), false},
		"access data since":                  {[]back{{member: "bravo", at: at(20)}}, &operatorv1.Job{Kind: "access.fetch", Key: "sub-a", Partner: "https://b"}, true},
		"access data before it was placed":   {[]back{{member: "bravo", at: at(5)}}, &operatorv1.Job{Kind: "access.fetch", Key: "sub-a", Partner: "https://b"}, false},
		"access data that no portal knew of": {[]back{{member: "bravo", at: at(20)}}, &operatorv1.Job{Kind: "access.fetch", Key: "sub-x", Partner: "https://b"}, false},
	} {
		m := marketThatSold("sub-a", at(10))
		m.backs = c.backs
		if got := m.mayLack(t.Context(), "alpha", c.job); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// marketThatSold has one order of alpha's, first placed at a time.
func marketThatSold(subscription string, first time.Time) *market {
	return &market{
		members: map[string]*member{"alpha": {origin: "https://a"}, "bravo": {origin: "https://b"}, "charlie": {origin: "https://c"}},
		history: &history{ids: []string{"order-1"}, orders: map[string]*placed{"order-1": {first: first, subscriptions: []string{subscription}}}},
	}
}

// TestAccessGone also where it is the supplier that was put back, to before the reseller fetched what the supplier alone had.
func TestAccessGone(t *testing.T) {
	j := &operatorv1.Job{Kind: "access.fetch", Key: "sub-a", Partner: "https://b", LastError: "access_data_gone: there are none"}
	other := &operatorv1.Job{Kind: "access.fetch", Key: "sub-a", Partner: "https://b", LastError: "access_digest"}
	for back, want := range map[string]bool{"": false, "alpha": true, "bravo": true, "charlie": false} {
		m := marketThatSold("sub-a", time.Now().Add(-time.Second))
		if back != "" {
			m.wentBackNow(back)
		}
		if got := m.accessGone(t.Context(), "alpha", j); got != want || m.accessGone(t.Context(), "alpha", other) {
			t.Errorf("%q was put back: %v", back, got)
		}
	}
}

// TestFits: what a customer is shown is of an instance that is there, with its present password, and no finding repeats one.
func TestFits(t *testing.T) {
	there := []rig.Instance{{ID: "1", Tag: "h1", Password: "canary-1-h1"}, {ID: "2", Tag: "h2", Password: "canary-2-h2-again"}}
	for want, shown := range map[string][2]string{
		"": {"http://h2.rig.example/", "canary-2-h2-again"},
		"the password of instance 2 is another one":        {"http://h2.rig.example/", "canary-2-h2"},
		`no instance of it is at "http://h3.rig.example/"`: {"http://h3.rig.example/", "canary-1-h1"},
		`no instance of it is at ""`:                       {"", ""},
	} {
		err := fits([]*portalv1.AccessField{{Name: "url", Value: shown[0]}, {Name: "password", Value: shown[1]}}, there)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%v: %v", shown, err)
		}
	}
}

func (m *market) wentBackNow(member string) {
	m.backs = append(m.backs, back{member: member, at: time.Now()})
}
