package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/hanse-market/hanse/sidecar"
)

type initCmd struct {
	Name     string `arg:"" help:"The member's name: lower-case letters, digits and hyphens."`
	Dir      string `type:"path" placeholder:"FOLDER" help:"Folder to write to; default NAME."`
	DevCADir string `type:"path" placeholder:"FOLDER" help:"Folder of the dev CA; default one for all your members on this machine, so that they trust each other."`
}

// made is what init tells.
type made struct {
	Name     string `json:"name"`
	Origin   string `json:"origin"`
	File     string `json:"configuration"`
	DataDir  string `json:"data_dir"`
	DevCADir string `json:"dev_ca_dir"`
	Portal   string `json:"portal_api"`
	Operator string `json:"operator_api"`
	Ops      string `json:"ops"`
}

const configTemplate = `# A member for development on this machine. docs/configuration.md lists every key; relative paths start at this folder.
origin: https://%[1]s.localhost:%[2]d
dev: true
# Members with the same dev CA trust each other.
dev_ca_dir: %[3]q
data_dir: data
member:
  name: %[1]q
listen:
  portal: 127.0.0.1:%[4]d
  operator: 127.0.0.1:%[5]d
  ops: 127.0.0.1:%[6]d
# What accepted orders are made with: here the notebook inside the hanse binary.
adapters:
  connections:
    apps:
      adapter: process
      config:
        dev: true
        data_dir: programs
        programs:
          notes: {command: "self:notes"}
`

// memberName is one label of a host name.
var memberName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c *initCmd) Run(a *app) error {
	if !memberName.MatchString(c.Name) || (len(c.Name) > 3 && c.Name[2:4] == "--") {
		return &commandError{
			Code: exitUsage, Reason: "usage", Field: "NAME", Cause: fmt.Sprintf("%q cannot be part of a host name", c.Name),
			Action: "use lower-case letters, digits and single hyphens inside, at most 63: alpha",
		}
	}
	dir := c.Dir
	if dir == "" {
		dir = absolute(c.Name)
	}
	devCA, err := c.devCA()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, localConfig)
	for _, path := range []string{file, filepath.Join(dir, "data")} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return occupied(path, err)
		}
	}
	port, err := freePorts(file)
	if err != nil {
		return err
	}
	content := fmt.Appendf(nil, configTemplate, c.Name, port, devCA, port+1, port+2, port+3)
	if err := create(file, content); err != nil {
		return occupied(file, err)
	}
	cfg, err := sidecar.LoadConfig(file, func(string) string { return "" })
	if err == nil {
		cfg, err = cfg.Complete()
	}
	if err != nil {
		return configError(file, err)
	}
	fmt.Fprintf(a.stderr, "Start it with: hanse serve -c %s\n", file)
	return a.show(made{
		Name: c.Name, Origin: cfg.Origin, File: file, DataDir: cfg.DataDir, DevCADir: cfg.DevCADir,
		Portal: "http://" + cfg.Listen.Portal, Operator: "http://" + cfg.Listen.Operator, Ops: "http://" + cfg.Listen.Ops,
	}, func(t *table) {
		t.fact("Member", c.Name)
		t.fact("Origin", cfg.Origin)
		t.fact("Configuration", file)
		t.fact("Data folder", cfg.DataDir)
		t.fact("Dev CA", cfg.DevCADir)
		t.fact("Portal API", "http://"+cfg.Listen.Portal)
		t.fact("Operator API", "http://"+cfg.Listen.Operator)
		t.fact("Metrics", "http://"+cfg.Listen.Ops+"/metrics")
	})
}

func (c *initCmd) devCA() (string, error) {
	if c.DevCADir != "" {
		return c.DevCADir, nil
	}
	own, err := os.UserConfigDir()
	if err != nil {
		return "", &commandError{
			Code: exitFailure, Reason: "no_home", Field: "--dev-ca-dir", Cause: err.Error(),
			Action: "name a folder that all your members share: --dev-ca-dir FOLDER",
		}
	}
	return filepath.Join(own, "hanse", "dev-ca"), nil
}

// occupied says why a file was not made.
func occupied(path string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return &commandError{Code: exitFailure, Reason: "cannot_write", Cause: err.Error(), Action: "choose another folder with --dir FOLDER"}
	}
	return &commandError{
		Code: exitConflict, Reason: "already_there", Cause: path + " exists and is left as it is",
		Action: "start what is there with hanse serve, choose another name, or another folder with --dir FOLDER",
	}
}

// create writes a file that must not exist yet, whole or not at all.
func create(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path) // fails where the name exists
}

const (
	portsEach = 4
	// Blocks of ten ports below those that systems give to outgoing connections.
	firstPort, portStep, portBlocks = 10000, 10, 2200
)

// freePorts is the first of four ports that nobody listens on and that no member in a folder beside this one's has in its
// configuration: that member may not have been started yet. Where to look first depends on the file's place, so that members in
// other places meet seldom.
func freePorts(file string) (int, error) {
	taken := map[string]bool{}
	beside, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(file)), "*", localConfig))
	for _, other := range beside {
		cfg, err := sidecar.LoadConfig(other, func(string) string { return "" })
		if err != nil {
			continue // not a member that could be started
		}
		cfg, _ = cfg.Complete()
		for _, l := range listeners(cfg) {
			_, port, _ := net.SplitHostPort(l.address)
			taken[port] = true
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(file))
	start := int(h.Sum32() % portBlocks)
	for i := range portBlocks {
		first := firstPort + (start+i)%portBlocks*portStep
		if free(first, taken) {
			return first, nil
		}
	}
	return 0, &commandError{Code: exitFailure, Reason: "no_free_port", Cause: "no four ports in a row are free", Action: "end what listens on this machine"}
}

func free(first int, taken map[string]bool) bool {
	for port := first; port < first+portsEach; port++ {
		if taken[strconv.Itoa(port)] {
			return false
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
