package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// plane is one control plane and what it takes to stop it again.
type plane struct {
	flags
	// fail ends the program when a component ends that should have gone on.
	fail context.CancelCauseFunc
	// stops is run from the last to the first, so etcd outlives its clients.
	stops []func()
	// lock is held open to keep a second program out of the same folder.
	lock *os.File
}

func (p *plane) kubeconfig() string { return filepath.Join(p.dir, "kubeconfig") }

// start brings the components up in the only order that works, and writes the
// kubeconfig last: once that file exists, the cluster can be used.
func (p *plane) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()

	if err := p.claimDir(); err != nil {
		return err
	}
	creds, err := writeCredentials(filepath.Join(p.dir, "pki"))
	if err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	etcdURL, err := p.startEtcd(ctx, creds)
	if err != nil {
		return fmt.Errorf("starting etcd: %w", err)
	}
	serverURL, err := p.startAPIServer(creds, etcdURL)
	if err != nil {
		return fmt.Errorf("starting kube-apiserver: %w", err)
	}
	config := creds.admin.restConfig(serverURL)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if err := waitReady(ctx, client); err != nil {
		return fmt.Errorf("waiting for kube-apiserver: %w", err)
	}
	if err := p.installCRDs(ctx, config, client); err != nil {
		return fmt.Errorf("installing CRDs: %w", err)
	}
	if err := p.startControllers(creds, serverURL); err != nil {
		return fmt.Errorf("starting kube-controller-manager: %w", err)
	}
	if err := waitDefaultAccount(ctx, client); err != nil {
		return fmt.Errorf("waiting for the default service account: %w", err)
	}
	if err := creds.admin.writeKubeconfig(p.kubeconfig(), serverURL); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}

// claimDir makes the folder ours alone and removes what an earlier run left.
// The state of an earlier run is of no use: etcd runs without fsync, so after
// a crash its data cannot be trusted.
func (p *plane) claimDir() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(p.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("opening the lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("another control plane uses %s: %w", p.dir, err), lock.Close())
	}
	p.lock = lock
	for _, name := range []string{"etcd", "pki", "kubeconfig", "audit.log"} {
		if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
			return fmt.Errorf("removing what an earlier run left: %w", err)
		}
	}
	return nil
}

// background runs a component until stop, and gives it grace to finish then.
// A component that ends before that takes the program with it.
func (p *plane) background(name string, grace time.Duration, component func(context.Context) error) {
	// Not derived from the context of the program: components are stopped one
	// after the other, not all at once.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := component(ctx)
		if ctx.Err() == nil {
			p.fail(errors.Join(fmt.Errorf("%s ended", name), err))
		}
	}()
	p.stops = append(p.stops, func() {
		cancel()
		waitAtMost(done, grace)
	})
}

func (p *plane) stop() {
	for i := len(p.stops) - 1; i >= 0; i-- {
		p.stops[i]()
	}
	if p.lock != nil {
		// A kubeconfig without a cluster behind it would only mislead.
		_ = os.Remove(p.kubeconfig())
		_ = p.lock.Close()
	}
}

func waitAtMost(done <-chan struct{}, limit time.Duration) {
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// poll tries every 50 ms until the condition holds, and says why the context
// ended when it does first: "deadline exceeded" alone does not name the cause.
func poll(ctx context.Context, condition wait.ConditionWithContextFunc) error {
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, condition)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func waitReady(ctx context.Context, client kubernetes.Interface) error {
	return poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil, nil // Refused and "not yet" look alike; the context decides.
	})
}

// waitDefaultAccount waits for what the controllers make first; before that no
// pod can be created, so a cluster without it is not usable. That the account
// is in the default namespace says that the namespace exists, too.
func waitDefaultAccount(ctx context.Context, client kubernetes.Interface) error {
	accounts := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault)
	return poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := accounts.Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// restConfig is a client of the API server with this identity. It has no rate
// limit of its own; the server has one.
func (i identity) restConfig(serverURL string) *rest.Config {
	return &rest.Config{
		Host:            serverURL,
		QPS:             -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: i.ca, CertData: i.cert, KeyData: i.key},
	}
}
