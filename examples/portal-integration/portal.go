package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"

	"github.com/hanse-market/hanse/sdk"
)

// portal is Alpenhost's portal: its own process, with its own login.
type portal struct {
	url            string
	user, password string
	keyFile        string
	child          *child
}

// openPortal starts the portal, with a key of its own.
func (d *demo) openPortal(ctx context.Context) error {
	d.say("\nAlpenhost's portal, with a key of its own:")
	address, keyFile := local(d.ports.next()), filepath.Join(d.alpenhost.dir, "portal.key")
	// One of the accounts that the portal comes with.
	d.portal = &portal{url: "http://" + address, user: "anna", password: "edelweiss-2026", keyFile: keyFile}
	d.portal.child = &child{
		name: "portal", logFile: filepath.Join(d.alpenhost.dir, "portal.log"), end: syscall.SIGTERM,
		start: func(*os.File) *exec.Cmd {
			return exec.Command(filepath.Join(d.dir, "bin", "portal"), "-listen", address, "-sidecar", "http://"+d.alpenhost.portalAPI, "-key-file", keyFile)
		},
	}
	if err := d.newKey(ctx); err != nil {
		return err
	}
	if err := d.launch(d.portal.child); err != nil {
		return err
	}
	return d.answered(ctx)
}

// newKey has the sidecar know the portal, which reads the key when it starts.
func (d *demo) newKey(ctx context.Context) error {
	raw, err := d.alpenhost.run(ctx, d, "portal", "add", "alpenhost")
	if err != nil {
		return err
	}
	var added operatorv1.AddPortalResponse
	if err := unmarshal(raw, &added); err != nil {
		return err
	}
	return os.WriteFile(d.portal.keyFile, []byte(added.GetKey()), 0o600)
}

// answered waits for the portal.
func (d *demo) answered(ctx context.Context) error {
	return d.until(ctx, time.Minute, "the portal answers", func(ctx context.Context) (bool, error) {
		return d.answers(ctx, d.portal.url+"/")
	})
}

// login is what a browser does: log in to the portal, fetch a session for the elements, and from then on call through the
// portal with the session's token. The key stays in the portal.
func (p *portal) login(ctx context.Context, d *demo) (*sdk.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	visitor := *d.browser
	visitor.Jar = jar
	form := url.Values{"user": {p.user}, "password": {p.password}}
	res, err := post(ctx, &visitor, p.url+"/login", "application/x-www-form-urlencoded", form.Encode())
	if err != nil {
		return nil, fmt.Errorf("log in to the portal: %w", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("log in to the portal: %s", res.Status)
	}
	res, err = post(ctx, &visitor, p.url+"/hanse/session", "application/json", "{}")
	if err != nil {
		return nil, fmt.Errorf("fetch a customer session: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	var session struct {
		Token string `json:"token"`
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch a customer session: %s", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&session); err != nil {
		return nil, fmt.Errorf("fetch a customer session: %w", err)
	}
	return sdk.New(p.url+"/hanse/api", session.Token, sdk.WithHTTPClient(&visitor))
}

func post(ctx context.Context, c *http.Client, url, kind, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	return c.Do(req)
}

// invite tells where to go.
func (d *demo) invite(w io.Writer) {
	fmt.Fprintf(w, "\nThe portal: %s  (log in as %s, password %s)\n\n", d.portal.url, d.portal.user, d.portal.password)
	for _, m := range d.members() {
		fmt.Fprintf(w, "%s\n  as partners see it   curl --cacert %s %s/.well-known/hanse-member\n", m.name, filepath.Join(d.dir, "dev-ca", "ca.pem"), m.origin)
		fmt.Fprintf(w, "  as operators see it  %s -c %s order list\n  metrics              http://%s/metrics\n", m.hanse, m.config(), m.ops)
	}
	fmt.Fprintf(w, "\nEverything lies in %s. What dies is started again: kill -9 a member and watch the orders go on. Ctrl-C ends it all.\n", d.dir)
}
