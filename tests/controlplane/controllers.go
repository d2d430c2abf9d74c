package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

// controllers are the ones whose work tests can observe: objects that vanish
// with their owner or namespace, the accounts that workloads run as, policies
// with a status, and the workload controllers that make pod objects, and
// replace them when a template changes. Those that serve nodes, volumes or the network are left out.
var controllers = []string{
	names.GarbageCollectorController,
	names.NamespaceController,
	names.ServiceAccountController,
	names.ServiceAccountTokenController,
	names.RootCACertificatePublisherController,
	names.ValidatingAdmissionPolicyStatusController,
	names.ClusterRoleAggregationController,
	names.ResourceQuotaController,
	names.DeploymentController,
	names.ReplicaSetController,
	names.StatefulSetController,
	names.DaemonSetController,
	names.JobController,
}

func (p *plane) startControllers(creds *credentials, serverURL string) error {
	kubeconfig := creds.file("controller-manager.kubeconfig")
	if err := creds.controllers.writeKubeconfig(kubeconfig, serverURL); err != nil {
		return fmt.Errorf("writing its kubeconfig: %w", err)
	}
	opts, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("making the options: %w", err)
	}
	all, disabled, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	named := opts.Flags(all, disabled, aliases)
	opts.ParsedFlags = &named
	if err := parseArgs(named, controllerArgs(creds, kubeconfig)); err != nil {
		return err
	}
	p.background("kube-controller-manager", 3*time.Second, func(ctx context.Context) error {
		// The configuration holds on to the context, so it is made with the one
		// that lasts as long as the controllers.
		config, err := opts.Config(ctx, all, disabled, aliases)
		if err != nil {
			return fmt.Errorf("checking the options: %w", err)
		}
		return app.Run(ctx, config.Complete())
	})
	return nil
}

func controllerArgs(creds *credentials, kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--controllers=" + strings.Join(controllers, ","),
		// There is only ever one, so it need not win an election first.
		"--leader-elect=false",
		// Nobody asks it for health or metrics, so it opens no port.
		"--secure-port=0",
		"--root-ca-file=" + creds.file("ca.crt"),
		"--service-account-private-key-file=" + creds.file("sa.key"),
		// The default of 20 requests a second would make collecting the objects
		// of a busy test wait for its turn.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--concurrent-gc-syncs=40",
		"--concurrent-namespace-syncs=20",
		"--controller-shutdown-timeout=2s",
	}
}
