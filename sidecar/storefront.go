package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/hanse-market/hanse/sdk"
	"github.com/hanse-market/hanse/sdk/web"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// storefrontPath is where the storefront lies on the portal listener, and by default below a portal's own origin.
const storefrontPath = "/hanse/"

const (
	// askTimeout bounds the question to the portal who is logged in.
	askTimeout = 5 * time.Second
	// maxIdentity bounds its answer.
	maxIdentity = 4 << 10
	// maxCustomer bounds a customer's id, as sessions do.
	maxCustomer = 200
	// redirectsLogged is how often a line says that the portal redirects.
	redirectsLogged = time.Hour
)

// storefront serves the elements and what browsers may call, for a portal in any language. It is sdk.Storefront over memory: the
// same allow-list, the same check of origins. What differs is where the customer comes from: the portal is asked with the
// browser's own cookies.
func (s *Sidecar) storefront() (http.Handler, error) {
	if s.cfg.Storefront.Portal == "" {
		files := http.NewServeMux()
		files.Handle("GET "+storefrontPath, http.StripPrefix(storefrontPath, web.Handler()))
		return files, nil
	}
	key, err := s.portals.Local(s.cfg.Storefront.Portal)
	if err != nil {
		return nil, err
	}
	client, err := sdk.New("http://sidecar.memory", key, sdk.WithHTTPClient(s.memory.client()))
	if err != nil {
		return nil, err
	}
	shop := sdk.Storefront(client, sdk.StorefrontConfig{
		Prefix: storefrontPath, Customer: customerOf, Origin: s.cfg.Storefront.Origin, Logger: s.cfg.Logger,
	})
	door := storefrontDoor{
		sidecar: s, key: key, next: shop, redirects: &rate.Sometimes{Interval: redirectsLogged},
		troubles: &rate.Sometimes{First: 10, Interval: time.Minute}, http: &http.Client{
			Timeout:       askTimeout,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second}, // no proxy: cookies go to the portal alone
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.closers = append(s.closers, func() error { door.http.CloseIdleConnections(); return nil })
	// Before the portal is asked: another site's page must not make us ask with its visitor's cookies.
	return http.NewCrossOriginProtection().Handler(door), nil
}

type customerKey struct{}

func customerOf(r *http.Request) (string, bool) {
	customer, ok := r.Context().Value(customerKey{}).(string)
	return customer, ok
}

// storefrontDoor finds out who is logged in before a session is made.
type storefrontDoor struct {
	sidecar *Sidecar
	key     string
	http    *http.Client
	next    http.Handler
	// redirects keeps a line for every visitor out of the log.
	redirects *rate.Sometimes
	// troubles does the same for what every visitor meets while the portal or its client is away.
	troubles *rate.Sometimes
}

func (d storefrontDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		d.next.ServeHTTP(w, r)
		return
	}
	log := d.sidecar.cfg.Logger
	if _, err := d.sidecar.portals.Authenticate(r.Context(), d.key); err != nil {
		name := d.sidecar.cfg.Storefront.Portal
		switch {
		case gone(r):
		case fault.Is(err, fault.Unauthenticated):
			d.troubles.Do(func() {
				log.ErrorContext(r.Context(), "the storefront has no portal client; make it: hanse portal add "+name, "portal", name)
			})
		default:
			d.troubles.Do(func() {
				log.WarnContext(r.Context(), "the storefront's portal client was not read", "portal", name, "error", err)
			})
		}
		unavailable(w, "storefront_not_ready", "the marketplace cannot be reached at the moment")
		return
	}
	if r.URL.Path == storefrontPath+"session" {
		customer, err := d.ask(r)
		if err != nil {
			if !gone(r) {
				d.troubles.Do(func() {
					log.WarnContext(r.Context(), "the portal did not say who is logged in", "session_url", d.sidecar.cfg.Storefront.SessionURL, "error", err)
				})
			}
			unavailable(w, "portal_unavailable", "the portal does not say who is logged in at the moment")
			return
		}
		if customer != "" {
			r = r.WithContext(context.WithValue(r.Context(), customerKey{}, customer))
		}
	}
	d.next.ServeHTTP(w, r)
}

// gone reports whether the browser went away: what failed then is nobody's fault, and nobody reads the answer.
func gone(r *http.Request) bool { return r.Context().Err() != nil }

