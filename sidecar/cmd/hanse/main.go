package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	// The first signal asks for a clean end; after stop, a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// cli is the whole grammar; each command's fields are its flags.
type cli struct {
	Output    string `short:"o" enum:"table,json" default:"table" help:"Write a table for people or JSON for programs: ${enum}."`
	Config    string `short:"c" type:"path" placeholder:"FILE" help:"Configuration of the sidecar, from which other commands learn its address and token; default ./hanse.yaml, else /etc/hanse/hanse.yaml."`
	Operator  string `placeholder:"URL" help:"Operator API of the sidecar (HANSE_OPERATOR); default http://127.0.0.1:7070."`
	TokenFile string `type:"path" placeholder:"FILE" help:"File with the operator token; default operator.token in data_dir. HANSE_OPERATOR_TOKEN holds the token itself."`

	Init         initCmd         `cmd:"" help:"Write the configuration of a member for development on this machine."`
	Serve        serveCmd        `cmd:"" help:"Run the sidecar until a signal ends it."`
	Partner      partnerCmd      `cmd:"" help:"Make and show partnerships."`
	Agreement    agreementCmd    `cmd:"" help:"Offer and show agreements."`
	Offering     offeringCmd     `cmd:"" help:"Keep what this member sells."`
	Listing      listingCmd      `cmd:"" help:"Keep how partners' offerings are shown and priced here."`
	Order        orderCmd        `cmd:"" help:"Show orders of both sides."`
	Subscription subscriptionCmd `cmd:"" help:"Show subscriptions of both sides."`
	Ledger       ledgerCmd       `cmd:"" help:"Show and verify the ledgers."`
	Portal       portalCmd       `cmd:"" help:"Keep the portals' keys."`
	Job          jobCmd          `cmd:"" help:"Show and retry durable jobs."`
	Database     databaseCmd     `cmd:"" help:"Keep the database of this sidecar."`
	Version      versionCmd      `cmd:"" help:"Show this binary's version."`
	App          appCmd          `cmd:"" hidden:""`
}

// app is what a command works with.
type app struct {
	ctx            context.Context
	flags          *cli
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// exited is how kong's --help leaves, and a first process with its child's code: they want the process to end there.
type exited int

// run is main without the process; the tests call it.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil {
			status, left := r.(exited)
			if !left {
				panic(r)
			}
			code = int(status)
		}
	}()
	var flags cli
	a := &app{ctx: ctx, flags: &flags, getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	parser, err := kong.New(
		&flags,
		kong.Name("hanse"),
		kong.Description("Sell partners' cloud services as your own, without a marketplace in between."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(status int) { panic(exited(status)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintf(stderr, "hanse: %v\n", err)
		return exitFailure
	}
	command, err := parser.Parse(args)
	if err != nil {
		help := "hanse --help"
		var parse *kong.ParseError
		if errors.As(err, &parse) && parse.Context != nil && parse.Context.Command() != "" {
			help = "hanse " + commandWords(parse.Context) + " --help"
		}
		a.report(&commandError{Code: exitUsage, Reason: "usage", Cause: err.Error(), Action: help})
		return exitUsage
	}
	if err := command.Run(a); err != nil {
		failure := asCommandError(err)
		a.report(failure)
		return failure.Code
	}
	return exitOK
}

// commandWords is the command without its arguments' placeholders.
func commandWords(c *kong.Context) string {
	words := ""
	for _, step := range c.Path {
		if step.Command != nil {
			words += " " + step.Command.Name
		}
	}
	if words == "" {
		return ""
	}
	return words[1:]
}
