package failpoint

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParse_Edges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want Edge
		ok   bool
	}{
		"an order's":         {"edge:order.retail:new>acknowledged:before_apply", Edge{"order", "retail", New, "acknowledged"}, true},
		"a subscription's":   {"edge:subscription.resale:active.pendingChange>active:after_send", Edge{"subscription", "resale", "active.pendingChange", "active"}, true},
		"no moment":          {"edge:order.retail:new>acknowledged", Edge{}, false},
		"an unknown moment":  {"edge:order.retail:new>acknowledged:later", Edge{}, false},
		"an unknown machine": {"edge:agreement.retail:new>offered:after_send", Edge{}, false},
		"an unknown side":    {"edge:order.both:new>acknowledged:after_send", Edge{}, false},
		"no step":            {"edge:order.retail:acknowledged:after_send", Edge{}, false},
		"no end":             {"edge:order.retail:acknowledged>:after_send", Edge{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse(c.text)
			if (err == nil) != c.ok {
				t.Fatal(err)
			}
			if c.ok && (p.edges.edge != c.want || !p.Edges()) {
				t.Errorf("%+v", p.edges.edge)
			}
		})
	}
}

// TestTaken_WritesDownWhatWasCommitted: and nothing that was not.
func TestTaken_WritesDownWhatWasCommitted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "edges")
	p, err := Parse("edges:" + file)
	if err != nil {
		t.Fatal(err)
	}
	first, other := Edge{"order", "retail", New, "acknowledged"}, Edge{"order", "resale", "inProgress", "completed"}
	p.Takes(first)
	p.Taken([]Edge{first}, BeforeCommit)
	p.Taken([]Edge{first}, AfterCommit)
	p.Sent()
	p.Taken([]Edge{other}, AfterCommit)
	raw, err := os.ReadFile(file)
	if want := "order.retail:new>acknowledged\norder.resale:inProgress>completed\n"; err != nil || string(raw) != want {
		t.Errorf("%q, %v", raw, err)
	}
	var none *Points
	none.Takes(first)
	none.Taken([]Edge{first}, AfterCommit)
	none.Sent()
}
