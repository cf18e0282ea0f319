package recipe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Limits of an order item's inputs.
const (
	MaxInputsBytes  = 64 << 10
	maxInputsDepth  = 16
	maxInputsValues = 2000
)

// inputsField is where inputs stand in an item.
const inputsField = "inputs"

// Complete fills the schema's defaults into inputs (JSON; nothing is {}), checks the whole and writes it in one way, the same for
// the same inputs. What is complete stays as it is. Errors: fault.Invalid with reason inputs_invalid, the path of the first wrong
// field and what is wrong with it.
func (s *Schema) Complete(inputs []byte) ([]byte, error) {
	v, err := decodeInputs(inputs)
	if err != nil {
		return nil, err
	}
	if v, err = s.fill(v); err != nil {
		return nil, err
	}
	out, err := encode(v)
	if err != nil {
		return nil, err
	}
	if longest := s.longest(); len(out) > longest {
		return nil, fault.New(fault.Invalid, "inputs_invalid", "with the patterns of this offering inputs may have %d bytes", longest).At(inputsField)
	}
	if s.evaluations(s.doc, v, maxEvaluations) > maxEvaluations {
		return nil, fault.New(fault.Invalid, "inputs_invalid", "too many rules of this offering apply to so many values").At(inputsField).
			Do("Order with fewer values.")
	}
	err = s.compiled.Validate(v)
	var verr *jsonschema.ValidationError
	switch {
	case errors.As(err, &verr):
		first := explainFirst(verr)
		if first.Keyword == "additionalProperties" {
			first.Cause += s.hint(first.Path)
		}
		return nil, fault.New(fault.Invalid, "inputs_invalid", "%s", first.Cause).At(text.JoinPath(inputsField, first.Path)).
			Do("Correct the field and order again.")
	case err != nil:
		return nil, fault.New(fault.Invalid, "inputs_invalid", "the inputs do not fit the offering").At(inputsField).Because(err)
	}
	// Whoever gets them next reads them within the same limits.
	_, err = decodeInputs(out)
	return out, err
}

// longest is how many bytes complete inputs may have, so that holding them against the schema's patterns stays bounded.
func (s *Schema) longest() int { return maxPatternWork / max(s.steps, 1) }

// decodeInputs reads inputs within the limits; each number is exact and in its one form.
func decodeInputs(inputs []byte) (any, error) {
	if len(inputs) == 0 {
		return map[string]any{}, nil
	}
	v, err := text.DecodeJSON(inputs, text.Limits{Bytes: MaxInputsBytes, Depth: maxInputsDepth, Values: maxInputsValues})
	if err != nil {
		return nil, fault.New(fault.Invalid, "inputs_invalid", "%s", err.Error()).At(inputsField)
	}
	v, path, err := text.Exact(v)
	if err != nil {
		return nil, fault.New(fault.Invalid, "inputs_invalid", "%s", err.Error()).At(text.JoinPath(inputsField, path))
	}
	return v, nil
}

// Violation is one thing that a schema does not allow.
type Violation struct {
	// Path of the value at fault, or of the name that is missing or not known.
	Path []string
	// Keyword of the schema: required, type, pattern, ...
	Keyword string
	// Cause is in words for people.
	Cause string
	// Missing tells that nothing stands at Path.
	Missing bool
	// Want is the pattern or the format that the value does not have.
	Want string
	// Schema is the URL of the subschema that refuses it.
	Schema string
	// kind is what Cause is made of.
	kind jsonschema.ErrorKind
}

// maxExplained bounds how many violations are put into words: a list of two thousand wrong items says no more than its first.
const maxExplained = 100

// Explain says what a validation found, by path; at least one, and the first hundred where there are more.
func Explain(err *jsonschema.ValidationError) []Violation {
	var all []Violation
	collect(err, &all)
	slices.SortStableFunc(all, earlier)
	all = all[:min(len(all), maxExplained)]
	p := message.NewPrinter(language.English)
	for i := range all {
		all[i].Cause = describe(all[i].kind, p)
	}
	return all
}

// explainFirst is the first of what Explain says, without putting the others into words.
func explainFirst(err *jsonschema.ValidationError) Violation {
	var all []Violation
	collect(err, &all)
	first := slices.MinFunc(all, earlier)
	first.Cause = describe(first.kind, message.NewPrinter(language.English))
	return first
}

func earlier(a, b Violation) int {
	if c := slices.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	return cmp.Compare(a.Keyword, b.Keyword)
}

// collect lists what was found without its causes: whoever sends a wrong list must not have each item's put into words.
func collect(err *jsonschema.ValidationError, all *[]Violation) {
	if len(err.Causes) > 0 {
		for _, c := range err.Causes {
			collect(c, all)
		}
		return
	}
	found := Violation{Keyword: "schema", Schema: err.SchemaURL, kind: err.ErrorKind}
	if path := err.ErrorKind.KeywordPath(); len(path) > 0 {
		found.Keyword = path[0]
	}
	note := func(missing bool, name ...string) {
		v := found
		v.Path, v.Missing = append(slices.Clone(err.InstanceLocation), name...), missing
		*all = append(*all, v)
	}
	switch k := err.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			note(true, name)
		}
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			note(true, name)
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			note(false, name)
		}
	case *kind.Pattern:
		found.Want = k.Want
		note(false)
	case *kind.Format:
		found.Want = k.Want
		note(false)
	default:
		note(false)
	}
}

// hint is the property that was meant by one that is not there; "" where none is near.
func (s *Schema) hint(path []string) string {
	if len(path) == 0 {
		return ""
	}
	last := len(path) - 1
	p, _, known := s.at(path[:last])
	if !known {
		return ""
	}
	return text.DidYouMean(path[last], p.names())
}

func describe(k jsonschema.ErrorKind, p *message.Printer) string {
	switch k := k.(type) {
	case *kind.Required:
		return "is required"
	case *kind.DependentRequired:
		return fmt.Sprintf("is required where %s is given", text.Shorten(k.Prop))
	case *kind.AdditionalProperties:
		return "is not a known field"
	case *kind.Type:
		return fmt.Sprintf("must be %s, not %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		words := make([]string, 0, len(k.Want))
		for _, w := range k.Want {
			words = append(words, text.Shorten(fmt.Sprint(w)))
		}
		got, _ := k.Got.(string)
		return "must be one of: " + strings.Join(words, ", ") + text.DidYouMean(got, words)
	case *kind.Pattern:
		return "does not match the pattern " + k.Want
	case *kind.Format:
		return "is not a valid " + k.Want
	case *kind.FalseSchema:
		return "is not allowed here"
	case *kind.MaxLength:
		return fmt.Sprintf("is longer than %d characters", k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("is shorter than %d characters", k.Want)
	}
	return text.Shorten(k.LocalizedString(p))
}
