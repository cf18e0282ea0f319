package catalog

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

//go:embed offering.schema.json
var offeringSchema []byte

// maxApplyErrors bounds how many errors one answer lists.
const maxApplyErrors = 100

// ApplyError is one thing that is wrong in a file. Document, Line and Column count from 1.
type ApplyError struct {
	Document int
	Line     int
	Column   int
	// Field is the path of the field: prices[0].amount.
	Field  string
	Reason string
	Cause  string
}

func (e ApplyError) Error() string {
	s := fmt.Sprintf("document %d, line %d, column %d", e.Document, e.Line, e.Column)
	if e.Field != "" {
		s += ": " + e.Field
	}
	return s + ": " + e.Cause
}

// Parsed is one offering of a file, not applied yet: its document has no revision.
type Parsed struct {
	Document Document
	Binding  recipe.Binding
	// binding is Binding as it is stored, source the digest of all that the file says of the offering.
	binding []byte
	source  [32]byte
	number  int
	// chunk is its text, to find where in it something is wrong: what the parser makes of it takes many times its room.
	chunk chunk
}

// Error is an error at a field of this offering.
func (p Parsed) Error(reason, cause string, path ...string) ApplyError {
	n := parseYAML(p.chunk).node(path, false)
	return ApplyError{
		Document: p.number, Line: p.chunk.line + n.Line, Column: n.Column,
		Field: text.JoinPath("", path), Reason: reason, Cause: cause,
	}
}

// Parse reads a file of YAML documents. It finds as many errors as it can; where there is one, nothing must be applied.
func Parse(yaml []byte) ([]Parsed, []ApplyError) {
	p := parser{schemas: recipe.NewSchemas(0)}
	return p.parse(yaml)
}

type parser struct {
	schemas *recipe.Schemas
	format  *jsonschema.Schema
	// looked remembers what was found in a recipe: one stands in many documents of a file.
	looked sync.Map
}

func (p *parser) parse(yaml []byte) ([]Parsed, []ApplyError) {
	whole := func(reason, cause string) ([]Parsed, []ApplyError) {
		return nil, []ApplyError{{Document: 1, Line: 1, Column: 1, Reason: reason, Cause: cause}}
	}
	if len(yaml) > MaxFileBytes {
		return whole("file_limit", fmt.Sprintf("the file is larger than %d MiB", MaxFileBytes>>20))
	}
	var err error
	if p.format, err = format(); err != nil {
		return whole("internal", "the offering schema does not compile: "+err.Error())
	}
	chunks := split(bytes.TrimPrefix(yaml, []byte("\ufeff")))
	if len(chunks) > MaxFileDocuments {
		return whole("file_limit", fmt.Sprintf("the file has more than %d documents", MaxFileDocuments))
	}
	all := make([]Parsed, 0, len(chunks))
	var wrong []ApplyError
	seen := map[string]int{}
	number := 0
	for some := range slices.Chunk(chunks, parsePage) {
		for _, read := range p.documents(some) {
			if read == nil {
				continue
			}
			number++
			if id := read.Document.ID; id != "" {
				if before, twice := seen[id]; twice {
					e := read.Error("offering_duplicate", fmt.Sprintf("stands in document %d too", before), "id")
					read.wrong = slices.Insert(read.wrong, 0, e)
				}
				seen[id] = number
			}
			for _, e := range read.wrong {
				e.Document = number
				wrong = append(wrong, e)
			}
			read.number = number
			all = append(all, read.Parsed)
		}
		if len(wrong) >= maxApplyErrors {
			return nil, wrong[:maxApplyErrors]
		}
	}
	if number == 0 {
		return whole("file_empty", "the file holds no document")
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return all, nil
}

// parsePage is how many documents are read before their errors are looked at.
const parsePage = 1000

// documents reads some documents, each processor its own; nil is one with nothing in it. A panic is the caller's, who knows what to do.
func (p *parser) documents(chunks []chunk) []*document {
	all := make([]*document, len(chunks))
	var next atomic.Int64
	var readers sync.WaitGroup
	var panicked atomic.Value
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			defer func() {
				if why := recover(); why != nil {
					panicked.Store(fmt.Sprintf("%v\n%s", why, debug.Stack()))
				}
			}()
			for i := next.Add(1) - 1; i < int64(len(chunks)); i = next.Add(1) - 1 {
				all[i] = p.document(chunks[i])
				runtime.Gosched() // nobody waits for a file as they do for an order
			}
		})
	}
	readers.Wait()
	if why := panicked.Load(); why != nil {
		panic(why)
	}
	return all
}

