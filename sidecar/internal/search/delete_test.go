package search

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// What is removed together is there for a search wholly or not at all, whichever segments it lies in and whatever is merged beside.
func TestManyAreRemovedAtOnce(t *testing.T) {
	t.Parallel()
	const n = 3 * deltaSize
	doc := func(i, revision int) Doc {
		return Doc{ID: fmt.Sprintf("l%05d", i), Name: fmt.Sprint("Listing ", i), Family: fmt.Sprint("family ", i/3), Summary: fmt.Sprintf("revised%dtimes", revision)}
	}
	docs := make([]Doc, n)
	var even []string
	for i := range docs {
		if docs[i] = doc(i, 1); i%2 == 0 {
			even = append(even, docs[i].ID)
		}
	}
	x := New()
	t.Cleanup(x.Close)
	var end sync.WaitGroup
	stop := make(chan struct{})
	over := sync.OnceFunc(func() { close(stop); end.Wait() })
	defer over()
	for range 2 {
		end.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := x.Search(Query{Text: "listing"}); err != nil || r.Total != 0 && r.Total != n/2 && r.Total != n {
					t.Errorf("a search sees %d of %d: %v", r.Total, n, err)
					return
				}
			}
		})
	}
	for round := range 5 {
		if round == 0 {
			x.UpsertAll(docs) // at once, as what the searches may see
		}
		x.DeleteAll(append([]string{"nobody", even[0]}, even...)) // one twice, and one that is not there
		if got := find(t, x, Query{Text: "listing", Group: true}); x.Len() != n/2 || got.Total == 0 {
			t.Fatalf("%d are left, %d families found", x.Len(), got.Total)
		}
		if got := find(t, x, Query{Text: "listing 4"}).IDs; slices.Contains(got, even[2]) {
			t.Fatalf("what was removed is found: %v", got)
		}
		var again []Doc
		for i := 0; i < n; i += 2 {
			again = append(again, doc(i, round+2))
		}
		x.UpsertAll(again)
		if x.Len() != n {
			t.Fatalf("%d after the others came again", x.Len())
		}
		if got := find(t, x, Query{Text: fmt.Sprintf("revised%dtimes", round+2)}).Total; got != n/2 {
			t.Fatalf("%d are of the last revision", got)
		}
	}
	over()
	x.DeleteAll(nil)
	all := slices.Collect(x.IDs)
	x.DeleteAll(all)
	if x.Len() != 0 || len(x.families.number) != 0 {
		t.Errorf("%d listings and %d families of nothing", x.Len(), len(x.families.number))
	}
}

// TestWhatIsRemovedDuringAMergeStaysAway: a merge in the background brings back nothing of what was removed meanwhile, all of it at once.
func TestWhatIsRemovedDuringAMergeStaysAway(t *testing.T) {
	t.Parallel()
	x := New()
	x.inline = deltaSize // all merges are in the background
	t.Cleanup(x.Close)
	merging := func() bool {
		x.write.Lock()
		defer x.write.Unlock()
		return x.merging != nil
	}
	there := map[string]bool{}
	same := func() bool {
		n := 0
		for id := range x.IDs {
			if n++; !there[id] {
				return false
			}
		}
		return n == len(there) && x.Len() == n
	}
	met := 0
	for round := 0; met < 5; round++ {
		if round == 2000 {
			t.Fatalf("met %d merges", met)
		}
		docs := marketed(round*deltaSize, (round+1)*deltaSize)
		x.UpsertAll(docs)
		for _, d := range docs {
			there[d.ID] = true
		}
		before := merging()
		var ids []string
		for id := range there { // of all segments
			if len(ids) < deltaSize-8 {
				ids = append(ids, id)
			}
		}
		x.DeleteAll(ids)
		for _, id := range ids {
			delete(there, id)
		}
		if before && merging() {
			met++
		}
		if !same() {
			t.Fatalf("round %d: %d are there, want %d", round, x.Len(), len(there))
		}
	}
	x.Close()
	if !same() {
		t.Errorf("after the last merge %d are there, want %d", x.Len(), len(there))
	}
}
