package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/sidecar/internal/testpeer"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

type testpeerCmd struct {
	List testpeerListCmd `cmd:"" help:"List the cases: what each does, and the rules of docs/peer-1.md that it tests."`
	Run  testpeerRunCmd  `cmd:"" help:"Play cases against a member, as its partner; exits with 0 only where every rule was kept."`
}

type testpeerListCmd struct {
	Side string `enum:"reseller,supplier,both" default:"both" help:"Only what is played as a ${enum}."`
}

func (c *testpeerListCmd) Run(a *app) error {
	cases := []testpeer.Case{}
	for _, side := range []testpeer.Side{testpeer.Reseller, testpeer.Supplier} {
		if c.Side == "both" || c.Side == string(side) {
			cases = append(cases, testpeer.Cases(side)...)
		}
	}
	return a.show(map[string]any{"cases": cases}, func(t *table) {
		t.row("CASE", "SIDE", "RULES", "WHAT IT DOES")
		for _, one := range cases {
			t.row(one.Name, string(one.Side), strings.Join(one.Rules, " "), one.Does)
		}
	})
}

type testpeerRunCmd struct {
	Names    []string      `arg:"" optional:"" help:"Cases, as hanse testpeer list names them."`
	All      bool          `help:"Play all cases of the side."`
	Against  string        `required:"" placeholder:"ORIGIN" help:"The member under test: https://sidecar.example."`
	Side     string        `enum:"reseller,supplier" default:"reseller" help:"What testpeer is to that member: ${enum}."`
	Listen   string        `placeholder:"ADDRESS" help:"Where testpeer serves its origin; default 127.0.0.1 and a free port in development mode, else :443."`
	Origin   string        `placeholder:"ORIGIN" help:"The origin of testpeer, a new one for each run; by default testpeer.localhost with the port of --listen, in development mode."`
	TLSCert  string        `name:"tls-cert" type:"path" placeholder:"FILE" help:"Certificate of the origin, and of those of cases alone (docs/testpeer.md), with its chain; not in development mode."`
	TLSKey   string        `name:"tls-key" type:"path" placeholder:"FILE" help:"Its key."`
	DevCADir string        `name:"dev-ca-dir" type:"path" placeholder:"FOLDER" help:"The dev CA that the member under test shares in development mode; default that of hanse init."`
	Offering string        `placeholder:"ID" help:"What testpeer orders; default the first offering that can be ordered."`
	Inputs   string        `default:"{}" help:"Inputs of its orders, as JSON."`
	Patience time.Duration `default:"10m" help:"How long the operator of the member under test may take for each thing that testpeer waits for."`
}

func (c *testpeerRunCmd) Run(a *app) error {
	cases, err := c.cases()
	if err != nil {
		return err
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	cfg.Progress = a.stderr
	report, err := testpeer.Run(a.ctx, cfg, cases)
	if err != nil {
		return &commandError{Code: exitFailure, Reason: "testpeer_not_played", Cause: err.Error(), Action: "read docs/testpeer.md"}
	}
	if err := a.show(report, func(t *table) { describeFindings(t, report) }); err != nil {
		return err
	}
	return unkept(report)
}

// cases are those that were named, in the order in which they can be played.
func (c *testpeerRunCmd) cases() ([]testpeer.Case, error) {
	of := testpeer.Cases(testpeer.Side(c.Side))
	if c.All == (len(c.Names) > 0) {
		return nil, &commandError{Code: exitConflict, Reason: "cases_not_named", Cause: "either cases are named or all are played", Action: "name some of hanse testpeer list, or add --all"}
	}
	if c.All {
		return of, nil
	}
	for _, name := range c.Names {
		if !slices.ContainsFunc(of, func(one testpeer.Case) bool { return one.Name == name }) {
			return nil, &commandError{
				Code: exitNotFound, Reason: "case_unknown", Field: "NAMES", Cause: fmt.Sprintf("there is no case %q of a %s", name, c.Side), Action: "hanse testpeer list --side " + c.Side,
			}
		}
	}
	return slices.DeleteFunc(of, func(one testpeer.Case) bool { return !slices.Contains(c.Names, one.Name) }), nil
}

// config is that of a run, with its listener open.
func (c *testpeerRunCmd) config() (testpeer.Config, error) {
	cfg := testpeer.Config{Target: c.Against, Side: testpeer.Side(c.Side), Origin: c.Origin, Offering: c.Offering, Inputs: []byte(c.Inputs), Patience: c.Patience}
	wrong := func(field, cause, action string) (testpeer.Config, error) {
		return cfg, &commandError{Code: exitFailure, Reason: "testpeer_config", Field: field, Cause: cause, Action: action}
	}
	_, dev := guard.Origin(c.Against, true)
	if _, err := guard.Origin(c.Against, false); err != nil && dev != nil {
		return wrong("--against", err.Error(), "write the origin as https://sidecar.example")
	}
	cfg.Dev = dev == nil
	listen := c.Listen
	switch {
	case cfg.Dev:
		dir, err := (&initCmd{DevCADir: c.DevCADir}).devCA()
		if err != nil {
			return cfg, err
		}
		ca, err := tlsdev.Open(dir, time.Now)
		if err != nil {
			return wrong("--dev-ca-dir", err.Error(), "name the dev_ca_dir of the member under test")
		}
		cfg.Roots, cfg.Certificate = ca.Pool(), ca.Certificate
		if listen == "" {
			listen = "127.0.0.1:0"
		}
	case c.Origin == "":
		return wrong("--origin", "testpeer has no origin", "name the origin that leads to --listen")
	default:
		certificate, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return wrong("--tls-cert", err.Error(), "name the files of the origin's certificate and key")
		}
		if cfg.Roots, err = x509.SystemCertPool(); err != nil {
			return wrong("", err.Error(), "install the public authorities' certificates")
		}
		cfg.Certificate = func(string) (tls.Certificate, error) { return certificate, nil }
		if listen == "" {
			listen = ":443"
		}
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return wrong("--listen", err.Error(), "name an address of this machine that is free")
	}
	cfg.Listener = listener
	return cfg, nil
}

func describeFindings(t *table, r testpeer.Report) {
	t.row("CASE", "VERDICT", "RULE", "EXPECTED", "SEEN")
	for _, f := range r.Findings {
		t.row(f.Case, string(f.Verdict), f.Rule, f.Expected, f.Seen)
	}
}

// unkept is the error of a report in which not every case is kept: what was broken comes before what was not reached.
func unkept(r testpeer.Report) error {
	var unreached []testpeer.Finding
	for _, f := range r.Findings {
		switch f.Verdict {
		case testpeer.Broken:
			return &commandError{
				Code: exitFailure, Reason: "rule_broken", Cause: fmt.Sprintf("%s broke rule %s in %s: expected %s, saw %s", r.Against, f.Rule, f.Case, f.Expected, f.Seen),
				Action: "read the rule in docs/peer-1.md",
			}
		case testpeer.NotReached:
			unreached = append(unreached, f)
		}
	}
	if len(unreached) == 0 {
		return nil
	}
	cause := unreached[0].Case + ": " + unreached[0].Seen
	if more := len(unreached) - 1; more > 0 {
		cause += fmt.Sprintf("; and %d more", more)
	}
	return &commandError{Code: exitPending, Reason: "not_reached", Cause: cause, Action: "do what the lines above wait for, and run it again under a new origin"}
}
