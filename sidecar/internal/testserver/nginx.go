package testserver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx is a proxy that ends TLS before one server, as members put it there.
type Nginx struct {
	// Port on loopback where it listens.
	Port int
	// Certificate that it shows.
	Certificate tls.Certificate
	// Backend is the URL of the server behind it, whose certificate nobody checks.
	Backend string
	// Ahead is how far its clock is ahead of ours, in whole seconds: it writes Date by it.
	Ahead time.Duration
}

// Start starts the proxy; it ends with the test.
func (n Nginx) Start(t testing.TB) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			t.Fatal("nginx is not installed; tests need it: apt-get install -y nginx-light")
		}
	}
	dir, err := os.MkdirTemp("", "ng")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file, err := n.configure(dir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-p", dir, "-c", file, "-e", "stderr")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if n.Ahead != 0 {
		// The faketime command would run nginx as a child of its own, which would outlive us; this is what it does.
		found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
		if err != nil || len(found) == 0 {
			t.Fatal("faketime is not installed; tests need it: apt-get install -y faketime")
		}
		cmd.Env = append(cmd.Env, "LD_PRELOAD="+found[0], fmt.Sprintf("FAKETIME=%+d", int64(n.Ahead/time.Second)), "FAKETIME_DONT_FAKE_MONOTONIC=1")
	}
	running, err := spawn(cmd, "getrlimit(RLIMIT_NOFILE)", syscall.SIGKILL) // its last line before it serves
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.stop(syscall.SIGTERM); err != nil {
			t.Error(errors.Join(errors.New("stop nginx"), err))
		}
	})
}

// configure writes what the proxy needs into a folder and returns the name of its configuration. One process serves, so that
// none is left when it is killed.
func (n Nginx) configure(dir string) (string, error) {
	var chain strings.Builder
	for _, der := range n.Certificate.Certificate {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return "", err
		}
	}
	key, err := x509.MarshalPKCS8PrivateKey(n.Certificate.PrivateKey)
	if err != nil {
		return "", err
	}
	settings := fmt.Sprintf(`daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen 127.0.0.1:%d ssl http2;
		ssl_certificate chain.pem;
		ssl_certificate_key key.pem;
		client_max_body_size 8m;
		location / {
			proxy_pass %s;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_buffering off;
			proxy_request_buffering off;
			proxy_read_timeout 120s;
		}
	}
}
`, n.Port, n.Backend)
	for name, text := range map[string]string{
		"nginx.conf": settings, "chain.pem": chain.String(),
		"key.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "nginx.conf"), nil
}
