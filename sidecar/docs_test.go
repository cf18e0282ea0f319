package sidecar_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root of the repository, as its tests see it.
const root = "../"

// TestReadme_ShowsCodeThatCompiles holds the README's snippet equal to the marked part of the sidecar's Example.
func TestReadme_ShowsCodeThatCompiles(t *testing.T) {
	_, after, _ := strings.Cut(read(t, "sidecar/example_test.go"), "\t// README begins\n")
	marked, _, found := strings.Cut(after, "\t// README ends\n")
	if !found {
		t.Fatal("sidecar/example_test.go has lost its marks")
	}
	want := strings.TrimSuffix(strings.ReplaceAll("\n"+marked, "\n\t", "\n")[1:], "\n")
	_, after, _ = strings.Cut(read(t, "README.md"), "```go\n")
	if got, _, _ := strings.Cut(after, "\n```"); got != want {
		t.Errorf("README.md shows:\n%s\nthe Example runs:\n%s", got, want)
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)\)`)

// TestDocs_LinksLeadSomewhere follows every relative link.
func TestDocs_LinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob(root + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, more...) {
		for _, m := range link.FindAllStringSubmatch(read(t, strings.TrimPrefix(page, root)), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// TestReadme_ListsEveryFolder keeps the map of folders whole.
func TestReadme_ListsEveryFolder(t *testing.T) {
	readme := read(t, "README.md")
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	// What is built or belongs to git.
	ignored := map[string]bool{".git": true, "bin": true, "data": true, ".demo": true, "test-results": true}
	for _, e := range entries {
		if e.IsDir() && !ignored[e.Name()] && !strings.Contains(readme, "| `"+e.Name()+"/`") {
			t.Errorf("README.md does not say what %s/ is", e.Name())
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(root + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
