package signed_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

func TestPickTakesWhatBothAnnounced(t *testing.T) {
	t.Parallel()
	const partner = "https://sidecar.partner.example"
	for _, c := range []struct {
		name   string
		theirs []string
		want   string // "" is refused
		cause  string
	}{
		{"the one version", signed.Versions(), signed.OrderV1, ""},
		{"beside a later one that we do not write", []string{"hanse-order/2", signed.OrderV1}, signed.OrderV1, ""},
		{"a later one alone", []string{"hanse-order/2", signed.CancelV1}, "", "announces only hanse-order/2"},
		{"other documents alone", []string{signed.CancelV1}, "", "announces none of it"},
		{"a document whose name begins alike", []string{"hanse-orders/1"}, "", "announces none of it"},
		{"nothing", nil, "", "announces none of it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := signed.Pick(signed.OrderV1, partner, c.theirs)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Fatalf("picked %q, %v", got, err)
			}
			if err != nil && (!fault.Is(err, fault.Precondition) || fault.ReasonOf(err) != "document_version" || !strings.Contains(err.Error(), c.cause)) {
				t.Errorf("error is %v, want %s", err, c.cause)
			}
		})
	}
}

func TestAnnouncedKeepsWhatHasTheFormOfAVersion(t *testing.T) {
	t.Parallel()
	got := signed.Announced([]string{"hanse-order/2", "hanse-order/1", "hanse-order/1", "order", "/1", "a/", "a/b", "a/1/2", strings.Repeat("a", 63) + "/1", ""})
	if want := []string{"hanse-order/2", "hanse-order/1"}; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	many := make([]string, 1000)
	for i := range many {
		many[i] = "hanse-order/" + strings.Repeat("1", i%50+1)
	}
	if got := signed.Announced(many); len(got) != 50 {
		t.Errorf("kept %d", len(got))
	}
	if kept := signed.Announced(signed.Versions()); !slices.Equal(kept, signed.Versions()) {
		t.Errorf("of our own list %q is kept", kept)
	}
}

func TestADocumentOfAnotherVersionIsCalledThat(t *testing.T) {
	t.Parallel()
	type versioned struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	for _, c := range []struct{ name, payload, reason string }{
		{"the version", `{"type":"hanse-order/1","name":"n"}`, ""},
		{"another version", `{"type":"hanse-order/2","name":"n"}`, "document_version"},
		{"another version with other members", `{"type":"hanse-order/2","later":{}}`, "document_version"},
		{"no version", `{"name":"n"}`, "document_malformed"},
		{"the version with other members", `{"type":"hanse-order/1","name":"n","later":{}}`, "document_malformed"},
		{"two versions", `{"type":"hanse-order/2","type":"hanse-order/1","name":"n"}`, "document_malformed"},
		{"a number", `{"type":1,"name":"n"}`, "document_malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v versioned
			err := signed.DecodeAs(signed.OrderV1, []byte(c.payload), &v)
			if fault.ReasonOf(err) != c.reason || (err == nil) != (c.reason == "") || err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("error is %v, want %s", err, c.reason)
			}
		})
	}
}
