package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

const outputJSON = "json"

// show writes a message, or another value, as JSON, or lets write put it into a table for people.
func (a *app) show(v any, write func(*table)) error {
	if a.flags.Output == outputJSON {
		marshal := json.Marshal
		if m, is := v.(proto.Message); is {
			marshal = func(any) ([]byte, error) { return protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m) }
		}
		b, err := marshal(v)
		if err != nil {
			return err
		}
		// protojson varies its white space on purpose; scripts and golden files want one form.
		var out bytes.Buffer
		if err := json.Indent(&out, b, "", "  "); err != nil {
			return err
		}
		out.WriteByte('\n')
		_, err = out.WriteTo(a.stdout)
		return err
	}
	t := &table{w: tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)}
	write(t)
	return t.w.Flush()
}

// more says on standard error that a list goes on.
func (a *app) more(nextPageToken string) {
	if nextPageToken != "" {
		fmt.Fprintln(a.stderr, "There is more; use --limit.")
	}
}

// table writes rows of cells; a cell with text from elsewhere cannot steer the terminal.
type table struct{ w *tabwriter.Writer }

func (t *table) row(cells ...string) {
	for i, c := range cells {
		if c == "" {
			c = "-"
		}
		cells[i] = printable(c)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// fact writes one line of a description.
func (t *table) fact(name, value string) { t.row(name+":", value) }

// gap begins another block: its columns are as wide as they need to be.
func (t *table) gap() { fmt.Fprintln(t.w) }

// sayWidth is how many columns of a terminal with 80 a fact has whose name is short.
const sayWidth = 64

// say is fact for sentences, which go on in the next line.
func (t *table) say(name, value string) {
	name += ":"
	for line := ""; ; line = "" {
		words := strings.Fields(value)
		n := 0
		for ; n < len(words) && (n == 0 || len(line)+1+len(words[n]) <= sayWidth); n++ {
			line = strings.TrimPrefix(line+" "+words[n], " ")
		}
		t.row(name, line)
		if name, value = " ", strings.Join(words[n:], " "); value == "" {
			return
		}
	}
}

// printable drops what would move the cursor, change colours or turn the reading direction: partners choose their names.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func when(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

func amount(a *typev1.Amount) string {
	if a == nil {
		return ""
	}
	return money.Amount{Minor: a.GetMinorUnits(), Currency: a.GetCurrency()}.String()
}

func number[T int | int32 | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// percent writes hundredths of a percent.
func percent(bp int32) string {
	s := fmt.Sprintf("%d.%02d", bp/100, bp%100)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + "%"
}

// percentFlag reads 20% or 12.5% exactly, as hundredths of a percent.
type percentFlag int32

func (p *percentFlag) UnmarshalText(text []byte) error {
	whole, fraction, _ := strings.Cut(strings.TrimSuffix(string(text), "%"), ".")
	if len(fraction) > 2 || len(whole) > 6 || !strings.HasSuffix(string(text), "%") {
		return fmt.Errorf("%q is not a percentage; write it like 20%% or 12.5%%", text)
	}
	n, err := strconv.ParseUint(whole+(fraction + "00")[:2], 10, 31)
	if err != nil || whole == "" {
		return fmt.Errorf("%q is not a percentage; write it like 20%% or 12.5%%", text)
	}
	*p = percentFlag(n)
	return nil
}

// short is enough of a digest to compare by eye.
func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12]
	}
	return digest
}
