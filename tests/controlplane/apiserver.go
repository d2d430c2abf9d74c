package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// auditPolicy records who did what to which object, and never the object:
// bodies would put the contents of Secrets into a file.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
`

func (p *plane) startAPIServer(creds *credentials, etcdURL string) (string, error) {
	args, err := p.apiServerArgs(creds, etcdURL)
	if err != nil {
		return "", err
	}
	opts := options.NewServerRunOptions()
	if err := parseArgs(opts.Flags(), args); err != nil {
		return "", err
	}
	// The listener is opened here and handed over, so the port is free by
	// construction and two control planes cannot race for it.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("opening a port: %w", err)
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	p.background("kube-apiserver", 5*time.Second, func(ctx context.Context) error {
		return runAPIServer(ctx, opts)
	})
	return "https://" + listener.Addr().String(), nil
}

// runAPIServer does what the command does between its flags and its server.
// The command itself is of no use: it installs signal handlers, which can be
// done once in a process, and takes no listener.
func runAPIServer(ctx context.Context, opts *options.ServerRunOptions) error {
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("setting feature gates: %w", err)
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return fmt.Errorf("completing the options: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return fmt.Errorf("checking the options: %w", utilerrors.NewAggregate(errs))
	}
	return app.Run(ctx, completed)
}

func (p *plane) apiServerArgs(creds *credentials, etcdURL string) ([]string, error) {
	args := []string{
		"--bind-address=127.0.0.1",
		// Without it the server looks for a default route, which a test machine
		// may not have. No endpoints are published for the loopback address,
		// because the API forbids it.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=Node,RBAC",
		"--profiling=false",
		"--etcd-servers=" + etcdURL,
		"--etcd-cafile=" + creds.file("etcd-ca.crt"),
		"--etcd-certfile=" + creds.file("etcd.crt"),
		"--etcd-keyfile=" + creds.file("etcd.key"),
		"--client-ca-file=" + creds.file("ca.crt"),
		"--tls-cert-file=" + creds.file("apiserver.crt"),
		"--tls-private-key-file=" + creds.file("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + creds.file("sa.pub"),
		"--service-account-signing-key-file=" + creds.file("sa.key"),
		"--proxy-client-cert-file=" + creds.file("front-proxy-client.crt"),
		"--proxy-client-key-file=" + creds.file("front-proxy-client.key"),
		"--requestheader-client-ca-file=" + creds.file("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
	}
	if !p.audit {
		return args, nil
	}
	policy := creds.file("audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("writing the audit policy: %w", err)
	}
	return append(args,
		"--audit-policy-file="+policy,
		"--audit-log-path="+filepath.Join(p.dir, "audit.log"),
	), nil
}

// parseArgs sets component options by their documented flags, which change
// less from release to release than the structs behind them.
func parseArgs(named cliflag.NamedFlagSets, args []string) error {
	fs := pflag.NewFlagSet("component", pflag.ContinueOnError)
	for _, set := range named.FlagSets {
		fs.AddFlagSet(set)
	}
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("parsing the flags: %w", err)
	}
	return nil
}
