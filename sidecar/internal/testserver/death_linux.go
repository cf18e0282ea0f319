package testserver

import "syscall"

func dieWithUs(attr *syscall.SysProcAttr, death syscall.Signal) { attr.Pdeathsig = death }
