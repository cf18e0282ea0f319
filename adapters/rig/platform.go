package rig

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Instance is one thing that the platform made.
type Instance struct {
	ID       string `json:"id"`
	Tag      string `json:"tag"`
	Name     string `json:"name"`
	Password string `json:"password"`
	// Tier is of the adapter that made it, Owner what it says of whose it is.
	Tier  string `json:"tier"`
	Owner string `json:"owner"`
}

// Effect is a line of the journal: what really happened, and when.
type Effect struct {
	At time.Time `json:"at"`
	// Op is create, change, rotate or delete.
	Op    string `json:"op"`
	ID    string `json:"id"`
	Tag   string `json:"tag"`
	Name  string `json:"name"`
	Tier  string `json:"tier,omitempty"`
	Owner string `json:"owner,omitempty"`
}

// Platform is what the adapters drive. Its journal, a file, is written to the disk before a call is answered.
type Platform struct {
	// URL is what a connection of the adapters names.
	URL string

	now     func() time.Time
	server  *http.Server
	served  chan error
	mu      sync.Mutex
	file    *os.File
	journal []Effect
	live    map[string][]Instance
	made    int
	slow    time.Duration
	loses   int
	refuses int
	drops   int
}

// Open starts the platform with the journal in a file, which it goes on with.
func Open(file string, now func() time.Time) (*Platform, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Platform{now: now, file: f, live: map[string][]Instance{}, served: make(chan error, 1)}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e Effect
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, errors.Join(fmt.Errorf("journal %s: %w", file, err), f.Close())
		}
		p.take(e)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(lines.Err(), err); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p.URL = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /instances/{tag}", func(w http.ResponseWriter, r *http.Request) { p.create(w, r, false) })
	mux.HandleFunc("POST /instances", func(w http.ResponseWriter, r *http.Request) { p.create(w, r, true) })
	mux.HandleFunc("PATCH /instances/{tag}", p.change)
	mux.HandleFunc("POST /instances/{tag}/password", p.rotate)
	mux.HandleFunc("GET /instances/{tag}", p.show)
	mux.HandleFunc("GET /instances", p.list)
	mux.HandleFunc("DELETE /instances/{tag}", p.remove)
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: callTimeout}
	go func() { p.served <- p.server.Serve(l) }()
	return p, nil
}

// Close ends the platform; what it made stays in the journal.
func (p *Platform) Close() error {
	err := p.server.Close()
	if end := <-p.served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return errors.Join(err, p.file.Close())
}

// Slow has each call wait; 0 ends it.
func (p *Platform) Slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = d
}

// Lose cuts the answers of the next n calls that change something, after they did. It returns how many of those asked for before were not cut.
func (p *Platform) Lose(n int) (left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left, p.loses = p.loses, n
	return left
}

// Refuse has the next n calls that would change something answered with an error for good, before they do.
func (p *Platform) Refuse(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = n
}

// Drop cuts the next n calls that would change something, before they do.
func (p *Platform) Drop(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops = n
}

// declines answers a call that would change something and is not to, and reports whether it did.
func (p *Platform) declines(w http.ResponseWriter) bool {
	p.mu.Lock()
	refused, dropped := p.refuses > 0, p.drops > 0
	switch {
	case refused:
		p.refuses--
	case dropped:
		p.drops--
	}
	p.mu.Unlock()
	if refused {
		http.Error(w, "the platform refuses it", http.StatusUnprocessableEntity)
		return true
	}
	if dropped {
		panic(http.ErrAbortHandler)
	}
	return false
}

// Journal is all that happened so far.
func (p *Platform) Journal() []Effect {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Effect(nil), p.journal...)
}

// Live are the instances of a tag.
func (p *Platform) Live(tag string) []Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Instance(nil), p.live[tag]...)
}

func (p *Platform) take(e Effect) {
	p.journal = append(p.journal, e)
	switch e.Op {
	case "create":
		p.made++
		p.live[e.Tag] = append(p.live[e.Tag], Instance{
			ID: e.ID, Tag: e.Tag, Name: e.Name, Password: "canary-" + e.ID + "-" + e.Tag, Tier: e.Tier, Owner: e.Owner,
		})
	case "change":
		for i := range p.live[e.Tag] {
			p.live[e.Tag][i].Name = e.Name
		}
	case "rotate":
		for i := range p.live[e.Tag] {
			p.live[e.Tag][i].Password += "-again"
		}
	case "delete":
		p.live[e.Tag] = slices.DeleteFunc(p.live[e.Tag], func(i Instance) bool { return i.ID == e.ID })
	}
}

