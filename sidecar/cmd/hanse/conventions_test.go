package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// leaves are all commands that a person can give, with arguments that their grammar takes.
func leaves(t *testing.T) map[string][]string {
	t.Helper()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, leaf := range parser.Model.Leaves(true) {
		args := strings.Fields(strings.TrimPrefix(leaf.FullPath(), parser.Model.Name))
		name := strings.Join(args, " ")
		for _, arg := range leaf.Positional {
			args = append(args, sample(arg))
		}
		for _, group := range leaf.AllFlags(true) {
			for _, f := range group {
				if f.Required {
					args = append(args, "--"+f.Name, sample(f.Value))
				}
			}
		}
		out[name] = args
	}
	return out
}

// sample is a value that the grammar takes.
func sample(v *kong.Value) string {
	switch {
	case v.Enum != "":
		return strings.Split(v.Enum, ",")[0]
	case v.Target.Type().Name() == "percentFlag":
		return "10%"
	case v.IsBool():
		return "true"
	case v.Name == "name":
		return "alpha"
	}
	return "7"
}

func TestConventions_EveryCommandTakesJSONAndAnswersInIt(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	all := leaves(t)
	if len(all) < 25 {
		t.Fatalf("only %d commands were found", len(all))
	}
	for name, args := range all {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			env := map[string]string{"HANSE_OPERATOR": "http://127.0.0.1:1", "HANSE_OPERATOR_TOKEN": token}
			if args[0] == "serve" {
				env["HANSE_LOG_FORMAT"] = "loud" // so that it ends
			}
			if args[0] == "chaos" {
				args = append(args, "--plan") // so that it runs nothing
			}
			got := hanse(t, env, "", append(args, "-o", "json")...)
			inJSON(t, got)
			if got.code == exitUsage {
				t.Errorf("the test does not know its grammar: %s", got.stderr)
			}
			wrong := hanse(t, env, "", append(slices.Clone(args), "--no-such-flag", "-o", "json")...)
			if inJSON(t, wrong); wrong.code != exitUsage {
				t.Errorf("a wrong flag exits with %d: %s", wrong.code, wrong.stderr)
			}
		})
	}
}

// inJSON fails unless a run's data, or else its error, is JSON.
func inJSON(t *testing.T, got result) {
	t.Helper()
	if got.code == exitOK {
		if !json.Valid([]byte(got.stdout)) {
			t.Errorf("no JSON: %s", got.stdout)
		}
		return
	}
	var failed struct {
		Error struct {
			Code          int `json:"exit_code"`
			Reason, Cause string
		}
	}
	lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &failed); err != nil || failed.Error.Code != got.code || failed.Error.Reason == "" || failed.Error.Cause == "" {
		t.Errorf("exit %d with %q, %v", got.code, got.stderr, err)
	}
}