// document is one of a file, with what is wrong with it.
type document struct {
	Parsed
	wrong []ApplyError
}

// format is the compiled offeringSchema.
var format = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(offeringSchema))
	if err != nil {
		return nil, err
	}
	const name = "https://hanse.market/schemas/offering.json"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
})

// document checks one document in three steps, each of which needs the one before: shape, schema, meaning.
func (p *parser) document(c chunk) *document {
	src := parseYAML(c)
	if src == nil {
		return nil
	}
	read := &document{Parsed: Parsed{chunk: c}}
	wrong := src.wrong
	if len(wrong) == 0 {
		wrong = p.schema(src)
	}
	if len(wrong) > 0 {
		for _, w := range wrong {
			read.wrong = append(read.wrong, ApplyError{
				Line: w.line, Column: w.column, Field: text.JoinPath("", w.path), Reason: w.reason, Cause: w.cause,
			})
		}
		return read
	}
	for _, f := range p.meaning(src, &read.Parsed) {
		read.wrong = append(read.wrong, read.Error(f.reason, f.cause, f.path...))
	}
	return read
}

func (p *parser) schema(src *source) []problem {
	err := p.format.Validate(src.value)
	var verr *jsonschema.ValidationError
	if !errors.As(err, &verr) {
		return nil
	}
	for _, v := range recipe.Explain(verr) {
		n := src.node(v.Path, v.Keyword == "additionalProperties")
		f := finding{v.Path, reasonOf(v.Keyword), inWords(v, n.Value)}
		if last := len(v.Path) - 1; last >= 0 && v.Path[last] == "amount" && v.Keyword == "pattern" {
			f.reason, f.cause = amountFault(n.Value)
		}
		src.wrong = append(src.wrong, problem{position{src.line + n.Line, n.Column}, f})
	}
	return src.wrong
}

func reasonOf(keyword string) string {
	switch keyword {
	case "required", "dependentRequired":
		return "field_missing"
	case "additionalProperties":
		return "field_unknown"
	case "type":
		return "field_type"
	case "enum", "const":
		return "field_value"
	case "pattern", "format":
		return "field_format"
	case "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "maxProperties":
		return "field_limit"
	}
	return "field_invalid"
}

// written is the part of a document that is not published as it stands.
type written struct {
	Document
	Prices []struct {
		price.Component
		Currency string `json:"currency"`
	} `json:"prices"`
	Recipe struct {
		Step recipe.Binding `json:"step"`
	} `json:"recipe"`
}

func (p *parser) meaning(src *source, parsed *Parsed) []finding {
	raw, err := json.Marshal(src.value)
	if err != nil {
		return []finding{{nil, "document_invalid", "cannot be written as JSON"}}
	}
	var w written
	if err := jsonv2.Unmarshal(raw, &w); err != nil {
		return []finding{{nil, "document_invalid", "holds a value that does not fit: " + err.Error()}}
	}
	var found []finding
	doc := w.Document
	if doc.State == "" {
		doc.State = Orderable
	}
	for i, c := range w.Prices {
		if c.Currency != "" && c.Currency != doc.Currency {
			found = append(found, finding{
				at("prices", fmt.Sprint(i), "currency"), "price_currency",
				"differs from the offering's currency " + doc.Currency,
			})
		}
		if c.Name == "" {
			c.Name = c.ID
		}
		doc.Prices = append(doc.Prices, c.Component)
	}
	doc.Inputs, doc.Outputs = json.RawMessage(nothing), json.RawMessage(anything)
	if v, _ := src.value.(map[string]any)["recipe"].(map[string]any); v != nil {
		if _, has := v["inputs"]; has {
			doc.Inputs = src.ordered(at("recipe", "inputs"))
		}
		if _, has := v["outputs"]; has {
			doc.Outputs = src.ordered(at("recipe", "outputs"))
		}
	}
	if doc.MaxQuantity == 1 {
		doc.MaxQuantity = 0 // one way to say it
	}
	if doc.OrderableUntil != nil {
		utc := doc.OrderableUntil.UTC().Truncate(time.Second)
		doc.OrderableUntil = &utc
	}
	parsed.Document, parsed.Binding = doc, w.Recipe.Step

	if err := parsed.write(); err != nil {
		return append(found, finding{nil, "document_invalid", "cannot be written as JSON"})
	}
	found = append(found, doc.checkLines()...)
	checked := doc.check("", p.schemas)
	found = append(found, checked...)
	if !slices.ContainsFunc(checked, func(f finding) bool { return f.reason == "schema_invalid" }) {
		found = append(found, p.recipe(parsed)...)
	}
	return append(found, checkQuantity(parsed.Binding, doc)...)
}

