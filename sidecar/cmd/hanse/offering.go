package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

// maxOfferingFile is what one call carries.
const maxOfferingFile = 16 << 20

type offeringCmd struct {
	Apply offeringApplyCmd `cmd:"" help:"Make offerings what YAML files say; all of them, or none where one has an error. What is cut off on the way, the same files finish. What the files do not have stays as it is, unless --prune is given."`
	List  offeringListCmd  `cmd:"" help:"List our offerings."`
	Show  offeringShowCmd  `cmd:"" help:"Show one offering as partners receive it."`
}

type offeringApplyCmd struct {
	File   []string `short:"f" required:"" sep:"none" placeholder:"FILE" help:"YAML with one or many documents; - reads standard input. Give it once for each file."`
	DryRun bool     `help:"Check only: say what is wrong, or how much would change."`
	Diff   bool     `help:"Check only, and show each change, field by field."`
	Prune  bool     `help:"Also withdraw what is on sale or announced and has no document in the files: it is put on hold and named. With --diff, see it before."`
}

func (c *offeringApplyCmd) Run(a *app) error {
	yaml, begins, err := c.read(a)
	if err != nil {
		return err
	}
	req := &operatorv1.ApplyOfferingsRequest{Yaml: yaml, DryRun: c.DryRun || c.Diff, Prune: c.Prune}
	res, err := apply(a, req)
	if err != nil {
		return c.cutOff(a, req, err)
	}
	for _, e := range res.GetErrors() {
		begins.locate(e)
	}
	if err := a.show(res, func(t *table) { c.summary(t, res) }); err != nil {
		return err
	}
	if n := len(res.GetErrors()); n > 0 {
		return &commandError{Code: exitFailure, Reason: "offerings_invalid", Cause: fmt.Sprintf("%d errors; nothing was applied", n), Action: "correct the file and repeat"}
	}
	return nil
}

func apply(a *app, req *operatorv1.ApplyOfferingsRequest) (*operatorv1.ApplyOfferingsResponse, error) {
	return call(a, operatorv1connect.NewOfferingServiceClient, operatorv1connect.OfferingServiceClient.ApplyOfferings, req)
}

// cutOff adds to why an apply failed how far it came. What it was to do and did not is what a check of the same files finds; where nobody
// answers that either, nothing is known.
func (c *offeringApplyCmd) cutOff(a *app, req *operatorv1.ApplyOfferingsRequest, cause error) error {
	failed := asCommandError(cause)
	if req.GetDryRun() || !halfDone[connect.CodeOf(cause)] {
		return failed
	}
	left, err := apply(a, &operatorv1.ApplyOfferingsRequest{Yaml: req.GetYaml(), DryRun: true, Prune: req.GetPrune()})
	if err != nil || len(left.GetErrors()) > 0 {
		failed.Action += "; what is written stays, and the same files do the rest"
		return failed
	}
	p := &progress{Written: left.GetUnchanged()}
	p.Of = p.Written + left.GetCreated() + left.GetUpdated() + left.GetWithdrawn()
	failed.Cause += fmt.Sprintf("; %d of %d written", p.Written, p.Of)
	for _, change := range left.GetChanges() {
		if change.GetVerb() != "missing" {
			p.First = change.GetId()
			failed.Cause += ", the first that is not is " + p.First
			break
		}
	}
	failed.Progress, failed.Action = p, "repeat it: what is written stays, and the same files do the rest"
	return failed
}

// halfDone are the codes of calls that may have done a part of their work.
var halfDone = map[connect.Code]bool{
	connect.CodeAlreadyExists: true, connect.CodeAborted: true, connect.CodeUnavailable: true, connect.CodeDeadlineExceeded: true,
	connect.CodeResourceExhausted: true, connect.CodeInternal: true, connect.CodeUnknown: true, connect.CodeCanceled: true,
}

// read puts the files behind each other, and says where each begins.
func (c *offeringApplyCmd) read(a *app) (all []byte, begins fileStarts, err error) {
	for i, name := range c.File {
		one, err := c.readOne(a, name)
		if err != nil {
			return nil, nil, err
		}
		if i > 0 {
			if !bytes.HasSuffix(all, []byte("\n")) {
				all = append(all, '\n')
			}
			all = append(all, "---\n"...)
		}
		begins = append(begins, fileStart{name, int32(bytes.Count(all, []byte("\n")))})
		if all = append(all, one...); len(all) > maxOfferingFile {
			return nil, nil, &commandError{Code: exitFailure, Reason: "file_too_large", Cause: fmt.Sprintf("%s together are larger than %d bytes", strings.Join(c.File, ", "), maxOfferingFile), Action: "split them"}
		}
	}
	return all, begins, nil
}

func (c *offeringApplyCmd) readOne(a *app, name string) ([]byte, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, maxOfferingFile+1))
}

// fileStarts are the files that were sent as one.
type fileStarts []fileStart

