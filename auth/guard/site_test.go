package guard_test

import (
	"testing"

	"github.com/hanse-market/hanse/auth/guard"
)

func TestASiteIsWhatOnePartyHolds(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]string{
		"https://a.b.evil.example":         "evil.example",
		"https://evil.example:8443":        "evil.example",
		"https://sidecar.shop.co.uk":       "shop.co.uk",
		"https://me.github.io":             "me.github.io",
		"https://co.uk":                    "co.uk",
		"https://one.localhost:7443":       "one.localhost",
		"https://192.0.2.77:443":           "192.0.2.0/24",
		"https://[2001:db8:1:2::3]:443":    "2001:db8:1::/48",
		"https://[2001:db8:1:ffff::9]":     "2001:db8:1::/48",
		"https://[::ffff:192.0.2.9]:1":     "192.0.2.0/24",
		"https://[fe80::1%25eth0]:1":       "fe80::/48",
		"not an origin":                    "not an origin",
		"https://bad host":                 "https://bad host",
		"https://xn--mnchen-3ya.example:1": "xn--mnchen-3ya.example",
	} {
		if got := guard.Site(origin); got != want {
			t.Errorf("the site of %s is %s, want %s", origin, got, want)
		}
	}
}
