package sidecar

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var updateConfigDocs = flag.Bool("update-config-docs", false, "write docs/configuration.md from the comments of Config")

const configDocs = "../docs/configuration.md"

// TestConfigurationPage holds docs/configuration.md equal to the comments of Config, and every comment to naming a default.
func TestConfigurationPage(t *testing.T) {
	page := configurationPage(t)
	if *updateConfigDocs {
		if err := os.WriteFile(configDocs, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(configDocs)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, page) {
		t.Errorf("%s differs from the comments in config.go; run: go test ./sidecar -run TestConfigurationPage -update-config-docs", configDocs)
	}
}

// TestConfigurationPage_DefaultsAreTrue compares the defaults that the comments name with those that Complete sets.
func TestConfigurationPage_DefaultsAreTrue(t *testing.T) {
	c, err := Config{Origin: "https://sidecar.example", TLS: TLS{TerminatedInFront: true}}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	c.TLS.TerminatedInFront = false
	for _, row := range configurationRows(t) {
		if row.key == "origin" || strings.Contains(row.key, "NAME") {
			continue
		}
		value := reflect.ValueOf(c)
		for _, name := range row.fields {
			value = value.FieldByName(name)
		}
		got := fmt.Sprint(value)
		switch {
		case strings.HasPrefix(row.standard, "none") || row.standard == "not declared":
			if !value.IsZero() {
				t.Errorf("%s: documented as %q, is %q", row.key, row.standard, got)
			}
		case strings.Contains(row.standard, " in data_dir"):
			name, _, _ := strings.Cut(row.standard, " ")
			if got != "data/"+name {
				t.Errorf("%s: documented as %q, is %q", row.key, row.standard, got)
			}
		case row.key == "member.name" || row.key == "member.legal_name":
			if got != "sidecar.example" {
				t.Errorf("%s: is %q", row.key, got)
			}
		default:
			name, _, _ := strings.Cut(row.standard, ";")
			if got != name {
				t.Errorf("%s: documented as %q, is %q", row.key, row.standard, got)
			}
		}
	}
}

type docRow struct {
	key, env, kind, standard, text string
	// fields is the way to the value in Config.
	fields []string
}

func configurationPage(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString("# Configuration\n\n" +
		"<!-- Written from the comments in sidecar/config.go by `go test ./sidecar -run TestConfigurationPage -update-config-docs`. -->\n\n" +
		"`hanse` reads these keys from the YAML file that `-c` names, else from `hanse.yaml` in the folder it is started in, else from\n" +
		"`/etc/hanse/hanse.yaml`; the variable of a key lies over the file. Unknown keys are refused. Relative paths start at the\n" +
		"file's folder, those in variables at the working directory. An embedding program fills in the same struct, `sidecar.Config`. Durations are written like `15s` or `2m`.\n\n" +
		"The smallest file of a member behind a TLS proxy:\n\n" +
		"```yaml\norigin: https://sidecar.example\ntls:\n  terminated_in_front: true\n```\n\n" +
		"| Key | Variable | Type | Default | Meaning |\n|---|---|---|---|---|\n")
	for _, r := range configurationRows(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.key, r.env, r.kind, r.standard, r.text)
	}
	b.WriteString("\nThe command line reads two more variables: `HANSE_OPERATOR` (the Operator API's URL) and `HANSE_OPERATOR_TOKEN`.\n")
	return b.Bytes()
}

var defaultSentence = regexp.MustCompile(`(?s)^(.*?)\s*Default: (.*)\.$`)

func configurationRows(t *testing.T) []docRow {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if s, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = s
			}
		}
		return true
	})
	var rows []docRow
	var walk func(prefix string, fields []string, s *ast.StructType)
	walk = func(prefix string, fields []string, s *ast.StructType) {
		for _, f := range s.Fields.List {
			if f.Tag == nil {
				t.Fatalf("%s has no koanf tag", f.Names[0].Name)
			}
			name := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("koanf")
			if name == "-" {
				continue
			}
			at := append(fields[:len(fields):len(fields)], f.Names[0].Name)
			key := prefix + name
			if ident, ok := f.Type.(*ast.Ident); ok && structs[ident.Name] != nil {
				walk(key+".", at, structs[ident.Name])
				continue
			}
			if m, ok := f.Type.(*ast.MapType); ok {
				if ident, ok := m.Value.(*ast.Ident); ok && structs[ident.Name] != nil {
					walk(key+".NAME.", at, structs[ident.Name])
					continue
				}
			}
			rows = append(rows, rowOf(t, key, f, at))
		}
	}
	walk("", nil, structs["Config"])
	return rows
}

func rowOf(t *testing.T, key string, f *ast.Field, at []string) docRow {
	t.Helper()
	text := strings.Join(strings.Fields(string(new(comment.Printer).Text(new(comment.Parser).Parse(f.Doc.Text())))), " ")
	row := docRow{key: key, env: "`HANSE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_")) + "`", fields: at, text: text, standard: "required"}
	if strings.Contains(key, "NAME") {
		row.env = "–"
	}
	if m := defaultSentence.FindStringSubmatch(text); m != nil {
		row.text, row.standard = m[1], m[2]
	} else if !strings.HasSuffix(text, "Required.") {
		t.Errorf("%s: its comment names no default and does not end with Required.", key)
	}
	row.text = strings.TrimSuffix(row.text, " Required.")
	// The field's Go name opens a Go comment and means nothing to who writes YAML.
	row.text = strings.TrimPrefix(row.text, at[len(at)-1]+" ")
	row.text = strings.TrimPrefix(strings.TrimPrefix(row.text, "is "), "are ")
	row.text = strings.ToUpper(row.text[:1]) + row.text[1:]
	switch typ := f.Type.(type) {
	case *ast.Ident:
		row.kind = map[string]string{"string": "text", "bool": "true or false", "int": "number", "float64": "number"}[typ.Name]
	case *ast.SelectorExpr:
		row.kind = "duration"
	case *ast.ArrayType:
		row.kind = "list"
	case *ast.MapType:
		row.kind = "keys"
	}
	if row.kind == "" {
		t.Errorf("%s: the page has no word for its type", key)
	}
	return row
}
