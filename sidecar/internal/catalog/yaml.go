package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Limits of a file of offerings.
const (
	MaxFileBytes     = 16 << 20
	MaxFileDocuments = 10000
	// maxYAMLDocument bounds one document before the parser sees it: a node takes many times its text in memory.
	maxYAMLDocument = 512 << 10
	maxYAMLDepth    = 32
	maxYAMLNodes    = 30000
)

// chunk is one document of a file; line is how many lines stand before it.
type chunk struct {
	text []byte
	line int
}

// split cuts a file at its document markers, which YAML gives no other meaning anywhere: so an error in one document hides
// none in the next, and one document at a time is in memory.
func split(src []byte) []chunk {
	var chunks []chunk
	start, startLine, line := 0, 0, 0
	cut := func(end int) {
		if len(bytes.TrimSpace(src[start:end])) > 0 {
			chunks = append(chunks, chunk{src[start:end], startLine})
		}
	}
	for pos := 0; pos < len(src); line++ {
		end := len(src)
		if i := bytes.IndexByte(src[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		if rest, ok := bytes.CutPrefix(src[pos:end], []byte("---")); ok && (len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n")) {
			cut(pos)
			start, startLine = pos, line
		}
		pos = end
	}
	cut(len(src))
	return chunks
}

// position of a problem, 1-based within the file.
type position struct{ line, column int }

// problem is a finding with its place.
type problem struct {
	position
	finding
}

// source is one parsed YAML document.
type source struct {
	root *yaml.Node
	line int
	// value is the document as JSON values, texts in NFC and amounts as written.
	value any
	nodes int
	wrong []problem
}

// parseYAML returns nil for a document with nothing in it.
func parseYAML(c chunk) *source {
	s := &source{line: c.line}
	if len(c.text) > maxYAMLDocument {
		s.refuse(nil, nil, "document_limit", fmt.Sprintf("a document is larger than %d KiB", maxYAMLDocument>>10))
		return s
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(c.text))
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = dec.Decode(&more); err == nil {
			err = errors.New("a second document without a --- line before it")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		line, cause := yamlError(err)
		s.wrong = append(s.wrong, problem{position{c.line + line, 1}, finding{nil, "yaml_syntax", cause}})
		return s
	}
	s.root = doc.Content[0]
	if s.root.ShortTag() == "!!null" && s.root.Kind == yaml.ScalarNode {
		return nil
	}
	s.value = s.convert(s.root, nil, 1)
	return s
}

func yamlError(err error) (line int, cause string) {
	cause = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(cause); m != nil {
		line, _ = strconv.Atoi(m[1])
		cause = cause[len(m[0]):]
		// The library counts from 0 in what its parser finds and from 1 in what its scanner finds.
		if strings.HasPrefix(cause, "did not find expected") {
			line++
		}
	}
	for _, known := range []struct{ says, means string }{
		{"mapping values are not allowed", "there is a colon after a value: indent the line like its neighbours, or put a text with a colon in quotes"},
		{"found character that cannot start any token", "YAML is indented with spaces and not with tabs, and a text that begins with @, %, & or ` stands in quotes"},
		{"found a tab character", "YAML is indented with spaces and not with tabs"},
		{"did not find expected key", "the line is indented unlike its neighbours, or the one before is not closed"},
		{"could not find expected ':'", "a field is a name, a colon and a space before its value"},
		{"did not find expected ',' or", "a list in [ ] or an object in { } is not closed"},
		{"found unexpected end of stream", "a quote is not closed"},
	} {
		if strings.Contains(cause, known.says) {
			return max(line, 1), cause + ": " + known.means
		}
	}
	return max(line, 1), cause
}

func (s *source) refuse(n *yaml.Node, path []string, reason, cause string) {
	pos := position{s.line + 1, 1}
	if n != nil {
		pos = position{s.line + n.Line, n.Column}
	}
	s.wrong = append(s.wrong, problem{pos, finding{slices.Clone(path), reason, cause}})
}

// convert makes a JSON value of a node and refuses what has no plain reading: anchors and aliases (a few lines of which
// grow to gigabytes), merge keys, own tags, names that stand twice, numbers that JSON does not have.
func (s *source) convert(n *yaml.Node, path []string, depth int) any {
	if s.nodes++; s.nodes > maxYAMLNodes {
		if s.nodes == maxYAMLNodes+1 {
			s.refuse(n, path, "document_limit", fmt.Sprintf("the document has more than %d values", maxYAMLNodes))
		}
		return nil
	}
	switch {
	case depth > maxYAMLDepth:
		s.refuse(n, path, "document_limit", fmt.Sprintf("nested deeper than %d", maxYAMLDepth))
		return nil
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		s.refuse(n, path, "yaml_alias", "anchors and aliases are refused: write the value out")
		return nil
	}
	switch n.Kind {
	case yaml.SequenceNode:
		if n.ShortTag() != "!!seq" {
			s.refuse(n, path, "yaml_tag", "tag "+n.Tag+" is refused")
		}
		list := make([]any, 0, len(n.Content))
		for i, e := range n.Content {
			list = append(list, s.convert(e, append(path, strconv.Itoa(i)), depth+1))
		}
		return list
	case yaml.MappingNode:
		if n.ShortTag() != "!!map" {
			s.refuse(n, path, "yaml_tag", "tag "+n.Tag+" is refused")
		}
		return s.mapping(n, path, depth)
	}
	return s.scalar(n, path)
}

func (s *source) mapping(n *yaml.Node, path []string, depth int) any {
	obj := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Anchor != "" {
			s.refuse(k, path, "yaml_key", "a field's name is a plain text")
			continue
		}
		name, err := text.Check(k.Value)
		switch _, twice := obj[name]; {
		case k.ShortTag() == "!!merge":
			s.refuse(k, path, "yaml_alias", "merge keys are refused: write the fields out")
		case err != nil:
			s.refuse(k, path, "text_invalid", err.Error())
		case twice:
			s.refuse(k, append(path, name), "field_duplicate", "stands twice")
		default:
			obj[name] = s.convert(v, append(path, name), depth+1)
			// Kept in form NFC, so that a path found in obj is found in the nodes too.
			k.Value = name
		}
	}
	return obj
}

func (s *source) scalar(n *yaml.Node, path []string) any {
	value, err := text.Check(n.Value)
	if err != nil {
		s.refuse(n, path, "text_invalid", err.Error())
		return ""
	}
	tag := n.ShortTag()
	if asWritten(path) && (tag == "!!int" || tag == "!!float") {
		return value
	}
	if tag == "!!str" && n.Style == 0 && begins(value) && jsonNumber.MatchString(value) {
		tag = "!!float" // the library takes a number that is too large for it as a text
	}
	switch tag {
	case "!!str", "!!timestamp":
		return value
	case "!!null":
		return nil
	case "!!bool":
		if t := strings.ToLower(value); t == "true" || t == "false" {
			return t == "true"
		}
	case "!!int", "!!float":
		if !jsonNumber.MatchString(value) {
			s.refuse(n, path, "number_malformed", "is a number that JSON cannot write; quote it if it is a text")
			return json.Number("0")
		}
		exact, err := text.Number(value)
		if err != nil {
			s.refuse(n, path, "number_inexact", err.Error())
			return json.Number("0")
		}
		n.Value = exact
		return json.Number(exact)
	}
	s.refuse(n, path, "yaml_tag", "tag "+n.Tag+" is refused")
	return nil
}

// begins reports whether a text begins as a number of JSON does: most do not, and are not matched against all of one.
func begins(s string) bool { return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') }

// asWritten reports whether a number at this path keeps its digits: 9.90 must never pass through a float.
func asWritten(path []string) bool {
	return len(path) > 2 && path[0] == "prices" && path[len(path)-1] == "amount"
}

var (
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?$`)
	yamlLine   = regexp.MustCompile(`^line (\d+): `)
)

// node finds the node at a path, or the nearest one above it; key tells that the name is meant, not its value.
func (s *source) node(path []string, key bool) *yaml.Node {
	n := s.root
	for i, name := range path {
		var next *yaml.Node
		switch n.Kind {
		case yaml.MappingNode:
			for j := 0; j+1 < len(n.Content); j += 2 {
				if n.Content[j].Value == name {
					if next = n.Content[j+1]; key && i == len(path)-1 {
						next = n.Content[j]
					}
					break
				}
			}
		case yaml.SequenceNode:
			if at, err := strconv.Atoi(name); err == nil && at >= 0 && at < len(n.Content) {
				next = n.Content[at]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// ordered writes the value at a path as JSON with its names in the order of the file, which forms are shown in.
func (s *source) ordered(path []string) json.RawMessage {
	var b bytes.Buffer
	writeOrdered(&b, s.node(path, false))
	return b.Bytes()
}

func writeOrdered(b *bytes.Buffer, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteByte(',')
			}
			writeText(b, n.Content[i].Value)
			b.WriteByte(':')
			writeOrdered(b, n.Content[i+1])
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, e := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			writeOrdered(b, e)
		}
		b.WriteByte(']')
	default:
		switch n.ShortTag() {
		case "!!null":
			b.WriteString("null")
		case "!!bool":
			b.WriteString(strings.ToLower(n.Value))
		case "!!int", "!!float":
			b.WriteString(n.Value)
		default:
			value, _ := text.Check(n.Value)
			writeText(b, value)
		}
	}
}

func writeText(b *bytes.Buffer, s string) {
	quoted, _ := json.Marshal(s)
	b.Write(quoted)
}