// fileStart is a file, and how many lines stand before it.
type fileStart struct {
	name   string
	before int32
}

// locate gives an error its file, and the line there.
func (f fileStarts) locate(e *operatorv1.ApplyError) {
	for i := len(f) - 1; i >= 0; i-- {
		if e.GetLine() > f[i].before || i == 0 {
			e.File, e.Line = f[i].name, e.GetLine()-f[i].before
			return
		}
	}
}

func (c *offeringApplyCmd) summary(t *table, res *operatorv1.ApplyOfferingsResponse) {
	for _, e := range res.GetErrors() {
		// file:line:column first, on a line of its own: editors jump there.
		_, _ = fmt.Fprintf(t.w, "%s:%d:%d: %s: %s (%s)\n", e.GetFile(), e.GetLine(), e.GetColumn(), printable(e.GetField()), printable(e.GetCause()), e.GetReason())
	}
	if len(res.GetErrors()) > 0 {
		return
	}
	for _, change := range res.GetChanges() {
		c.change(t, change)
	}
	verb := "applied"
	if c.DryRun || c.Diff {
		verb = "checked"
	}
	_, _ = fmt.Fprintf(t.w, "%s: %d created, %d updated, %d unchanged", verb, res.GetCreated(), res.GetUpdated(), res.GetUnchanged())
	if c.Prune {
		_, _ = fmt.Fprintf(t.w, ", %d withdrawn", res.GetWithdrawn())
	}
	if n := res.GetMissing(); n > 0 {
		_, _ = fmt.Fprintf(t.w, "; %d not in the files stay as they are (--diff names them, --prune withdraws them)", n)
	}
	_, _ = fmt.Fprintln(t.w)
}

// change shows one offering; without --diff only what is withdrawn, which is never done in silence.
func (c *offeringApplyCmd) change(t *table, change *operatorv1.OfferingChange) {
	sign := map[string]string{"created": "+", "updated": "~", "withdrawn": "-", "missing": " "}[change.GetVerb()]
	if !c.Diff && change.GetVerb() != "withdrawn" {
		return
	}
	verb := change.GetVerb()
	if verb == "missing" {
		verb = "not in the files, stays as it is"
	}
	_, _ = fmt.Fprintf(t.w, "%s %s (%s): %s\n", sign, printable(change.GetId()), printable(change.GetName()), printable(verb))
	for _, f := range change.GetFields() {
		_, _ = fmt.Fprintf(t.w, "    %s: %s -> %s\n", printable(f.GetField()), value(f.GetBefore()), value(f.GetAfter()))
	}
}

func value(json string) string {
	if json == "" {
		return "nothing"
	}
	return printable(json)
}

type offeringListCmd struct {
	Limit int `default:"100" help:"At most this many."`
}

func (c *offeringListCmd) Run(a *app) error {
	all := &operatorv1.ListOfferingsResponse{}
	err := pages(c.Limit, &all.NextPageToken, func(size int32, token string) (int, string, error) {
		res, err := call(a, operatorv1connect.NewOfferingServiceClient, operatorv1connect.OfferingServiceClient.ListOfferings,
			&operatorv1.ListOfferingsRequest{PageSize: size, PageToken: token})
		all.Offerings = append(all.Offerings, res.GetOfferings()...)
		return len(res.GetOfferings()), res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	defer a.more(all.GetNextPageToken())
	return a.show(all, func(t *table) {
		t.row("ID", "NAME", "CATEGORY", "STATE", "REVISION", "CURRENCY", "DIGEST")
		for _, o := range all.GetOfferings() {
			t.row(o.GetId(), o.GetName(), o.GetCategory(), o.GetState(), number(o.GetRevision()), o.GetCurrency(), short(o.GetDigest()))
		}
	})
}

// pages reads page after page until there are limit items or no more.
func pages(limit int, next *string, page func(size int32, token string) (n int, next string, err error)) error {
	for have := 0; have < limit; {
		n, token, err := page(int32(min(limit-have, 1000)), *next)
		if err != nil {
			return err
		}
		*next = token
		have += n
		if token == "" || n == 0 {
			return nil
		}
	}
	return nil
}

type offeringShowCmd struct {
	ID string `arg:"" help:"The offering's id."`
}

func (c *offeringShowCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewOfferingServiceClient, operatorv1connect.OfferingServiceClient.GetOffering, &operatorv1.GetOfferingRequest{Id: c.ID})
	if err != nil {
		return err
	}
	o := res.GetOffering()
	return a.show(res, func(t *table) {
		t.fact("Offering", o.GetId())
		t.fact("Name", o.GetName())
		t.fact("Category", o.GetCategory())
		t.fact("State", o.GetState())
		t.fact("Revision", number(o.GetRevision()))
		t.fact("Currency", o.GetCurrency())
		t.fact("Digest", o.GetDigest())
		t.fact("Document", string(o.GetDocument()))
	})
}
