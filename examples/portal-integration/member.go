package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

// member is one sidecar: a process with a data directory of its own.
type member struct {
	name, legal, country, register string
	// currency is what it sells in; "" for the reseller.
	currency string
	origin   string
	dir      string
	// What each listener answers on.
	portalAPI, operatorAPI, ops string
	hanse                       string
	child                       *child
}

// newMember gives a member its ports and folder.
func (d *demo) newMember(name, legal, country, register, currency string) (*member, error) {
	peer, portal, operator, ops := d.ports.next(), d.ports.next(), d.ports.next(), d.ports.next()
	host := strings.ToLower(name)
	m := &member{
		name: name, legal: legal, country: country, register: register, currency: currency,
		origin:      fmt.Sprintf("https://%s.localhost:%d", host, peer),
		dir:         filepath.Join(d.dir, host),
		portalAPI:   local(portal),
		operatorAPI: local(operator),
		ops:         local(ops),
		hanse:       filepath.Join(d.dir, "bin", "hanse"),
	}
	m.child = &child{
		name: host, logFile: filepath.Join(m.dir, "hanse.log"), end: syscall.SIGTERM,
		start: func(*os.File) *exec.Cmd { return exec.Command(m.hanse, "serve", "-c", m.config()) },
	}
	return m, os.MkdirAll(m.dir, 0o711)
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (m *member) config() string { return filepath.Join(m.dir, "hanse.yaml") }

func (m *member) data() string { return filepath.Join(m.dir, "data") }

func (m *member) host() string { return strings.ToLower(m.name) }

// configure writes hanse.yaml; docs/configuration.md explains each key.
func (m *member) configure(devCA string, connections map[string]any) error {
	raw, err := yaml.Marshal(map[string]any{
		"origin":     m.origin,
		"dev":        true,
		"dev_ca_dir": devCA,
		"data_dir":   m.data(),
		"member": map[string]any{
			"name": m.name, "legal_name": m.legal, "country": m.country, "registration_id": m.register,
			"contact": "partners@" + m.host() + ".example",
		},
		"listen":   map[string]any{"portal": m.portalAPI, "operator": m.operatorAPI, "ops": m.ops},
		"adapters": map[string]any{"connections": connections},
		// The demo's own end must not wait for a browser that holds a stream.
		"drain_timeout": "3s",
	})
	if err != nil {
		return err
	}
	return os.WriteFile(m.config(), raw, 0o600)
}

// programs is the connection of the process adapter: the notebook inside the hanse binary.
func (m *member) programs() map[string]any {
	return map[string]any{"adapter": "process", "config": map[string]any{
		"data_dir": filepath.Join(m.dir, "programs"),
		"dev":      true,
		"programs": map[string]any{"notes": map[string]any{"command": "self:notes"}},
		// A name for each, so that a browser keeps their cookies apart.
		"public_url": "http://{tag}.localhost:{port}",
	}}
}

// run runs the member's own command line, shown as a person would type it.
func (m *member) run(ctx context.Context, d *demo, args ...string) ([]byte, error) {
	d.say("  %s$ hanse %s", m.host(), strings.Join(args, " "))
	return m.quiet(ctx, args...)
}

// quiet runs the command line and returns its JSON.
func (m *member) quiet(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, m.hanse, append([]string{"-c", m.config(), "-o", "json"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	apart(cmd)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return stdout.Bytes(), fmt.Errorf("%s: hanse %s: %w\n%s%s", m.name, strings.Join(args, " "), err,
			indent(stdout.String()), indent(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// ask runs the command line and decodes what it says.
func (m *member) ask(ctx context.Context, into proto.Message, args ...string) error {
	raw, err := m.quiet(ctx, args...)
	if err != nil {
		return err
	}
	return unmarshal(raw, into)
}

// partners are how the member sees the others.
func (m *member) partners(ctx context.Context) ([]*operatorv1.Partner, error) {
	var res operatorv1.ListPartnersResponse
	err := m.ask(ctx, &res, "partner", "list")
	return res.GetPartners(), err
}

// unmarshal reads what the command line prints with -o json.
func unmarshal(raw []byte, into proto.Message) error {
	if err := protojson.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read the answer of hanse: %w", err)
	}
	return nil
}

func indent(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
}
