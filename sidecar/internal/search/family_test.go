package search

import (
	"fmt"
	"slices"
	"testing"
)

// TestFamiliesThatHaveGoneTakeNoRoom: numbers come down when the greatest have gone, the smallest free one is given first, and none twice.
func TestFamiliesThatHaveGoneTakeNoRoom(t *testing.T) {
	t.Parallel()
	var f families
	have := map[string]uint32{}
	come := func(names ...string) (numbers []uint32) {
		for _, name := range names {
			have[name] = f.take(name)
			numbers = append(numbers, have[name])
		}
		return numbers
	}
	for _, step := range []struct {
		name string
		gone []string
		come []string
		want []uint32
		most int
	}{
		{"the first", nil, []string{"a", "b", "c", "d", "e"}, []uint32{1, 2, 3, 4, 5}, 5},
		{"some between go", []string{"d", "b"}, nil, nil, 5},
		{"the last goes, and one before it has gone", []string{"e"}, nil, nil, 3},
		{"as many come as went, and one", nil, []string{"f", "g", "h", "i"}, []uint32{2, 4, 5, 6}, 6},
		{"all go", []string{"a", "c", "f", "g", "h", "i"}, nil, nil, 0},
		{"others come", nil, []string{"k", "l"}, []uint32{1, 2}, 2},
	} {
		for _, name := range step.gone {
			f.give(have[name])
			delete(have, name)
		}
		if got := come(step.come...); !slices.Equal(got, step.want) || f.most() != step.most {
			t.Errorf("%s: %v, want %v; most %d, want %d", step.name, got, step.want, f.most(), step.most)
		}
		seen := map[uint32]string{}
		for name, n := range have {
			if seen[n] != "" {
				t.Errorf("%s: %s and %s have number %d", step.name, name, seen[n], n)
			}
			seen[n] = name
		}
	}
}

// TestFamiliesComeAndGoWhileOthersSearch: a query never meets a listing of a family that it has no room for.
func TestFamiliesComeAndGoWhileOthersSearch(t *testing.T) {
	t.Parallel()
	const n = 3 * deltaSize
	x := New()
	x.inline = deltaSize // merges in the background
	t.Cleanup(x.Close)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := x.Search(Query{Group: true}); err != nil {
				t.Error(err)
			}
		}
	}()
	for round := range 20 {
		var docs []Doc
		var ids []string
		for i := range n {
			d := Doc{ID: fmt.Sprintf("l%d-%04d", round, i), Name: "Listing", Family: fmt.Sprint(round, " ", i/2)}
			docs, ids = append(docs, d), append(ids, d.ID)
		}
		x.UpsertAll(docs)
		x.Upsert(Doc{ID: "stays", Name: "Listing", Family: fmt.Sprint("stays", round)})
		x.DeleteAll(ids)
	}
	close(stop)
	<-stopped
	r, err := x.Search(Query{Group: true})
	if now := x.shown.Load(); err != nil || r.Total != 1 || now.families > n {
		t.Errorf("%d families are found, room for %d, %v", r.Total, now.families, err)
	}
}
