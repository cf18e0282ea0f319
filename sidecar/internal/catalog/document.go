package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// MaxDocumentBytes bounds a published document.
const MaxDocumentBytes = 512 << 10

const (
	maxComponents     = 32
	maxTiers          = 32
	maxCertifications = 50
	maxDepth          = recipe.MaxSchemaDepth + 4
	maxValues         = 20000
)

// nothing is the schema of a recipe that asks for nothing; anything of one that promises nothing in particular.
const (
	nothing  = `{"type":"object","additionalProperties":false}`
	anything = `{"type":"object"}`
)

// DecodeDocument reads a published document within limits: what two readers could take differently, and members that it does not
// have, are refused. It does not check what the document says. Error: fault.Invalid, reason document_invalid.
func DecodeDocument(raw []byte) (doc Document, err error) {
	if len(raw) > MaxDocumentBytes {
		return Document{}, fault.New(fault.Invalid, "document_invalid", "%d bytes are more than %d", len(raw), MaxDocumentBytes)
	}
	// Each value but the first stands behind one of these: there are not more values than that.
	if most := 1 + bytes.Count(raw, []byte(",")) + bytes.Count(raw, []byte("[")) + bytes.Count(raw, []byte("{")); most > maxValues {
		if _, err := text.DecodeJSON(raw, text.Limits{Bytes: MaxDocumentBytes, Depth: maxDepth, Values: maxValues}); err != nil {
			return Document{}, fault.New(fault.Invalid, "document_invalid", "%s", err.Error())
		}
	}
	var f *fault.Error
	if errors.As(signed.DecodeDeep(raw, &doc, maxDepth), &f) {
		return Document{}, fault.New(fault.Invalid, "document_invalid", "%s", f.Cause).At(f.Field)
	}
	return doc, nil
}

// Known reads a document that was checked before it was stored: strictness has been paid for.
func Known(raw []byte) (doc Document, err error) { return doc, json.Unmarshal(raw, &doc) }

// decodeForeign reads a document that another member published and checks it by the rules of our own.
func decodeForeign(raw []byte, partner string, schemas *recipe.Schemas) (Document, error) {
	refuse := func(cause string, args ...any) (Document, error) {
		return Document{}, fault.New(fault.Invalid, "document_invalid", cause, args...)
	}
	doc, err := DecodeDocument(raw)
	if err != nil {
		return Document{}, err
	}
	if doc.Revision < 1 {
		return refuse("revision must be 1 or more")
	}
	if _, known := transitions[doc.State]; !known || doc.State == "" {
		return refuse("state is not known")
	}
	if found := doc.check(partner, schemas); len(found) > 0 {
		return refuse("%s %s", text.JoinPath("", found[0].path), found[0].cause)
	}
	return doc, nil
}

// finding is one thing that is wrong with a document; path is as in YAML.
type finding struct {
	path   []string
	reason string
	cause  string
}

func at(path ...string) []string { return path }

// unseen is what is wrong with a text of blanks.
const unseen = "has no character that people can see"

// Compiled once; they never change.
var (
	periodPattern   = regexp.MustCompile(`^P[1-9][0-9]{0,2}[YMWD]$`)
	negativePattern = regexp.MustCompile(`^-[0-9.]+$`)
	decimalPattern  = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
)

// isID reports whether s can be the id of an offering or a price: ^[a-z0-9][a-z0-9._-]{0,63}$, without the cost of matching it.
func isID(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// check is what must hold of a document wherever it comes from: from is the partner, "" for our own.
func (d Document) check(from string, schemas *recipe.Schemas) []finding {
	var found []finding
	note := func(path []string, reason, cause string, args ...any) {
		found = append(found, finding{path, reason, fmt.Sprintf(cause, args...)})
	}
	if !isID(d.ID) {
		note(at("id"), "field_format", "is not an id")
	}
	if !text.IsCountry(d.Country) {
		note(at("country"), "country_unknown", "is not the code of a country (ISO 3166-1 alpha-2)%s", countryHint(d.Country))
	}
	for _, t := range []struct {
		field, text string
		least, most int
	}{
		{"name", d.Name, 1, text.MaxName},
		{"summary", d.Summary, 0, text.MaxSummary},
		{"description", d.Description, 0, text.MaxDescription},
		{"category", d.Category, 1, text.MaxLabel},
		{"region", d.Region, 1, text.MaxLabel},
		{"family", d.Family, 0, text.MaxLabel},
		{"plan", d.Plan, 0, text.MaxLabel},
	} {
		if n := utf8.RuneCountInString(t.text); n < t.least || n > t.most {
			note(at(t.field), "field_limit", "must have %d to %d characters", t.least, t.most)
		} else if n > 0 && !text.Visible(t.text) {
			note(at(t.field), "text_invalid", unseen)
		}
	}
	if len(d.Certifications) > maxCertifications {
		note(at("certifications"), "field_limit", "are more than %d", maxCertifications)
	}
	for i, c := range d.Certifications {
		if n := utf8.RuneCountInString(c); n < 1 || n > text.MaxLabel {
			note(at("certifications", strconv.Itoa(i)), "field_limit", "must have 1 to %d characters", text.MaxLabel)
		} else if !text.Visible(c) {
			note(at("certifications", strconv.Itoa(i)), "text_invalid", unseen)
		}
	}
	if d.MaxQuantity < 0 || d.MaxQuantity > price.MaxQuantity {
		note(at("max_quantity"), "field_limit", "must be 1 to %d", price.MaxQuantity)
	} else {
		found = append(found, d.checkPrices()...)
	}
	for _, s := range []struct {
		field string
		raw   []byte
	}{{"inputs", d.Inputs}, {"outputs", d.Outputs}} {
		if _, err := schemas.Compile(from, s.raw); err != nil {
			found = append(found, schemaFinding(err, "recipe", s.field))
		}
	}
	return found
}

// schemaFinding places what is wrong with a schema within the document.
func schemaFinding(err error, path ...string) finding {
	var f *recipe.Flaw
	if errors.As(err, &f) {
		return finding{append(path, f.Path...), "schema_invalid", f.Cause}
	}
	return finding{path, "schema_invalid", causeOf(err)}
}

func causeOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Cause != "" {
		return f.Cause
	}
	return "is not valid"
}

