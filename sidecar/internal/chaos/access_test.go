package chaos

import (
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters/rig"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

// TestEverBack: what a partner does not give back may be dropped where somebody was put back, and is a fault where nobody was.
func TestEverBack_IsOneOfBothSides(t *testing.T) {
	m := &market{members: map[string]*member{"alpha": {origin: "https://a"}, "bravo": {origin: "https://b"}}}
	if m.everBack("alpha", "https://b") {
		t.Error("nobody was put back")
	}
	m.backs = append(m.backs, back{member: "bravo", at: time.Now()})
	if !m.everBack("alpha", "https://b") || !m.everBack("bravo", "") || m.everBack("alpha", "") {
		t.Error("bravo was put back")
	}
}

// TestAccessGone also where it is the supplier that was put back, to before the reseller fetched what the supplier alone had.
func TestAccessGone(t *testing.T) {
	j := &operatorv1.Job{Kind: "access.fetch", Partner: "https://b", LastError: "access_data_gone: there are none"}
	other := &operatorv1.Job{Kind: "access.fetch", Partner: "https://b", LastError: "access_digest"}
	for back, want := range map[string]bool{"": false, "alpha": true, "bravo": true, "charlie": false} {
		m := &market{members: map[string]*member{"alpha": {origin: "https://a"}, "bravo": {origin: "https://b"}, "charlie": {origin: "https://c"}}}
		if back != "" {
			m.wentBackNow(back)
		}
		if got := m.accessGone("alpha", j); got != want || m.accessGone("alpha", other) {
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
