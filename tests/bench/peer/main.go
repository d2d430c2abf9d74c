// peer is an operator for GatewayApiKeys as many are written: with controller-runtime, and without anything that Keysmith does
// beyond the ordinary. The benchmark runs it beside Keysmith.
package main

import (
	"flag"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"keysmith.dev/peer/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// tunedWorkers is the number of resources that are reconciled at the same time. The default of controller-runtime is 1.
	tunedWorkers = 16
	// vendorTimeout is the time limit of a call to the vendor.
	vendorTimeout = 30 * time.Second
)

func main() {
	// The flag kubeconfig is controller-runtime's own.
	metricsAddress := flag.String("metrics-bind-address", "0", "where to serve metrics; 0 for nowhere")
	tuned := flag.Bool("tuned", false, "more workers, a smaller cache, and more idle connections")
	consistent := flag.Bool("read-your-writes", false, "reads wait until the cache has the writes before them")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*metricsAddress, *tuned, *consistent); err != nil {
		ctrl.Log.Error(err, "the peer ends")
		os.Exit(1)
	}
}

func run(metricsAddress string, tuned, consistent bool) error {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := api.AddToScheme(scheme); err != nil {
		return err
	}
	// Without a limit of requests, as controller-runtime has it by default since 0.21: QPS is -1, and the API server alone says
	// when there are too many. Before that the default was 20 in a second, and 30 at once.
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	vendor := &http.Client{Timeout: vendorTimeout}
	options := ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: metricsAddress}}
	if tuned {
		options.Controller.MaxConcurrentReconciles = tunedWorkers
		options.Cache.DefaultTransform = cache.TransformStripManagedFields()
		// By default two idle connections are kept for each host, and other workers would open one for every call.
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = tunedWorkers
		vendor.Transport = transport
	}
	if consistent {
		// An experiment of controller-runtime since 0.25. It cures an old cache, but no crash.
		options.Client.Cache = &client.CacheOptions{EnableReadYourWritesConsistency: &consistent}
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return err
	}
	reconciler := &Reconciler{Client: mgr.GetClient(), HTTP: vendor}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}
