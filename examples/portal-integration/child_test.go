//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *child {
	return &child{
		name: "shell", logFile: filepath.Join(t.TempDir(), "log"), end: syscall.SIGTERM,
		start: func(*os.File) *exec.Cmd { return exec.Command("sh", "-c", script) },
	}
}

func TestAChildThatDoesNotLeaveIsKilled(t *testing.T) {
	c := shell(t, "trap '' TERM; echo deaf; while :; do sleep 1; done")
	d := &demo{stderr: os.Stderr}
	if err := d.launch(c); err != nil {
		t.Fatal(err)
	}
	err := d.until(t.Context(), 10*time.Second, "the trap is set", func(context.Context) (bool, error) {
		return strings.Contains(c.tail(5), "deaf"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.stop(10 * time.Millisecond)
	if !c.ended() || !strings.Contains(c.err.Error(), "killed") {
		t.Errorf("ended %v: %v", c.ended(), c.err)
	}
}

func TestWaitingEndsWhenAChildHasGone(t *testing.T) {
	c := shell(t, "echo out of rope; exit 3")
	d := &demo{stderr: os.Stderr}
	if err := d.launch(c); err != nil {
		t.Fatal(err)
	}
	err := d.until(t.Context(), time.Minute, "it is ready", func(context.Context) (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "shell has ended: exit status 3") {
		t.Errorf("waiting ends with %v", err)
	}
	if !strings.Contains(c.tail(5), "out of rope") {
		t.Errorf("its log ends with %q", c.tail(5))
	}
}

func TestWaitingSaysWhatDidNotHappen(t *testing.T) {
	d := &demo{stderr: os.Stderr}
	err := d.until(t.Context(), time.Millisecond, "the tide comes in", func(context.Context) (bool, error) { return false, nil })
	if err == nil || err.Error() != "the tide comes in did not happen within 1ms" {
		t.Errorf("waiting ends with %v", err)
	}
	broken := errors.New("no sea")
	err = d.until(t.Context(), time.Minute, "the tide comes in", func(context.Context) (bool, error) { return false, broken })
	if !errors.Is(err, broken) {
		t.Errorf("waiting ends with %v", err)
	}
}

func TestOneDemoAFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	first, second := &demo{stderr: os.Stderr}, &demo{stderr: os.Stderr}
	if err := first.makeFolder(); err != nil {
		t.Fatal(err)
	}
	if err := second.makeFolder(); err == nil || !strings.Contains(err.Error(), "another demo") {
		t.Errorf("a second demo in the folder: %v", err)
	}
	second.close()
	left := filepath.Join(first.dir, "left-over")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first.close()
	third := &demo{stderr: os.Stderr}
	if err := third.makeFolder(); err != nil {
		t.Fatal(err)
	}
	defer third.close()
	if _, err := os.Stat(left); err == nil {
		t.Error("the folder is not fresh")
	}
}
