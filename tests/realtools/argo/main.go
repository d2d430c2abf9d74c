// argo is Argo CD's application controller, with folders in place of the repository server and memory in place of Redis. So it
// takes Applications as they are applied anywhere: automated sync, retries, self-healing, pruning, conditions, finalizers and
// the ConfigMap argocd-cm are Argo CD's own.
//
// `controller` runs until it is stopped. There an Application's repository is the folder below -repositories that its URL ends with, and a change of that folder is a
// commit of whatever targetRevision says. `sync` makes one Application of one folder, and ends when that is decided.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/controller"
	"github.com/argoproj/argo-cd/v3/controller/sharding"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/pkg/client/clientset/versioned"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/util/argo"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	cacheutil "github.com/argoproj/argo-cd/v3/util/cache"
	"github.com/argoproj/argo-cd/v3/util/cache/appstate"
	utilio "github.com/argoproj/argo-cd/v3/util/io"
	kubeutil "github.com/argoproj/argo-cd/v3/util/kube"
	"github.com/argoproj/argo-cd/v3/util/settings"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"keysmith.dev/realtools/argo/render"
)

// usage is of both commands.
const usage = `argo controller -repositories FOLDER [-kubeconfig FILE] [-namespace argocd] [-app-resync 3s] [-metrics-port PORT]
argo sync -folder FOLDER -namespace NAMESPACE [-kubeconfig FILE] [...]: -help has the others
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	commands := map[string]func(context.Context, []string) (bool, error){"controller": serve, "sync": syncOnce}
	var command func(context.Context, []string) (bool, error)
	if len(os.Args) > 1 {
		command = commands[os.Args[1]]
	}
	if command == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	good, err := command(ctx, os.Args[2:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "argo %s: %v\n", os.Args[1], err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// argoCD is what both commands run.
type argoCD struct {
	kubeconfig, namespace string
	resync                time.Duration
	metrics               int
	server                *repositoryServer
	kube                  kubernetes.Interface
	apps                  versioned.Interface
}

func (a *argoCD) flags(set *flag.FlagSet) {
	set.StringVar(&a.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "the cluster, which is https://kubernetes.default.svc to Applications as well")
	set.DurationVar(&a.resync, "app-resync", 3*time.Second, "how often a repository is looked at; Argo CD's own is 2m")
	set.IntVar(&a.metrics, "metrics-port", 0, "port of /metrics and /healthz; 0 is a free one")
}

func serve(ctx context.Context, arguments []string) (bool, error) {
	a := argoCD{server: newRepositoryServer()}
	set := flag.NewFlagSet("argo controller", flag.ExitOnError)
	a.flags(set)
	set.StringVar(&a.namespace, "namespace", "argocd", "where the Applications are")
	set.StringVar(&a.server.folder, "repositories", "", "folder of the repositories")
	_ = set.Parse(arguments)
	if a.server.folder == "" {
		return false, errors.New("-repositories is needed")
	}
	if err := a.start(ctx); err != nil {
		return false, err
	}
	<-ctx.Done()
	return true, nil
}

// start has the controller run until the context ends.
func (a *argoCD) start(ctx context.Context) error {
	if a.kubeconfig == "" {
		return errors.New("-kubeconfig is needed")
	}
	// Or the cluster that it runs in is asked for.
	os.Setenv("KUBECONFIG", a.kubeconfig)
	os.Setenv(v1alpha1.EnvVarFakeInClusterConfig, "true")
	config, err := clientcmd.BuildConfigFromFlags("", a.kubeconfig)
	if err != nil {
		return err
	}
	if err := v1alpha1.SetK8SConfigDefaults(config); err != nil {
		return err
	}
	a.kube, a.apps = kubernetes.NewForConfigOrDie(config), versioned.NewForConfigOrDie(config)
	if err := install(ctx, a.kube, a.apps, a.namespace); err != nil {
		return err
	}
	var made *controller.ApplicationController
	manager := settings.NewSettingsManager(ctx, a.kube, a.namespace, settings.WithRepoOrClusterChangedHandler(func() {
		made.InvalidateProjectsCache()
	}))
	shards, err := sharding.GetClusterSharding(a.kube, manager, common.DefaultShardingAlgorithm, false)
	if err != nil {
		return err
	}
	memory := appstate.NewCache(cacheutil.NewCache(cacheutil.NewInMemoryCache(time.Hour)), time.Minute)
	// Where nothing else is said, what Argo CD's own command has.
	made, err = controller.NewApplicationController(a.namespace, manager, a.kube, a.apps, a.server, nil, memory, kubeutil.NewKubectl(),
		a.resync, 0, 0, 0, &wait.Backoff{Duration: 2 * time.Second, Factor: 3, Cap: 5 * time.Minute}, 0, 0,
		a.metrics, 0, nil, nil, nil, 20, true, shards, nil, nil, false, false, normalizers.IgnoreNormalizerOpts{}, []string{"all"}, false)
	if err != nil {
		return err
	}
	go made.Run(ctx, 4, 4, 1)
	return nil
}

// install makes what Argo CD's manifests bring besides CRDs and programs, where it is missing: argocd-cm with the tests' own
// content may be there already.
func install(ctx context.Context, kube kubernetes.Interface, apps versioned.Interface, namespace string) error {
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/part-of": "argocd"}}
	}
	there := func(err error) error {
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	create := metav1.CreateOptions{}
	_, err := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, create)
	if there(err) != nil {
		return err
	}
	for _, name := range []string{common.ArgoCDConfigMapName, common.ArgoCDRBACConfigMapName} {
		_, err = kube.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: named(name)}, create)
		if there(err) != nil {
			return err
		}
	}
	secret := &corev1.Secret{ObjectMeta: named(common.ArgoCDSecretName), StringData: map[string]string{"server.secretkey": "fake-key-of-a-test"}}
	if _, err = kube.CoreV1().Secrets(namespace).Create(ctx, secret, create); there(err) != nil {
		return err
	}
	project := &v1alpha1.AppProject{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.AppProjectSpec{
			SourceRepos:              []string{"*"},
			Destinations:             []v1alpha1.ApplicationDestination{{Server: "*", Namespace: "*"}},
			ClusterResourceWhitelist: []v1alpha1.ClusterResourceRestrictionItem{{Group: "*", Kind: "*"}},
		},
	}
	_, err = apps.ArgoprojV1alpha1().AppProjects(namespace).Create(ctx, project, create)
	return there(err)
}

// repositoryServer answers for Argo CD's. Of its calls, the controller makes these.
type repositoryServer struct {
	apiclient.RepoServerServiceClient
	// folder has the repositories, unless there is only one.
	folder, only string

	lock    sync.Mutex
	commits map[string]render.Commit
}

func newRepositoryServer() *repositoryServer {
	return &repositoryServer{commits: map[string]render.Commit{}}
}

func (s *repositoryServer) NewRepoServerClient() (utilio.Closer, apiclient.RepoServerServiceClient, error) {
	return utilio.NopCloser, s, nil
}

// commit is the one of that revision, or the newest. A sync that runs asks for the one that it began with.
func (s *repositoryServer) commit(repository, path, revision string) (render.Commit, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	known := repository + " " + path + " "
	if commit, there := s.commits[known+revision]; there {
		return commit, nil
	}
	name := strings.TrimSuffix(filepath.Base(repository), ".git")
	folder := s.only
	if folder == "" {
		folder = filepath.Join(s.folder, name, path)
	}
	commit, err := render.Folder(folder)
	if err == nil {
		s.commits[known+commit.Revision] = commit
	}
	return commit, err
}

func (s *repositoryServer) ResolveRevision(_ context.Context, asked *apiclient.ResolveRevisionRequest, _ ...grpc.CallOption) (*apiclient.ResolveRevisionResponse, error) {
	source := asked.App.Spec.GetSource()
	commit, err := s.commit(source.RepoURL, source.Path, asked.AmbiguousRevision)
	if err != nil {
		return nil, err
	}
	return &apiclient.ResolveRevisionResponse{Revision: commit.Revision, AmbiguousRevision: asked.AmbiguousRevision}, nil
}

func (s *repositoryServer) UpdateRevisionForPaths(_ context.Context, asked *apiclient.UpdateRevisionForPathsRequest, _ ...grpc.CallOption) (*apiclient.UpdateRevisionForPathsResponse, error) {
	return &apiclient.UpdateRevisionForPathsResponse{Changes: true, Revision: asked.Revision}, nil
}

func (s *repositoryServer) GenerateManifest(_ context.Context, asked *apiclient.ManifestRequest, _ ...grpc.CallOption) (*apiclient.ManifestResponse, error) {
	source := asked.ApplicationSource
	commit, err := s.commit(source.RepoURL, source.Path, asked.Revision)
	if err != nil {
		return nil, err
	}
	answer := &apiclient.ManifestResponse{
		Namespace: asked.Namespace, Revision: commit.Revision, SourceType: string(v1alpha1.ApplicationSourceTypeKustomize),
	}
	tracking := argo.NewResourceTracking()
	for _, object := range commit.Objects {
		object = object.DeepCopy()
		err := tracking.SetAppInstance(object, asked.AppLabelKey, asked.AppName, asked.Namespace,
			v1alpha1.TrackingMethod(asked.TrackingMethod), asked.InstallationID)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		answer.Manifests = append(answer.Manifests, string(text))
	}
	return answer, nil
}