// write makes an effect durable and then true.
func (p *Platform) write(op string, i Instance) error {
	e := Effect{At: p.now().UTC(), Op: op, ID: i.ID, Tag: i.Tag, Name: i.Name, Tier: i.Tier, Owner: i.Owner}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err = p.file.Write(append(line, '\n')); err == nil {
		err = p.file.Sync()
	}
	if err == nil {
		p.take(e)
	}
	return err
}

// waits is the platform being slow; it is false when the caller has gone meanwhile, and nothing is to be done.
func (p *Platform) waits(r *http.Request) bool {
	p.mu.Lock()
	slow := p.slow
	p.mu.Unlock()
	if slow == 0 {
		return true
	}
	late := time.NewTimer(slow)
	defer late.Stop()
	select {
	case <-late.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (p *Platform) create(w http.ResponseWriter, r *http.Request, another bool) {
	var wish Instance
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAnswer)).Decode(&wish); err != nil || !tagForm.MatchString(wish.Tag) {
		http.Error(w, "a tag and a name are needed", http.StatusBadRequest)
		return
	}
	if !p.waits(r) || p.declines(w) {
		return
	}
	p.mu.Lock()
	var err error
	if another || len(p.live[wish.Tag]) == 0 {
		wish.ID = strconv.Itoa(p.made + 1)
		err = p.write("create", wish)
	}
	var made Instance
	if all := p.live[wish.Tag]; len(all) > 0 {
		made = all[len(all)-1]
	}
	p.mu.Unlock()
	p.answer(w, made, err)
}

func (p *Platform) change(w http.ResponseWriter, r *http.Request) {
	var wish Instance
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAnswer)).Decode(&wish); err != nil {
		http.Error(w, "a name is needed", http.StatusBadRequest)
		return
	}
	if p.declines(w) {
		return
	}
	tag := r.PathValue("tag")
	p.mu.Lock()
	all := p.live[tag]
	if len(all) == 0 {
		p.mu.Unlock()
		http.Error(w, "it is gone, ask again", http.StatusServiceUnavailable)
		return
	}
	wish.ID, wish.Tag = all[0].ID, tag
	err := p.write("change", wish)
	made := p.live[tag][0]
	p.mu.Unlock()
	p.answer(w, made, err)
}

func (p *Platform) rotate(w http.ResponseWriter, r *http.Request) {
	if !p.waits(r) || p.declines(w) {
		return
	}
	tag := r.PathValue("tag")
	p.mu.Lock()
	if len(p.live[tag]) == 0 {
		p.mu.Unlock()
		http.Error(w, "it is gone, ask again", http.StatusServiceUnavailable)
		return
	}
	err := p.write("rotate", p.live[tag][0])
	made := p.live[tag][0]
	p.mu.Unlock()
	p.answer(w, made, err)
}

func (p *Platform) show(w http.ResponseWriter, r *http.Request) {
	if !p.waits(r) {
		return
	}
	all := p.Live(r.PathValue("tag"))
	if len(all) == 0 {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(all[0])
}

func (p *Platform) list(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 {
		http.Error(w, "a limit is needed", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	there := []Instance{}
	for _, tag := range slices.Sorted(maps.Keys(p.live)) {
		if all := p.live[tag]; len(all) > 0 && len(there) < limit && tag > r.FormValue("after") && strings.HasPrefix(tag, r.FormValue("prefix")) && all[0].Tier == r.FormValue("tier") {
			there = append(there, all[0])
		}
	}
	p.mu.Unlock()
	_ = json.NewEncoder(w).Encode(there)
}

func (p *Platform) remove(w http.ResponseWriter, r *http.Request) {
	if !p.waits(r) || p.declines(w) {
		return
	}
	tag := r.PathValue("tag")
	p.mu.Lock()
	var err error
	for _, there := range slices.Clone(p.live[tag]) {
		err = errors.Join(err, p.write("delete", there))
	}
	p.mu.Unlock()
	p.answer(w, Instance{Tag: tag}, err)
}

// answer tells what was done, unless answers are lost now.
func (p *Platform) answer(w http.ResponseWriter, made Instance, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	p.mu.Lock()
	lost := p.loses > 0
	if lost {
		p.loses--
	}
	p.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(made)
}
