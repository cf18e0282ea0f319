// Package guard is the HTTP client for every URL that a partner controls: metadata, key sets, member documents, the token
// endpoint, peer calls. A partner chooses those URLs, so a plain client would be their way into our network.
//
// What it holds:
//
//   - names: https, a registered-looking ASCII host name, port 443, no user info, no address literal (origin.go);
//   - addresses: the dialled address, after DNS, is public (transport.go), so rebinding and mapped addresses fail;
//   - no redirects, no proxy, no cookies;
//   - limits on time, header and decompressed body (fetch.go);
//   - a limiter for each site, one overall, a short memory of failures, one fetch at a time for each URL (limit.go).
//
// In dev mode the same code accepts https://NAME.localhost:PORT, dials 127.0.0.1 and nothing else.
package guard