// write makes what is stored and compared of an offering.
func (p *Parsed) write() error {
	doc, err := json.Marshal(p.Document)
	if err != nil {
		return err
	}
	if p.binding, err = p.Binding.Marshal(); err != nil {
		return err
	}
	h := sha256.New()
	h.Write(doc)
	h.Write([]byte{0})
	h.Write(p.binding)
	p.source = [32]byte(h.Sum(nil))
	return nil
}

// checkQuantity holds the number of pieces that may be ordered against the step that makes them: what is charged for ten must make ten.
func checkQuantity(b recipe.Binding, doc Document) (found []finding) {
	uses := b.Uses("quantity")
	if doc.Most() > 1 && len(uses) == 0 {
		return []finding{{at("max_quantity"), "quantity_unused", fmt.Sprintf("is %d, but recipe.step.with never says ${quantity}: an order of %d pieces would "+
			"make one and charge for all. Use ${quantity} there, or leave max_quantity out", doc.Most(), doc.Most())}}
	}
	if doc.Most() > 1 {
		return nil
	}
	for _, path := range uses {
		found = append(found, finding{
			append(at("recipe", "step"), path...), "quantity_single",
			"${quantity} is always 1 here: say with max_quantity how many pieces one order may have, or write 1",
		})
	}
	return found
}

// recipe looks at inputs, outputs and step, once for all documents that have the same.
func (p *parser) recipe(parsed *Parsed) []finding {
	doc := parsed.Document
	key := [3]string{string(parsed.binding), string(doc.Inputs), string(doc.Outputs)}
	if found, looked := p.looked.Load(key); looked {
		return found.([]finding)
	}
	found := append(lint(parsed.Binding, doc), doc.checkForm()...)
	p.looked.Store(key, found)
	return found
}

func lint(b recipe.Binding, doc Document) []finding {
	var found []finding
	for field, schema := range map[string][]byte{"inputs": doc.Inputs, "outputs": doc.Outputs} {
		problems, err := recipe.Misspelt(schema)
		if err != nil {
			return []finding{schemaFinding(err, "recipe", field)}
		}
		for _, pr := range problems {
			found = append(found, finding{append(at("recipe", field), pr.Path...), pr.Reason, pr.Cause})
		}
	}
	slices.SortFunc(found, func(a, b finding) int { return slices.Compare(a.path, b.path) })
	problems, err := recipe.Lint(b, doc.Inputs, doc.Outputs)
	if err != nil {
		return []finding{schemaFinding(err, "recipe")}
	}
	for _, pr := range problems {
		path := append(at("recipe", "step"), pr.Path...)
		found = append(found, finding{path, pr.Reason, pr.Cause})
	}
	return found
}

// checkLines refuses line breaks where one line is shown.
func (d Document) checkLines() []finding {
	var found []finding
	line := func(s string, path ...string) {
		if strings.ContainsAny(s, "\n\t") || strings.TrimSpace(s) != s {
			found = append(found, finding{path, "text_invalid", "must be one line without spaces at its ends"})
		}
	}
	line(d.Name, "name")
	line(d.Summary, "summary")
	line(d.Category, "category")
	line(d.Region, "region")
	line(d.Family, "family")
	line(d.Plan, "plan")
	for i, c := range d.Certifications {
		line(c, "certifications", fmt.Sprint(i))
	}
	for i, c := range d.Prices {
		line(c.Name, "prices", fmt.Sprint(i), "name")
		line(c.Unit, "prices", fmt.Sprint(i), "unit")
	}
	return found
}
