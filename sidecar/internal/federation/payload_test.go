package federation

import (
	"math"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// TestAPagesPayloadIsCanonical as it is written.
func TestAPagesPayloadIsCanonical(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]catalog.Page{
		"nothing":          {},
		"a heartbeat":      {Cursor: []byte{0, 0xFB, 0xFF}},
		"a whole snapshot": {Cursor: []byte("1"), SnapshotBegin: true, SnapshotEnd: true, Items: []catalog.Change{{OfferingID: "a", Revision: 1, Document: []byte("{}")}}},
		"what ids never have": {Cursor: []byte{}, Items: []catalog.Change{
			{OfferingID: "<é&\u2028\"\\\n\u0001\U0001F600/>", Revision: 1<<53 - 1, Tombstone: true}, {Revision: -(1<<53 - 1)},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := pagePayload("https://a.example", "https://b.example", page)
			if err != nil {
				t.Fatal(err)
			}
			want, err := signed.Canonical(jsontext(raw))
			if err != nil || string(raw) != string(want) {
				t.Errorf("%s, want %s, %v", raw, want, err)
			}
			for member, has := range map[string]bool{"begin": page.SnapshotBegin, "end": page.SnapshotEnd, "aud": true, "changes": true, "cursor": true, "iss": true} {
				if strings.Contains(string(raw), `"`+member+`":`) != has {
					t.Errorf("%s: %s is there: %v", raw, member, !has)
				}
			}
		})
	}
	for _, revision := range []int64{1 << 53, -1 << 53, math.MaxInt64, math.MinInt64} {
		_, err := pagePayload("a", "b", catalog.Page{Items: []catalog.Change{{OfferingID: "a", Revision: revision, Tombstone: true}}})
		if fault.ReasonOf(err) != "page_invalid" {
			t.Errorf("%d: %v", revision, err)
		}
	}
}

// jsontext is JSON that Canonical takes as it is.
type jsontext []byte

func (j jsontext) MarshalJSON() ([]byte, error) { return j, nil }