func TestConventions_JSONIsFoundInACommandLineThatIsWrong(t *testing.T) {
	for args, want := range map[string]bool{
		"sell -o json": true, "-o json sell": true, "sell -ojson": true, "sell -o=json": true, "sell --output json": true,
		"sell --output=json": true, "-o json -o table sell": false, "sell -o table": false, "sell -- -o json": false, "sell": false,
		"sell -o": false, "order list -o xml": false, "order list --side json": false,
	} {
		got := hanse(t, nil, "", strings.Fields(args)...)
		if is := strings.HasPrefix(got.stderr, `{"error":`); is != want || (got.code != exitUsage && args != "sell -- -o json") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestConventions_ExitCodesAreOneTable(t *testing.T) {
	page, err := os.ReadFile("../../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	help := hanse(t, nil, "", "--help").stdout
	rows := regexp.MustCompile(`(?m)^\| (\d) \| (.*) \|$`).FindAllStringSubmatch(string(page), -1)
	known := map[int]bool{}
	for i, e := range exits() {
		known[e.code] = true
		if i >= len(rows) || rows[i][1] != fmt.Sprint(e.code) || rows[i][2] != e.meaning {
			t.Errorf("docs/cli.md does not say in its place: | %d | %s |", e.code, e.meaning)
		}
		if !strings.Contains(help, fmt.Sprintf("  %d  %s\n", e.code, e.meaning)) {
			t.Errorf("the help does not say: %d %s", e.code, e.meaning)
		}
	}
	if len(rows) != len(known) {
		t.Errorf("docs/cli.md has %d codes, the program %d", len(rows), len(known))
	}
	for code, exit := range exitCodes {
		if !known[exit] {
			t.Errorf("%s exits with %d, which is not in the table", code, exit)
		}
	}
	// What no table maps is written as a constant: a bare number would escape it.
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bare := regexp.MustCompile(`Code: *\d`).Find(source); bare != nil && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s has %s", file, bare)
		}
	}
}

func TestVersion_FlagAndCommandSayTheSame(t *testing.T) {
	for _, more := range [][]string{nil, {"-o", "json"}} {
		command, flag := hanse(t, nil, "", append([]string{"version"}, more...)...), hanse(t, nil, "", append([]string{"--version"}, more...)...)
		if command != flag || command.code != exitOK || command.stdout == "" {
			t.Errorf("%+v and %+v", command, flag)
		}
	}
}

func TestCompletion_KnowsCommandsFlagsAndChoices(t *testing.T) {
	for line, want := range map[string]string{
		"par|":                                 "partner",
		"o|":                                   "offering order orphan",
		"partner |":                            "accept accept-changes add flush hold list reconcile refuse refuse-changes show vouch",
		"partner add https://x --a|":           "--as",
		"partner add https://x --as |":         "reseller supplier",
		"partner add https://x --as s|":        "supplier",
		"-o |":                                 "json table",
		"--output j|":                          "json",
		"--output = j|":                        "json",
		"--output =|":                          "json table",
		"--output = json order l|":             "list",
		"partner add https://x --as = s|":      "supplier",
		"-c file order l|":                     "list",
		"order -o json li|":                    "list",
		"order list --side re|":                "resale retail",
		"completion |":                         "bash fish zsh",
		"order show --|":                       "--config --help --operator --output --partner --portal --side --token-file --version",
		"order show x|":                        "",
		"offering apply -f |":                  "",
		"nonsense |":                           strings.Join(append(commandNames(t), ""), " "),
		"app|":                                 "",
		"comple|":                              "completion",
		"partner list --output=json --op|":     "--operator",
		"agreement offer x --discount 5% --c|": "--config --currency",
	} {
		words := strings.Split(strings.TrimSuffix(line, "|"), " ")
		got := hanse(t, nil, "", append([]string{"complete", "--"}, words...)...)
		if found := strings.Join(strings.Fields(got.stdout), " "); found != strings.TrimSpace(want) || got.code != exitOK {
			t.Errorf("%s gives %q, want %q; %+v", line, found, want, got)
		}
	}
}

func commandNames(t *testing.T) []string {
	t.Helper()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	names := commandsOf(parser.Model.Node)
	slices.Sort(names)
	return names
}

func TestCompletion_WorksInBash(t *testing.T) {
	bin := filepath.Dir(sidecartest.Binary(t))
	script := `eval "$(hanse completion bash)"
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _hanse; echo "${COMPREPLY[*]}"; }
complete -p hanse
try hanse part
try hanse partner add https://a.localhost:1 --as ''
try hanse --output = j
try hanse order show ''`
	cmd := exec.Command("bash", "-euc", script)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if want := "complete -o default -F _hanse hanse\npartner\nreseller supplier\njson\n\n"; err != nil || string(out) != want {
		t.Errorf("bash says %q, %v; want %q", out, err, want)
	}
	for _, shell := range []string{"zsh", "fish"} {
		if got := hanse(t, nil, "", "completion", shell); got.code != exitOK || !strings.Contains(got.stdout, "hanse complete --") {
			t.Errorf("%s: %+v", shell, got)
		}
	}
}
