package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// stopWithParent ends the program when a process is gone. A test run that is
// killed cannot clean up after itself, so its cluster does.
func stopWithParent(ctx context.Context, cancel context.CancelCauseFunc, pid int) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	born := startTime(pid)
	for {
		if !alive(pid) || startTime(pid) != born {
			fmt.Fprintf(os.Stderr, "controlplane: process %d is gone, stopping\n", pid)
			cancel(errAsked)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// alive asks with signal 0. "Not permitted" still means that it exists.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// startTime tells a process from a later one with the same id, and from its
// own zombie, which answers signals but does nothing any more. Where there is
// no /proc it is always empty, and signal 0 alone has to do.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the command in parentheses and may hold spaces, so
	// counting starts behind it: the state is first, the start time twentieth.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || bytes.Equal(fields[0], []byte("Z")) {
		return "none"
	}
	return string(fields[19])
}
