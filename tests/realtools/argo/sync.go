package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	synccommon "github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
	"github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"keysmith.dev/realtools/argo/render"
)

// tick is how often the Application is looked at.
const tick = 200 * time.Millisecond

// wanted is what the flags of `sync` say.
type wanted struct {
	folder, namespace, app, healthDir          string
	prune, selfHeal, allowEmpty, confirm, logs bool
	options                                    string
	retries                                    int64
	timeout, watch                             time.Duration
}

// syncOnce makes an Application of the folder, or changes the one of that name, and says what becomes of it.
func syncOnce(ctx context.Context, arguments []string) (bool, error) {
	a := argoCD{namespace: "argocd", server: newRepositoryServer()}
	var w wanted
	set := flag.NewFlagSet("argo sync", flag.ExitOnError)
	a.flags(set)
	set.StringVar(&w.folder, "folder", "", "manifests, or a kustomization")
	set.StringVar(&w.namespace, "namespace", "default", "where what has no namespace goes")
	set.StringVar(&w.app, "app", "argosync", "name of the Application; what left the folder is known by it in the next run")
	set.StringVar(&w.healthDir, "health-dir", "", "GROUP/KIND/health.lua, put into the ConfigMap argocd-cm")
	set.BoolVar(&w.prune, "prune", false, "automated.prune")
	set.BoolVar(&w.selfHeal, "self-heal", false, "automated.selfHeal")
	set.BoolVar(&w.allowEmpty, "allow-empty", false, "automated.allowEmpty: prune even if nothing is left")
	set.BoolVar(&w.confirm, "confirm-prune", false, "what asks before it is pruned is told yes")
	set.StringVar(&w.options, "sync-options", "ServerSideApply=true,PruneLast=true", "syncOptions")
	set.Int64Var(&w.retries, "retries", 5, "retry.limit: how often a failed sync is tried again; 5 is Argo CD's own")
	set.DurationVar(&w.timeout, "timeout", 5*time.Minute, "give up after so long")
	set.DurationVar(&w.watch, "watch", 0, "go on for so long, whatever happens; the exit status is that of the end")
	set.BoolVar(&w.logs, "logs", false, "Argo CD's log, on standard error")
	_ = set.Parse(arguments)
	if w.folder == "" {
		return false, errors.New("-folder is needed")
	}
	if !w.logs {
		logrus.SetOutput(io.Discard)
		// The engine makes a logger of its own.
		os.Setenv(common.EnvLogLevel, "error")
		klog.SetOutput(io.Discard)
		klog.LogToStderr(false)
	}
	a.server.only = w.folder
	out := &report{started: time.Now(), shown: map[string]line{}}
	if err := a.start(ctx); err != nil {
		return false, err
	}
	if err := a.writeHealth(ctx, w.healthDir); err != nil {
		return false, err
	}
	if err := a.apply(ctx, w); err != nil {
		return false, err
	}
	return a.follow(ctx, w, out)
}

