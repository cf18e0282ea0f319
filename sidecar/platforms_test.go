package sidecar_test

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

const programOffering = `apiVersion: hanse/v1
kind: Offering
id: notes
name: Notes
summary: A notebook.
category: saas
region: helsinki
country: FI
currency: EUR
prices:
  - {id: monthly, name: Monthly fee, kind: recurring, period: P1M, amount: "1"}
recipe:
  inputs:
    type: object
    properties: {app: {enum: [notes, wiki], default: notes}}
  outputs:
    type: object
    required: [url]
    properties: {url: {type: string}}
  step:
    adapter: process
    connection: apps
    with:
      program: notes
`

// TestApply_RefusesWhatNoOrderCouldBeGiven: what a platform would refuse after the sale is said before, at the line of the file.
func TestApply_RefusesWhatNoOrderCouldBeGiven(t *testing.T) {
	dir := t.TempDir()
	m := sidecartest.New(t, func(_ string, cfg *sidecar.Config) {
		cfg.Adapters.Connections = map[string]sidecar.Connection{
			"apps": {Adapter: "process", Config: map[string]any{
				"data_dir": dir, "dev": true, "programs": map[string]any{"notes": map[string]any{"command": "self:notes"}},
			}},
			"db": {Adapter: "postgres", Config: map[string]any{"user": "hanse"}},
		}
	}, "supplier")[0]
	client := operatorv1connect.NewOfferingServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth())
	for _, c := range []struct {
		name, old, new string
		field          string
		line           int32
		says           string
	}{
		{"a program that is not configured", "program: notes", "program: nosuch", "recipe.step.with.program", 24, "must be one of: notes"},
		{"a program that some customers could choose", "program: notes", `program: "${inputs.app}"`, "recipe.step.with.program", 24, `may be "wiki"`},
		{"a key that the adapter does not know", "program: notes", "program: notes\n      colour: red", "recipe.step.with.colour", 25, "there are: memory_mib, program, settings"},
		{"a key that is misspelt", "program: notes", "program: notes\n      seting: {}", "recipe.step.with.seting", 25, "did you mean settings?"},
		{"a program that is not configured, of what is announced", "program: notes", "program: nosuch\nstate: announced", "recipe.step.with.program", 24, "must be one of: notes"},
		{"a connection that is misspelt", "connection: apps", "connection: app", "recipe.step.connection", 22, "did you mean apps?"},
		{"no program", "program: notes", "{}", "recipe.step.with", 24, "is required"},
		{"an output that nothing gives", "required: [url]\n    properties: {url:", "required: [uri]\n    properties: {uri:", "recipe.step.outputs", 21, "${step.url}"},
		{"a connection that is not there", "connection: apps", "connection: nosuch", "recipe.step.connection", 22, "there are: apps, db"},
		{"a connection of another adapter", "connection: apps", "connection: db", "recipe.step.adapter", 21, `of adapter "postgres"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := strings.Replace(programOffering, c.old, c.new, 1)
			if changed == programOffering {
				t.Fatal("nothing changed")
			}
			res, err := client.ApplyOfferings(t.Context(), connect.NewRequest(&operatorv1.ApplyOfferingsRequest{Yaml: []byte(changed)}))
			if err != nil || len(res.Msg.GetErrors()) != 1 {
				t.Fatalf("%v %v", err, res)
			}
			e := res.Msg.GetErrors()[0]
			if !strings.HasPrefix(e.GetField(), c.field) || e.GetLine() != c.line || !strings.Contains(e.GetCause(), c.says) {
				t.Errorf("%s, line %d: %s; want %s, line %d: %s", e.GetField(), e.GetLine(), e.GetCause(), c.field, c.line, c.says)
			}
		})
	}
	// What is announced may wait for its platform.
	m.Apply(strings.NewReplacer("connection: apps", "connection: later", "currency: EUR", "currency: EUR\nstate: announced").Replace(programOffering))
	m.Apply(programOffering)
}
