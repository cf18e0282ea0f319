package main

import (
	"fmt"
	"time"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

// askAgain is how often status --wait looks.
const askAgain = 200 * time.Millisecond

type statusCmd struct {
	Wait time.Duration `placeholder:"1m" help:"Wait so long until the sidecar is ready, its start included."`
}

func (c *statusCmd) Run(a *app) error {
	deadline := time.Now().Add(c.Wait)
	for {
		res, err := call(a, operatorv1connect.NewStatusServiceClient, operatorv1connect.StatusServiceClient.GetStatus, &operatorv1.GetStatusRequest{})
		if (err == nil && res.GetReady()) || time.Now().After(deadline) || !startingUp(err) {
			return c.show(a, res, err)
		}
		select {
		case <-a.ctx.Done():
			return a.ctx.Err()
		case <-time.After(askAgain):
		}
	}
}

// startingUp reports whether an error may pass by itself while the sidecar starts; its first start makes the token.
func startingUp(err error) bool {
	if err == nil {
		return true
	}
	failure := asCommandError(err)
	return failure.Code == exitPending || failure.Reason == "no_operator_token"
}

func (c *statusCmd) show(a *app, s *operatorv1.GetStatusResponse, err error) error {
	if err != nil {
		return err
	}
	if err := a.show(s, func(t *table) { describeStatus(t, s) }); err != nil || s.GetReady() {
		return err
	}
	cause := ""
	for _, check := range s.GetChecks() {
		if check.GetProblem() != "" {
			cause += fmt.Sprintf("; %s: %s", check.GetName(), check.GetProblem())
		}
	}
	return &commandError{Code: exitPending, Reason: "not_ready", Cause: "the sidecar takes no requests now" + cause, Action: "read its log, and ask again"}
}

func describeStatus(t *table, s *operatorv1.GetStatusResponse) {
	ready := "yes"
	if !s.GetReady() {
		ready = "no"
	}
	t.fact("Ready", ready)
	for _, check := range s.GetChecks() {
		if check.GetProblem() != "" {
			t.fact("Not "+check.GetName(), check.GetProblem())
		}
	}
	for _, reminder := range s.GetReminders() {
		t.fact("Reminder", reminder)
	}
	t.fact("Origin", s.GetOrigin())
	t.fact("Configuration", s.GetConfigurationFile())
	t.fact("Data folder", s.GetDataDir())
	t.fact("Database", s.GetDatabase())
	t.fact("Version", s.GetVersion())
	t.fact("Started", when(s.GetStartedAt()))
	t.fact("Open orders", counts(s.GetOpenOrders()))
	t.fact("Jobs", counts(s.GetJobs()))
	for _, p := range s.GetPartners() {
		t.fact("Partner", p.GetMember().GetOrigin())
		t.fact("  State", fmt.Sprintf("%s, %s, %s", p.GetState(), roleNames(p.GetRoles()), reachability(p)))
		t.fact("  Ledgers", fmt.Sprintf("own at %d, theirs at %d, %d parked, books %s", p.GetOwnLedgerSeq(), p.GetTheirLedgerSeq(), len(p.GetParkedSubjects()), books(p)))
	}
}

func reachability(p *operatorv1.Partner) string {
	if p.GetLastError() != "" {
		return p.GetReachability() + ": " + p.GetLastError()
	}
	return p.GetReachability()
}

// counts writes what there is, "none" where nothing is.
func counts(list []*operatorv1.StateCount) string {
	out := ""
	for _, c := range list {
		if out != "" {
			out += ", "
		}
		out += fmt.Sprintf("%d %s %s", c.GetCount(), c.GetGroup(), c.GetState())
	}
	if out == "" {
		return "none"
	}
	return out
}
