package recipe

import (
	"fmt"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/message"
)

// countedKind counts how often it is put into words.
type countedKind struct{ said *int }

func (countedKind) KeywordPath() []string { return []string{"counted"} }

func (k countedKind) LocalizedString(*message.Printer) string {
	*k.said++
	return "is wrong"
}

func TestOnlyWhatIsShownIsPutIntoWords(t *testing.T) {
	t.Parallel()
	said := 0
	wrong := &jsonschema.ValidationError{ErrorKind: countedKind{&said}}
	for i := range 2000 {
		wrong.Causes = append(wrong.Causes, &jsonschema.ValidationError{
			ErrorKind: countedKind{&said}, InstanceLocation: []string{"l", fmt.Sprintf("%04d", 1999-i)},
		})
	}
	if first := explainFirst(wrong); said != 1 || first.Cause != "is wrong" || !slices.Equal(first.Path, []string{"l", "0000"}) {
		t.Errorf("%+v; %d of 2000 were put into words for one", first, said)
	}
	said = 0
	if all := Explain(wrong); said != maxExplained || len(all) != maxExplained || all[maxExplained-1].Path[1] != "0099" || all[0].Cause != "is wrong" {
		t.Errorf("%d of 2000 were put into words, %d are told", said, len(all))
	}
}
