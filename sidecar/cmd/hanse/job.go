package main

import (
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type jobCmd struct {
	List  jobListCmd  `cmd:"" help:"List durable jobs, oldest first."`
	Retry jobRetryCmd `cmd:"" help:"Make a waiting or parked job due now."`
	Park  jobParkCmd  `cmd:"" help:"Stop a waiting job until it is retried."`
	Drop  jobDropCmd  `cmd:"" help:"End a job whose work is never to be done; says what that means, and refuses where something waits for the work."`
}

type jobListCmd struct {
	Limit int32 `default:"100" help:"At most this many."`
}

func (c *jobListCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewJobServiceClient, operatorv1connect.JobServiceClient.ListJobs, &operatorv1.ListJobsRequest{PageSize: c.Limit})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describeJobs(t, res.GetJobs()...) })
}

func describeJobs(t *table, jobs ...*operatorv1.Job) {
	t.row("ID", "KIND", "KEY", "PARTNER", "STATE", "ATTEMPTS", "DUE", "LAST ERROR")
	for _, j := range jobs {
		t.row(number(j.GetId()), j.GetKind(), j.GetKey(), j.GetPartner(), j.GetState(), number(j.GetAttempts()), when(j.GetDueAt()), j.GetLastError())
	}
}

type jobRetryCmd struct {
	ID int64 `arg:"" help:"The job's id."`
}

func (c *jobRetryCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewJobServiceClient, operatorv1connect.JobServiceClient.RetryJob, &operatorv1.RetryJobRequest{Id: c.ID})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { t.row("Job " + number(c.ID) + " is due now") })
}

type jobParkCmd struct {
	ID     int64  `arg:"" help:"The job's id."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, for the record and for whoever finds it parked; at most 200 characters."`
}

func (c *jobParkCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewJobServiceClient, operatorv1connect.JobServiceClient.ParkJob, &operatorv1.ParkJobRequest{Id: c.ID, Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describeJobs(t, res.GetJob()) })
}

type jobDropCmd struct {
	ID     int64  `arg:"" help:"The job's id."`
	Reason string `xor:"confirm" placeholder:"TEXT" help:"Drop it; why, for the record; at most 200 characters."`
	DryRun bool   `xor:"confirm" help:"Say what dropping it means; drop nothing."`
}

func (c *jobDropCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewJobServiceClient, operatorv1connect.JobServiceClient.DropJob,
		&operatorv1.DropJobRequest{Id: c.ID, Reason: c.Reason, DryRun: c.DryRun})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		verb := "Dropped"
		if c.DryRun {
			verb = "Would drop"
		}
		t.fact(verb, res.GetJob().GetKind()+" "+res.GetJob().GetKey())
		t.fact("Which means", res.GetMeaning())
	})
}
