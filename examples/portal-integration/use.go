package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// useNotes writes a note over the program's JSON API with the password that was bought, and reads it back.
func (d *demo) useNotes(ctx context.Context, access map[string]string) error {
	written := note{Title: "Bought through Alpenhost", Body: "- [x] order\n- [ ] use"}
	var created, read note
	if err := d.callNotes(ctx, access, http.MethodPost, "/api/notes", http.StatusCreated, written, &created); err != nil {
		return err
	}
	if err := d.callNotes(ctx, access, http.MethodGet, "/api/notes/"+created.ID, http.StatusOK, nil, &read); err != nil {
		return err
	}
	if read.ID == "" || read.Title != written.Title || read.Body != written.Body {
		return fmt.Errorf("the note reads %+v and not %+v", read, written)
	}
	wrong := map[string]string{"url": access["url"], "password": "not-the-password"}
	if err := d.callNotes(ctx, wrong, http.MethodGet, "/api/notes", http.StatusUnauthorized, nil, nil); err != nil {
		return fmt.Errorf("with a wrong password: %w", err)
	}
	d.say("    %s: wrote a note and read it back", access["url"])
	return nil
}

type note struct {
	ID    string `json:"id,omitempty"`
	Title string `json:"title"`
	Body  string `json:"body"`
}

func (d *demo) callNotes(ctx context.Context, access map[string]string, method, path string, want int, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, access["url"]+path, payload)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+access["password"])
	req.Header.Set("Content-Type", "application/json")
	res, err := d.browser.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != want {
		return fmt.Errorf("%s %s answers %s", method, path, res.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(into)
}

// useDatabase makes a table in the database that was bought, fills it and asks it something.
func (d *demo) useDatabase(ctx context.Context, access map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, access["connection_url"])
	if err != nil {
		return fmt.Errorf("connect as %s: %w", access["username"], withoutPassword(err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS berth (ship text PRIMARY KEY, tonnes int NOT NULL)",
		"INSERT INTO berth VALUES ('Kogge', 120), ('Holk', 300), ('Kraweel', 250) ON CONFLICT DO NOTHING",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	var ships, tonnes int
	if err := conn.QueryRow(ctx, "SELECT count(*), sum(tonnes) FROM berth").Scan(&ships, &tonnes); err != nil {
		return err
	}
	if ships != 3 || tonnes != 670 {
		return fmt.Errorf("the database says %d ships and %d tonnes", ships, tonnes)
	}
	d.say("    %s at %s:%s: made a table, filled and queried it", access["database"], access["host"], access["port"])
	return nil
}

// withoutPassword keeps the address with the password out of what is printed.
func withoutPassword(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("the address cannot be read")
	}
	return err
}

// gone waits until nothing answers any more under a terminated workspace's address.
func (d *demo) gone(ctx context.Context, access map[string]string) error {
	return d.until(ctx, time.Minute, "the terminated program is gone", func(ctx context.Context) (bool, error) {
		there, err := d.answers(ctx, access["url"]+"/healthz")
		return !there, err
	})
}