// ask is the customer whose browser sent the request, by the portal's own id; "" is nobody.
func (d storefrontDoor) ask(r *http.Request) (string, error) {
	page := d.sidecar.cfg.Storefront.SessionURL
	if page == "" || (r.Header.Get("Cookie") == "" && r.Header.Get("Authorization") == "") {
		return "", nil
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, page, http.NoBody)
	if err != nil {
		return "", err
	}
	// What a portal binds its sessions to, and nothing else.
	for _, name := range []string{"Cookie", "Authorization", "User-Agent", "X-Forwarded-For", "X-Forwarded-Proto"} {
		if v := r.Header.Values(name); len(v) > 0 {
			req.Header[name] = v
		}
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && req.Header.Get("X-Forwarded-For") == "" {
		req.Header.Set("X-Forwarded-For", host)
	}
	req.Header.Set("Accept", "application/json")
	req.Host = r.Host
	res, err := d.http.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	switch {
	case res.StatusCode == http.StatusOK:
		return identity(res.Body)
	case res.StatusCode == http.StatusNoContent, res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden:
		return "", nil
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return "", d.redirected(res)
	}
	return "", fmt.Errorf("it answers %s", res.Status)
}

// redirected judges a redirect. A portal sends who is not logged in to its login page; but when the page moved, to https say,
// customers who are logged in meet the same answer, and nobody would ever find out why they must log in again.
func (d storefrontDoor) redirected(res *http.Response) error {
	to, err := res.Location()
	if err != nil {
		return fmt.Errorf("it answers %s without saying where to", res.Status)
	}
	asked := res.Request.URL
	if strings.Trim(to.Path, "/") == strings.Trim(asked.Path, "/") && to.RawQuery == asked.RawQuery {
		return fmt.Errorf("it answers %s to %s://%s%s, the same page: give storefront.session_url the address that answers without a redirect",
			res.Status, to.Scheme, text.Shorten(to.Host), text.Shorten(to.Path))
	}
	d.redirects.Do(func() {
		d.sidecar.cfg.Logger.WarnContext(res.Request.Context(), "the portal answers the session page with a redirect to "+text.Shorten(to.Path)+
			", which is taken for nobody logged in; let the page answer 401 to be sure", "session_url", asked.Redacted())
	})
	return nil
}

// identity reads {"customer": "ID"}; portals that number their customers write the number, from 1. What their languages have for
// nobody is nobody: null, false, 0, "0", "" and no such name. An id that two readers could take for two customers, or that stands
// for several, is refused: orders and access data hang on it.
func identity(body io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxIdentity+1))
	if err != nil {
		return "", err
	}
	value, err := text.DecodeJSON(raw, text.Limits{Bytes: maxIdentity, Depth: 32, Values: maxIdentity})
	if err != nil {
		return "", fmt.Errorf(`its answer is not JSON like {"customer": "ID"}: %w`, err)
	}
	answer, ok := value.(map[string]any)
	if !ok {
		return "", errors.New(`its answer is JSON, but not like {"customer": "ID"}`)
	}
	for name := range answer {
		if name != "customer" && strings.EqualFold(name, "customer") {
			return "", fmt.Errorf(`its answer has %q; write "customer"`, text.Shorten(name))
		}
	}
	switch id := answer["customer"].(type) {
	case nil:
		return "", nil
	case bool:
		if !id {
			return "", nil
		}
	case string:
		return written(id)
	case json.Number:
		if n, err := id.Int64(); err == nil {
			return written(strconv.FormatInt(max(n, 0), 10))
		}
	}
	return "", errors.New(`"customer" in its answer is neither a text nor a whole number`)
}

// written is an id as the portal wrote it.
func written(id string) (string, error) {
	switch {
	case id == "0":
		return "", nil
	case len(id) > maxCustomer:
		return "", fmt.Errorf(`"customer" in its answer is longer than %d bytes`, maxCustomer)
	case strings.ContainsRune(id, utf8.RuneError):
		// What stands here for half a surrogate or a byte that is not UTF-8 is the same for all of them.
		return "", errors.New(`"customer" in its answer has a character that was lost, U+FFFD or half a surrogate pair; write it in UTF-8`)
	}
	return id, nil
}

// unavailable answers as sdk.Storefront does.
func unavailable(w http.ResponseWriter, reason, cause string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": "unavailable", "message": cause, "reason": reason})
}
