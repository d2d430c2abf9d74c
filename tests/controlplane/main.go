// Command controlplane runs a real Kubernetes control plane in one process:
// etcd, kube-apiserver and the controllers of kube-controller-manager that
// make objects come and go. There is no kubelet and no scheduler. It exists
// for tests and demonstrations; nothing in it survives the process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// startTimeout bounds the whole start. It takes about five seconds on an idle
// machine; the rest is for a machine that compiles at the same time.
const startTimeout = 3 * time.Minute

// errAsked ends a run that was asked to stop.
var errAsked = errors.New("asked to stop")

type flags struct {
	dir       string
	crds      string
	audit     bool
	parentPID int
}

func main() {
	f, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (flags, error) {
	var f flags
	// A flag set of our own, because Kubernetes packages add to the global one.
	fs := flag.NewFlagSet("controlplane", flag.ContinueOnError)
	fs.StringVar(&f.dir, "dir", "", "folder for all state: etcd, certificates, kubeconfig, audit log (required)")
	fs.StringVar(&f.crds, "crds", "", "folder of CustomResourceDefinitions to install before the controllers start")
	fs.BoolVar(&f.audit, "audit-log", false, "write audit events, metadata only, to DIR/audit.log")
	fs.IntVar(&f.parentPID, "parent-pid", 0, "stop when this process is gone")
	if err := fs.Parse(args); err != nil {
		return f, err
	}
	if fs.NArg() > 0 {
		return f, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if f.dir == "" {
		return f, errors.New("--dir is required")
	}
	abs, err := filepath.Abs(f.dir)
	if err != nil {
		return f, fmt.Errorf("resolving --dir: %w", err)
	}
	f.dir = abs
	return f, nil
}

func run(f flags) error {
	threshold := quietLogs()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stopOnSignal(cancel)
	if f.parentPID > 0 {
		go stopWithParent(ctx, cancel, f.parentPID)
	}

	p := &plane{flags: f, fail: cancel}
	// Deferred before the start, so that a start that fails half way stops
	// whatever it had started.
	defer p.stop()
	// Components that lose each other while they stop call that an error.
	defer threshold("FATAL")
	if err := p.start(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return unlessAsked(err)
	}
	fmt.Printf("ready KUBECONFIG=%s\n", p.kubeconfig())
	<-ctx.Done()
	return unlessAsked(context.Cause(ctx))
}

func unlessAsked(err error) error {
	if errors.Is(err, errAsked) {
		return nil
	}
	return err
}

func stopOnSignal(cancel context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		cancel(errAsked)
	}()
}

// quietLogs keeps errors and drops the rest: Kubernetes logs hundreds of
// informational lines while it starts, and they would hide the one that counts.
// The function it returns changes how severe an error has to be.
func quietLogs() (threshold func(severity string)) {
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	set := func(name, value string) {
		if err := fs.Set(name, value); err != nil {
			panic(err) // Only a flag that klog renamed can cause this.
		}
	}
	set("logtostderr", "false")
	set("stderrthreshold", "ERROR")
	klog.SetOutput(io.Discard)
	// The controllers watch deprecated APIs on purpose, and would be warned of it.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return func(severity string) { set("stderrthreshold", severity) }
}
