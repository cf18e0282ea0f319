package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

const (
	withSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Instance",
  "type": "object",
  "additionalProperties": false,
  "required": ["name"],
  "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 100, "description": "What the journal shows beside the tag."}}
}`

	// ConnectionSchema describes Connection.Config.
	ConnectionSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Test rig",
  "type": "object",
  "additionalProperties": false,
  "required": ["url"],
  "properties": {"url": {"type": "string", "pattern": "^http://127\\.0\\.0\\.1:[0-9]+$", "description": "Where the platform listens, on this machine alone."}}
}`

	// callTimeout bounds one call at the platform.
	callTimeout = 10 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 10
)

var (
	address = regexp.MustCompile(`^http://127\.0\.0\.1:[0-9]+$`)
	tagForm = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

// Adapter drives one platform of the rig per connection.
type Adapter struct {
	tier adapters.Tier
	http *http.Client
}

// Adapters are the three of them, by name.
func Adapters() map[string]adapters.Adapter {
	all := map[string]adapters.Adapter{}
	for _, tier := range []adapters.Tier{adapters.TierA, adapters.TierB, adapters.TierC} {
		a := New(tier)
		all[a.Describe().Name] = a
	}
	return all
}

// New is the adapter of one tier. It connects to nothing.
func New(tier adapters.Tier) *Adapter {
	return &Adapter{tier: tier, http: &http.Client{Timeout: callTimeout}}
}

// Describe implements adapters.Adapter.
func (a *Adapter) Describe() adapters.Description {
	return adapters.Description{
		Name: "rig-" + strings.ToLower(string(a.tier)), Tier: a.tier,
		WithSchema: json.RawMessage(withSchema), ConnectionSchema: json.RawMessage(ConnectionSchema),
		Actions: []string{"rotate"},
		Outputs: []adapters.Output{{Name: "url", Title: "Address"}, {Name: "password", Title: "Password", Sensitive: true}},
	}
}

// Validate implements adapters.Adapter.
func (a *Adapter) Validate(_ context.Context, req adapters.Request) error {
	if _, err := platformURL(req); err != nil {
		return err
	}
	_, err := wanted(req)
	return err
}

// Apply implements adapters.Adapter.
func (a *Adapter) Apply(ctx context.Context, req adapters.Request) (adapters.Result, error) {
	name, err := wanted(req)
	if err != nil {
		return adapters.Result{}, err
	}
	body, err := json.Marshal(Instance{Tag: req.Tag, Name: name, Tier: string(a.tier), Owner: adapters.OwnerOf(req.Tenant, req.Tag)})
	if err != nil {
		return adapters.Result{}, err
	}
	if a.tier != adapters.TierC {
		there, found, err := a.find(ctx, req)
		if err != nil {
			return adapters.Result{}, err
		}
		switch {
		case found && there.Name != name:
			return a.make(ctx, req, http.MethodPatch, "/instances/"+req.Tag, body)
		case found:
			return result(there), nil
		}
	}
	if a.tier == adapters.TierA {
		return a.make(ctx, req, http.MethodPut, "/instances/"+req.Tag, body)
	}
	return a.make(ctx, req, http.MethodPost, "/instances", body)
}

// Observe implements adapters.Adapter.
func (a *Adapter) Observe(ctx context.Context, req adapters.Request) (adapters.Observation, error) {
	there, found, err := a.find(ctx, req)
	if err != nil || !found {
		return adapters.Observation{}, err
	}
	seen := adapters.Observation{Exists: true, Ready: true}
	if name, is := req.With["name"].(string); is && name != there.Name {
		seen.Drift = append(seen.Drift, "name is "+there.Name)
	}
	return seen, nil
}

// List implements adapters.Lister.
func (a *Adapter) List(ctx context.Context, c adapters.Connection, prefix, after string, limit int) ([]adapters.Listed, error) {
	query := url.Values{"prefix": {prefix}, "after": {after}, "limit": {fmt.Sprint(limit)}, "tier": {string(a.tier)}}
	answer, _, err := a.call(ctx, adapters.Request{Tag: "x", Connection: c}, http.MethodGet, "/instances?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	var there []Instance
	if err := json.Unmarshal(answer, &there); err != nil {
		return nil, adapters.Errorf(adapters.Retryable, "the platform's answer cannot be read: %w", err)
	}
	var all []adapters.Listed
	for _, i := range there {
		all = append(all, adapters.Listed{Tag: i.Tag, Owner: i.Owner})
	}
	return all, nil
}

// Act implements adapters.Adapter: it rotates the password.
func (a *Adapter) Act(ctx context.Context, req adapters.Request, action string) (adapters.Result, error) {
	if action != "rotate" {
		return adapters.Result{}, adapters.Errorf(adapters.InvalidInput, "there is no action %q", action)
	}
	return a.make(ctx, req, http.MethodPost, "/instances/"+url.PathEscape(req.Tag)+"/password", nil)
}

// Destroy implements adapters.Adapter.
func (a *Adapter) Destroy(ctx context.Context, req adapters.Request) error {
	_, _, err := a.call(ctx, req, http.MethodDelete, "/instances/"+url.PathEscape(req.Tag), nil)
	return err
}

// Collect implements adapters.Adapter; there are no meters.
func (a *Adapter) Collect(context.Context, adapters.Request, time.Time, time.Time) ([]adapters.MeterPoint, error) {
	return nil, nil
}

// Close implements adapters.Adapter.
func (a *Adapter) Close() error {
	a.http.CloseIdleConnections()
	return nil
}

func platformURL(req adapters.Request) (string, error) {
	for key := range req.Connection.Config {
		if key != "url" {
			return "", adapters.Errorf(adapters.InvalidInput, "connection: there is no key %q", key)
		}
	}
	base, _ := req.Connection.Config["url"].(string)
	if !address.MatchString(base) {
		return "", adapters.Errorf(adapters.InvalidInput, "connection: url is not http://127.0.0.1:PORT")
	}
	if !tagForm.MatchString(req.Tag) {
		return "", adapters.Errorf(adapters.InvalidInput, "the tag is not of a-z, 0-9 and -, at most 40 characters")
	}
	return base, nil
}

func wanted(req adapters.Request) (string, error) {
	for key := range req.With {
		if key != "name" {
			return "", adapters.Errorf(adapters.InvalidInput, "with: there is no key %q", key)
		}
	}
	name, _ := req.With["name"].(string)
	if name == "" || len(name) > 100 {
		return "", adapters.Errorf(adapters.InvalidInput, "with: name has 1 to 100 characters")
	}
	return name, nil
}

func (a *Adapter) find(ctx context.Context, req adapters.Request) (there Instance, found bool, err error) {
	answer, status, err := a.call(ctx, req, http.MethodGet, "/instances/"+url.PathEscape(req.Tag), nil)
	if err != nil || status == http.StatusNotFound {
		return Instance{}, false, err
	}
	if err := json.Unmarshal(answer, &there); err != nil {
		return Instance{}, false, adapters.Errorf(adapters.Retryable, "the platform's answer cannot be read: %w", err)
	}
	return there, true, nil
}

func (a *Adapter) make(ctx context.Context, req adapters.Request, method, path string, body []byte) (adapters.Result, error) {
	answer, _, err := a.call(ctx, req, method, path, body)
	if err != nil {
		return adapters.Result{}, err
	}
	var made Instance
	if err := json.Unmarshal(answer, &made); err != nil {
		return adapters.Result{}, adapters.Errorf(adapters.UnknownOutcome, "the platform's answer cannot be read: %w", err)
	}
	return result(made), nil
}

func result(i Instance) adapters.Result {
	return adapters.Result{
		Outputs: map[string]string{"url": "http://" + i.Tag + ".rig.example/"}, Sensitive: map[string]string{"password": i.Password}, State: []byte(i.ID),
	}
}

// call sends one request. Without an answer nobody knows what came of it, unless nothing was asked to change.
func (a *Adapter) call(ctx context.Context, req adapters.Request, method, path string, body []byte) (answer []byte, status int, err error) {
	base, err := platformURL(req)
	if err != nil {
		return nil, 0, err
	}
	lost := adapters.UnknownOutcome
	if method == http.MethodGet {
		lost = adapters.Retryable
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, adapters.Errorf(adapters.InvalidInput, "%w", err)
	}
	res, err := a.http.Do(r)
	if err == nil {
		answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		err = errors.Join(err, res.Body.Close())
	}
	switch {
	case err != nil:
		return nil, 0, adapters.Errorf(lost, "%s %s: %w", method, path, err)
	case res.StatusCode == http.StatusServiceUnavailable:
		return nil, 0, adapters.Errorf(adapters.NotReady, "%s", strings.TrimSpace(string(answer)))
	case res.StatusCode == http.StatusNotFound && method == http.MethodGet, res.StatusCode < http.StatusMultipleChoices:
		return answer, res.StatusCode, nil
	}
	return nil, 0, &adapters.Error{Class: adapters.Permanent, Message: fmt.Sprintf("%s %s answers %d", method, path, res.StatusCode)}
}