// writeHealth puts health.lua of every kind where Argo CD reads them.
func (a *argoCD) writeHealth(ctx context.Context, folder string) error {
	if folder == "" {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(folder, "*", "*", "health.lua"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("no GROUP/KIND/health.lua in %s", folder)
	}
	maps := a.kube.CoreV1().ConfigMaps(a.namespace)
	config, err := maps.Get(ctx, common.ArgoCDConfigMapName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if config.Data == nil {
		config.Data = map[string]string{}
	}
	for _, path := range found {
		script, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		kind := filepath.Dir(path)
		config.Data["resource.customizations.health."+filepath.Base(filepath.Dir(kind))+"_"+filepath.Base(kind)] = string(script)
	}
	_, err = maps.Update(ctx, config, metav1.UpdateOptions{})
	return err
}

// apply makes the Application what the flags say.
func (a *argoCD) apply(ctx context.Context, w wanted) error {
	spec := v1alpha1.ApplicationSpec{
		Project:     "default",
		Source:      &v1alpha1.ApplicationSource{RepoURL: "https://git.example.com/" + w.app + ".git", TargetRevision: "main", Path: "."},
		Destination: v1alpha1.ApplicationDestination{Server: v1alpha1.KubernetesInternalAPIServerAddr, Namespace: w.namespace},
		SyncPolicy: &v1alpha1.SyncPolicy{
			Automated: &v1alpha1.SyncPolicyAutomated{Prune: &w.prune, SelfHeal: &w.selfHeal, AllowEmpty: &w.allowEmpty},
			Retry:     &v1alpha1.RetryStrategy{Limit: w.retries},
		},
	}
	for _, option := range strings.Split(w.options, ",") {
		if option != "" {
			spec.SyncPolicy.SyncOptions = append(spec.SyncPolicy.SyncOptions, option)
		}
	}
	annotations := map[string]string{v1alpha1.AnnotationKeyRefresh: string(v1alpha1.RefreshTypeNormal)}
	if w.confirm {
		// It counts for syncs that begin before that time.
		annotations[synccommon.AnnotationDeletionApproved] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	}
	apps := a.apps.ArgoprojV1alpha1().Applications(a.namespace)
	_, err := apps.Create(ctx, &v1alpha1.Application{
		ObjectMeta: metav1.ObjectMeta{Name: w.app, Annotations: annotations}, Spec: spec,
	}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	there, err := apps.Get(ctx, w.app, metav1.GetOptions{})
	if err != nil {
		return err
	}
	there.Spec, there.Annotations = spec, annotations
	_, err = apps.Update(ctx, there, metav1.UpdateOptions{})
	return err
}

// follow writes what changes until it is decided. It says whether all is synced and healthy then.
func (a *argoCD) follow(ctx context.Context, w wanted, out *report) (bool, error) {
	limit := w.timeout
	if w.watch > 0 {
		limit = w.watch
	}
	deadline := time.After(limit)
	apps := a.apps.ArgoprojV1alpha1().Applications(a.namespace)
	for {
		app, err := apps.Get(ctx, w.app, metav1.GetOptions{})
		if err != nil && ctx.Err() == nil {
			return false, err
		}
		if err == nil {
			out.show(app)
		}
		good, failed := decided(app, w.folder, out.started)
		result := ""
		select {
		case <-ctx.Done():
			result = "Stopped"
		case <-deadline:
			result = "TimedOut"
			if w.watch > 0 {
				result = "Watched"
			}
		case <-time.After(tick):
			switch {
			case w.watch > 0:
			case good:
				result = "Succeeded"
			case failed:
				result = "Failed"
			}
		}
		if result != "" {
			out.end(app, result)
			return good, nil
		}
	}
}

// decided is whether the newest commit is synced and healthy, or will not be tried any more.
func decided(app *v1alpha1.Application, folder string, since time.Time) (good, failed bool) {
	commit, err := render.Folder(folder)
	// What an earlier run left says nothing.
	if err != nil || app == nil || app.Status.ReconciledAt == nil || app.Status.ReconciledAt.Time.Before(since.Truncate(time.Second)) ||
		app.Status.Sync.Revision != commit.Revision || app.Operation != nil {
		return false, false
	}
	state := app.Status.OperationState
	if state != nil && !state.Phase.Completed() {
		return false, false
	}
	for _, condition := range app.Status.Conditions {
		failed = failed || condition.IsError()
	}
	if state != nil && state.SyncResult != nil && state.SyncResult.Revision == commit.Revision {
		failed = failed || !state.Phase.Successful()
	}
	good = app.Status.Sync.Status == v1alpha1.SyncStatusCodeSynced && app.Status.Health.Status == health.HealthStatusHealthy
	return good && !failed, failed
}

// line is a change. Kind is Application for the whole; Result is there in the last line only.
type line struct {
	Seconds   float64 `json:"seconds"`
	Kind      string  `json:"kind"`
	Namespace string  `json:"namespace,omitempty"`
	Name      string  `json:"name"`
	Result    string  `json:"result,omitempty"`
	Revision  string  `json:"revision,omitempty"`

	Sync          v1alpha1.SyncStatusCode `json:"sync,omitempty"`
	Health        health.HealthStatusCode `json:"health,omitempty"`
	HealthMessage string                  `json:"healthMessage,omitempty"`
	// Phase and Message are of the sync that runs or ran last, Applied is what it did to the resource.
	Phase   synccommon.OperationPhase `json:"phase,omitempty"`
	Message string                    `json:"message,omitempty"`
	Applied synccommon.ResultCode     `json:"applied,omitempty"`
	Retries int64                     `json:"retries,omitempty"`
	// Conditions are the Application's, as TYPE: MESSAGE.
	Conditions []string `json:"conditions,omitempty"`
	Gone       bool     `json:"gone,omitempty"`
}

type report struct {
	started time.Time
	shown   map[string]line
}

// show writes what is different from the last time.
func (r *report) show(app *v1alpha1.Application) {
	now := map[string]line{}
	var order []string
	change := func(kind, namespace, name string, edit func(*line)) {
		key := kind + "/" + namespace + "/" + name
		one, there := now[key]
		if !there {
			one = line{Kind: kind, Namespace: namespace, Name: name}
			order = append(order, key)
		}
		edit(&one)
		now[key] = one
	}
	for _, resource := range app.Status.Resources {
		change(resource.Kind, resource.Namespace, resource.Name, func(it *line) {
			it.Sync = resource.Status
			if resource.Health != nil {
				it.Health, it.HealthMessage = resource.Health.Status, resource.Health.Message
			}
		})
	}
	state := app.Status.OperationState
	if state != nil && state.SyncResult != nil {
		for _, resource := range state.SyncResult.Resources {
			change(resource.Kind, resource.Namespace, resource.Name, func(it *line) {
				it.Phase, it.Applied, it.Message = resource.HookPhase, resource.Status, resource.Message
			})
		}
	}
	change("Application", "", app.Name, func(it *line) { *it = whole(app) })
	for _, key := range order {
		if !reflect.DeepEqual(r.shown[key], now[key]) {
			r.write(now[key])
		}
	}
	for key, before := range r.shown {
		if _, still := now[key]; !still {
			r.write(line{Kind: before.Kind, Namespace: before.Namespace, Name: before.Name, Gone: true})
		}
	}
	r.shown = now
}

func whole(app *v1alpha1.Application) line {
	it := line{
		Kind: "Application", Name: app.Name, Revision: app.Status.Sync.Revision,
		Sync: app.Status.Sync.Status, Health: app.Status.Health.Status,
	}
	if state := app.Status.OperationState; state != nil {
		it.Phase, it.Message, it.Retries = state.Phase, state.Message, state.RetryCount
	}
	for _, condition := range app.Status.Conditions {
		it.Conditions = append(it.Conditions, condition.Type+": "+condition.Message)
	}
	return it
}

// end writes the result.
func (r *report) end(app *v1alpha1.Application, result string) {
	last := line{Kind: "Application"}
	if app != nil {
		last = whole(app)
	}
	last.Result = result
	r.write(last)
}

func (r *report) write(it line) {
	it.Seconds = float64(time.Since(r.started).Milliseconds()) / 1000
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	// Nobody reads it any more: there is nothing to tell that to.
	_ = out.Encode(it)
}
