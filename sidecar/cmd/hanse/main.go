package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
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
	ShowVersion showVersion `name:"version" help:"Show this binary's version."`

	Output     string `short:"o" enum:"table,json" default:"table" help:"Write a table for people or JSON for programs: ${enum}."`
	ConfigFile string `name:"config" short:"c" type:"path" placeholder:"FILE" help:"Configuration of the sidecar, from which other commands learn its address and token; default ./hanse.yaml, else /etc/hanse/hanse.yaml."`
	Operator   string `placeholder:"URL" help:"Operator API of the sidecar (HANSE_OPERATOR); default http://127.0.0.1:7070."`
	TokenFile  string `type:"path" placeholder:"FILE" help:"File with the operator token; default operator.token in data_dir. HANSE_OPERATOR_TOKEN holds the token itself."`

	Init         initCmd         `cmd:"" help:"Write the configuration of a member for development on this machine."`
	Serve        serveCmd        `cmd:"" help:"Run the sidecar until a signal ends it."`
	Config       configCmd       `cmd:"" name:"config" help:"Check the configuration."`
	Status       statusCmd       `cmd:"" help:"Say on one page whether all is well; exits with 6 where the sidecar is not ready."`
	Partner      partnerCmd      `cmd:"" help:"Make and show partnerships."`
	Agreement    agreementCmd    `cmd:"" help:"Offer and show agreements."`
	Offering     offeringCmd     `cmd:"" help:"Keep what this member sells."`
	Listing      listingCmd      `cmd:"" help:"Keep how partners' offerings are shown and priced here."`
	Order        orderCmd        `cmd:"" help:"Show orders of both sides."`
	Subscription subscriptionCmd `cmd:"" help:"Show subscriptions of both sides."`
	Orphan       orphanCmd       `cmd:"" help:"Find and end what runs on our platforms without a subscription."`
	Ledger       ledgerCmd       `cmd:"" help:"Show and verify the ledgers."`
	Portal       portalCmd       `cmd:"" help:"Keep the portals' keys."`
	Job          jobCmd          `cmd:"" help:"Show and retry durable jobs."`
	Database     databaseCmd     `cmd:"" help:"Keep the database of this sidecar."`
	Backup       backupCmd       `cmd:"" help:"Write all that this member needs to one sealed file, while the sidecar runs."`
	Restore      restoreCmd      `cmd:"" help:"Make the member in an empty folder again from what hanse backup wrote."`
	Key          keyCmd          `cmd:"" help:"Keep this member's keys apart from its data."`
	Chaos        chaosCmd        `cmd:"" help:"Run members on this machine, hurt them, and prove that both sides' books agree afterwards."`
	Testpeer     testpeerCmd     `cmd:"" help:"Play a partner of its own that tests a member: the honest story, and one wrong thing at a time."`
	Completion   completionCmd   `cmd:"" help:"Print what makes a shell complete hanse's commands and flags."`
	Version      versionCmd      `cmd:"" help:"Show this binary's version."`
	Complete     completeCmd     `cmd:"" hidden:""`
	App          appCmd          `cmd:"" hidden:""`
}

// app is what a command works with.
type app struct {
	ctx            context.Context
	parser         *kong.Kong
	flags          *cli
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	// json says that JSON was asked for, though the rest of the command line could not be read.
	json bool
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
	a := &app{ctx: ctx, flags: &flags, getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr, json: asksForJSON(args)}
	parser, err := kong.New(
		&flags,
		kong.Name("hanse"),
		kong.Description("Sell partners' cloud services as your own, without a marketplace in between."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(status int) { panic(exited(status)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(help),
		kong.Bind(a),
	)
	if err != nil {
		a.report(asCommandError(err))
		return exitFailure
	}
	a.parser = parser
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

// help is kong's, with the exit codes below that of hanse itself.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	fmt.Fprintln(ctx.Stdout, "\nExit codes:")
	for _, e := range exits() {
		fmt.Fprintf(ctx.Stdout, "  %d  %s\n", e.code, e.meaning)
	}
	return nil
}

// asksForJSON finds -o json in a command line that may be wrong elsewhere: whoever reads JSON reads the error as JSON too.
func asksForJSON(args []string) bool {
	asked := false
	for i, arg := range args {
		switch {
		case arg == "--":
			return asked
		case arg == "-o" || arg == "--output":
			asked = i+1 < len(args) && args[i+1] == outputJSON
		case strings.HasPrefix(arg, "--output="):
			asked = arg == "--output="+outputJSON
		case strings.HasPrefix(arg, "-o"):
			asked = strings.TrimPrefix(strings.TrimPrefix(arg, "-o"), "=") == outputJSON
		}
	}
	return asked
}

// showVersion is --version, which needs no command.
type showVersion bool

// BeforeReset implements kong's hook, which runs before a missing command is missed.
func (showVersion) BeforeReset(a *app) error {
	if a.json {
		a.flags.Output = outputJSON
	}
	if err := new(versionCmd).Run(a); err != nil {
		return err
	}
	panic(exited(exitOK))
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
