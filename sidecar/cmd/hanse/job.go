package main

import (
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type jobCmd struct {
	List  jobListCmd  `cmd:"" help:"List durable jobs, oldest first."`
	Retry jobRetryCmd `cmd:"" help:"Make a waiting or parked job due now."`
}

type jobListCmd struct {
	Limit int32 `default:"100" help:"At most this many."`
}

func (c *jobListCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewJobServiceClient, operatorv1connect.JobServiceClient.ListJobs, &operatorv1.ListJobsRequest{PageSize: c.Limit})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.row("ID", "KIND", "KEY", "PARTNER", "STATE", "ATTEMPTS", "DUE", "LAST ERROR")
		for _, j := range res.GetJobs() {
			t.row(number(j.GetId()), j.GetKind(), j.GetKey(), j.GetPartner(), j.GetState(), number(j.GetAttempts()), when(j.GetDueAt()), j.GetLastError())
		}
	})
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
