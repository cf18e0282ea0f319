package sidecar_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/auth/guard"
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

// bare is an https URL without a path, as origins are written; the placeholders of a grammar (NAME, [) are none.
var bare = regexp.MustCompile(`https://[A-Za-z0-9.:_-]*[A-Za-z0-9]\b`)

// TestDocs_ShowOnlyOriginsThatPartnersAccept goes through what we tell people to write: pages, deployment files, help, errors
// and contracts.
func TestDocs_ShowOnlyOriginsThatPartnersAccept(t *testing.T) {
	seen := 0
	for _, place := range []string{"README.md", "ARCHITECTURE.md", "docs", "deploy", "sidecar", "sdk/proto/hanse"} {
		err := filepath.WalkDir(root+place, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".binpb") {
				return err
			}
			text := read(t, strings.TrimPrefix(path, root))
			for _, at := range bare.FindAllStringIndex(text, -1) {
				shown := text[at[0]:at[1]]
				if next := text[at[1]:]; strings.HasPrefix(next, "/") || strings.HasPrefix(next, "[") || strings.Contains(shown, "NAME.localhost") {
					continue
				}
				seen++
				dev := strings.Contains(shown, ".localhost")
				if canonical, err := guard.Origin(shown, dev); (err != nil || canonical != shown) && shown != "https://name.localhost:port" {
					t.Errorf("%s shows %s: %v", path, shown, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 20 {
		t.Errorf("found %d origins only", seen)
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