func (d Document) checkPrices() []finding {
	if _, err := money.MinorDigits(d.Currency); err != nil {
		return []finding{{at("currency"), "currency_unknown", "is not an ISO 4217 currency in use"}}
	}
	if n := len(d.Prices); n < 1 || n > maxComponents {
		return []finding{{at("prices"), "field_limit", fmt.Sprintf("must be 1 to %d components", maxComponents)}}
	}
	var found []finding
	ids := map[string]bool{}
	period := ""
	for i, c := range d.Prices {
		path := at("prices", strconv.Itoa(i))
		note := func(field, reason, cause string) {
			found = append(found, finding{append(path[:2:2], field), reason, cause})
		}
		switch {
		case !isID(c.ID):
			note("id", "field_format", "is not an id")
		case ids[c.ID]:
			note("id", "price_duplicate", "stands twice in this offering")
		}
		ids[c.ID] = true
		if utf8.RuneCountInString(c.Name) > text.MaxName {
			note("name", "field_limit", "is too long")
		} else if c.Name != "" && !text.Visible(c.Name) {
			note("name", "text_invalid", unseen)
		}
		switch c.Kind {
		case price.Recurring:
			if !periodPattern.MatchString(c.Period) {
				note("period", "field_format", "must be an ISO 8601 duration of years, months, weeks or days")
			} else if period != "" && period != c.Period {
				note("period", "price_period", "differs: an offering recurs with one period")
			}
			period = c.Period
		case price.Usage:
			if n := utf8.RuneCountInString(c.Unit); n < 1 || n > text.MaxUnit {
				note("unit", "field_limit", "must say what one unit is")
			} else if !text.Visible(c.Unit) {
				note("unit", "text_invalid", unseen)
			}
		case price.OneOff:
		default:
			note("kind", "field_value", "must be one of: one_off, recurring, usage")
		}
		found = append(found, checkAmounts(c, path, d.Currency)...)
	}
	if len(found) == 0 {
		if _, err := d.PriceList().Line(d.Most(), price.Terms{}); err != nil {
			found = append(found, finding{at("prices"), "price_overflow", "overflow at the largest order"})
		}
	}
	return found
}

func checkAmounts(c price.Component, path []string, currency string) []finding {
	amount := func(path []string, s string) []finding {
		if _, err := money.ParseUnitPrice(s, currency); err != nil {
			reason, cause := amountFault(s)
			return []finding{{path, reason, cause}}
		}
		return nil
	}
	if len(c.Tiers) == 0 {
		return amount(append(path[:2:2], "amount"), c.Amount)
	}
	if c.Amount != "" || len(c.Tiers) > maxTiers {
		return []finding{{append(path[:2:2], "tiers"), "price_tiers", "stand instead of an amount, 32 at most"}}
	}
	var found []finding
	var last int64
	for i, t := range c.Tiers {
		tier := append(path[:2:2], "tiers", strconv.Itoa(i))
		found = append(found, amount(append(tier[:4:4], "amount"), t.Amount)...)
		switch final := i == len(c.Tiers)-1; {
		case final && t.UpTo != 0:
			found = append(found, finding{append(tier[:4:4], "up_to"), "price_tiers", "must not bound the last tier"})
		case !final && t.UpTo <= last:
			found = append(found, finding{append(tier[:4:4], "up_to"), "price_tiers", "must be above the tier before it"})
		}
		last = t.UpTo
	}
	return found
}

// amountFault says what is wrong with an amount that money.ParseUnitPrice refused.
func amountFault(s string) (reason, cause string) {
	if negativePattern.MatchString(s) {
		return "price_negative", "must not be negative"
	}
	if decimalPattern.MatchString(s) {
		return "price_overflow", "has more than 18 digits or 12 places"
	}
	return "price_malformed", `must be a plain decimal number like "9.90"`
}
