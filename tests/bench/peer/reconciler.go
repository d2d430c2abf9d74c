package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"keysmith.dev/peer/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

const (
	finalizer = "peer.keysmith.dev/key"
	// pollInterval is how often the vendor is asked whether a key is still as it should be.
	pollInterval = time.Hour
)

// Reconciler makes a key at the vendor for each GatewayApiKey and puts it into a Secret.
//
// The client is the manager's: it reads everything from a cache that watches make, every Secret of the cluster included, and it
// may be older than the last write of this program.
type Reconciler struct {
	client.Client
	HTTP *http.Client
}

// SetupWithManager watches the keys, and the Secrets that they own.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).For(&api.GatewayApiKey{}).Owns(&corev1.Secret{}).Complete(r)
}

// Reconcile brings one key into the state that its resource asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	key := &api.GatewayApiKey{}
	if err := r.Get(ctx, req.NamespacedName, key); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !key.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.finalize(ctx, key)
	}
	if controllerutil.AddFinalizer(key, finalizer) {
		if err := r.Update(ctx, key); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.ensure(ctx, key); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: pollInterval}, nil
}

// finalize revokes the key, then lets the resource go. The Secret goes with its owner.
func (r *Reconciler) finalize(ctx context.Context, key *api.GatewayApiKey) error {
	if !controllerutil.ContainsFinalizer(key, finalizer) {
		return nil
	}
	if key.Status.ID != "" {
		account, err := r.account(ctx, key)
		if err != nil {
			return err
		}
		if err := account.Delete(ctx, key.Status.ID); err != nil && !isGone(err) {
			return err
		}
	}
	controllerutil.RemoveFinalizer(key, finalizer)
	return r.Update(ctx, key)
}

// ensure makes the key unless there is one, and otherwise asks the vendor about it.
func (r *Reconciler) ensure(ctx context.Context, key *api.GatewayApiKey) error {
	account, err := r.account(ctx, key)
	if err != nil {
		return err
	}
	err = r.Get(ctx, client.ObjectKeyFromObject(key), &corev1.Secret{})
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err != nil || key.Status.ID == "" {
		return r.create(ctx, key, account)
	}
	shown, err := account.Get(ctx, key.Status.ID)
	if isGone(err) {
		return r.create(ctx, key, account)
	}
	if err != nil {
		return err
	}
	if shown.Name != displayName(key) {
		if err := account.Rename(ctx, key.Status.ID, displayName(key)); err != nil {
			return err
		}
	}
	return r.report(ctx, key, key.Status.ID)
}

// create makes a key at the vendor, stores it, and writes down which one it is. If the program ends between two of these steps,
// or the cache does not have them yet when the resource's turn comes again, another key is made and the first is forgotten.
func (r *Reconciler) create(ctx context.Context, key *api.GatewayApiKey, account *Account) error {
	made, err := account.Create(ctx, displayName(key))
	if err != nil {
		return err
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace}}
	_, err = controllerutil.CreateOrUpdate(ctx, r.Client, secret, func() error {
		secret.Data = map[string][]byte{"key": []byte(made.Key)}
		return controllerutil.SetControllerReference(key, secret, r.Scheme())
	})
	if err != nil {
		return err
	}
	return r.report(ctx, key, made.ID)
}

// report writes the status, if it changed.
func (r *Reconciler) report(ctx context.Context, key *api.GatewayApiKey, id string) error {
	status := &key.Status
	ready := metav1.Condition{
		Type:               "Ready",
		Status:             metav1.ConditionTrue,
		Reason:             "Issued",
		Message:            "the key is in the Secret",
		ObservedGeneration: key.Generation,
	}
	changed := meta.SetStatusCondition(&status.Conditions, ready)
	if !changed && status.ID == id && status.ObservedGeneration == key.Generation {
		return nil
	}
	status.ID = id
	status.ObservedGeneration = key.Generation
	status.Binding = &api.LocalRef{Name: key.Name}
	return r.Status().Update(ctx, key)
}

// account finds out where the key is to be made, and with which token.
func (r *Reconciler) account(ctx context.Context, key *api.GatewayApiKey) (*Account, error) {
	token := &api.ConsoleToken{}
	name := client.ObjectKey{Namespace: key.Namespace, Name: key.Spec.ConsoleTokenRef.Name}
	if err := r.Get(ctx, name, token); err != nil {
		return nil, err
	}
	if token.Spec.Vendor.Edgee == nil || token.Spec.Endpoint == "" {
		return nil, fmt.Errorf("ConsoleToken %s: only Edgee is supported, with an endpoint", token.Name)
	}
	secret := &corev1.Secret{}
	ref := token.Spec.SecretRef
	if err := r.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: ref.Name}, secret); err != nil {
		return nil, err
	}
	value, found := secret.Data[ref.Key]
	if !found {
		return nil, fmt.Errorf("Secret %s has no entry %q", ref.Name, ref.Key)
	}
	return &Account{
		HTTP:         r.HTTP,
		Endpoint:     token.Spec.Endpoint,
		Organization: token.Spec.Vendor.Edgee.OrganizationID,
		Token:        string(value),
	}, nil
}

func displayName(key *api.GatewayApiKey) string {
	if key.Spec.DisplayName != "" {
		return key.Spec.DisplayName
	}
	return key.Name
}

func isGone(err error) bool {
	var refused *StatusError
	return errors.As(err, &refused) && refused.Code == http.StatusNotFound
}
