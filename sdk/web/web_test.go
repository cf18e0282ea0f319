package web_test

import (
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sdk/web"
)

// The elements' rules are tested in their own language.
func TestElements(t *testing.T) {
	if _, err := os.Stat("node_modules/esbuild"); err != nil {
		t.Fatal("sdk/web/node_modules is missing; install it: make setup, or npm ci in sdk/web")
	}
	out, err := exec.CommandContext(t.Context(), "node", "--test", "test/unit.test.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v (Node.js: make setup)\n%s", err, out)
	}
}

// A page under "default-src 'self'" can load the bundle: nothing in it evaluates text or calls elsewhere.
func TestBundleHoldsNothingThatAStrictPolicyForbids(t *testing.T) {
	forbidden := regexp.MustCompile(`\beval\(|new Function\(|document\.write\(|<script|style="`)
	// Namespaces are names, not addresses that are called.
	address := regexp.MustCompile(`https?://[a-z0-9-]+(\.[a-z0-9-]+)+`)
	named := map[string]bool{"http://www.w3.org": true, "https://example.com": true}
	err := fs.WalkDir(web.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".js") {
			return err
		}
		data, err := fs.ReadFile(web.FS(), name)
		if err != nil {
			return err
		}
		if found := forbidden.Find(data); found != nil {
			t.Errorf("%s holds %q", name, found)
		}
		for _, url := range address.FindAllString(string(data), -1) {
			if !named[url] {
				t.Errorf("%s names %s", name, url)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
