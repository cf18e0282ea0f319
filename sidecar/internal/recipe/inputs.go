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
	err = s.compiled.Validate(v)
	var verr *jsonschema.ValidationError
	switch {
	case errors.As(err, &verr):
		first := Explain(verr)[0]
		if first.Keyword == "additionalProperties" {
			first.Cause += s.hint(first.Path)
		}
		return nil, fault.New(fault.Invalid, "inputs_invalid", "%s", first.Cause).At(text.JoinPath(inputsField, first.Path)).
			Do("Correct the field and order again.")
	case err != nil:
		return nil, fault.New(fault.Invalid, "inputs_invalid", "the inputs do not fit the offering").At(inputsField).Because(err)
	}
	out, err := encode(v)
	if err != nil {
		return nil, err
	}
	// Whoever gets them next reads them within the same limits.
	_, err = decodeInputs(out)
	return out, err
}

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
}

// Explain lists what a validation found, by path; at least one.
func Explain(err *jsonschema.ValidationError) []Violation {
	var all []Violation
	collect(err, message.NewPrinter(language.English), &all)
	slices.SortStableFunc(all, func(a, b Violation) int {
		if c := slices.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return cmp.Compare(a.Keyword, b.Keyword)
	})
	return all
}

func collect(err *jsonschema.ValidationError, p *message.Printer, all *[]Violation) {
	if len(err.Causes) > 0 {
		for _, c := range err.Causes {
			collect(c, p, all)
		}
		return
	}
	at := func(name ...string) []string { return append(slices.Clone(err.InstanceLocation), name...) }
	keyword := "schema"
	if path := err.ErrorKind.KeywordPath(); len(path) > 0 {
		keyword = path[0]
	}
	found := Violation{Keyword: keyword, Schema: err.SchemaURL}
	note := func(cause string, missing bool, name ...string) {
		v := found
		v.Path, v.Cause, v.Missing = at(name...), cause, missing
		*all = append(*all, v)
	}
	switch k := err.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			note("is required", true, name)
		}
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			note(fmt.Sprintf("is required where %s is given", text.Shorten(k.Prop)), true, name)
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			note("is not a known field", false, name)
		}
	case *kind.Pattern:
		found.Want = k.Want
		note(describe(k, p), false)
	case *kind.Format:
		found.Want = k.Want
		note(describe(k, p), false)
	default:
		note(describe(err.ErrorKind, p), false)
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
