// Package api has the resources that the peer reads and writes, with those of their fields that it needs. After a change:
// controller-gen object paths=./api
//
// +kubebuilder:object:generate=true
package api

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is that of all resources here.
var GroupVersion = schema.GroupVersion{Group: "keysmith.dev", Version: "v1alpha1"}

// AddToScheme makes the resources known to clients.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &GatewayApiKey{}, &GatewayApiKeyList{}, &ConsoleToken{}, &ConsoleTokenList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}

// GatewayApiKey has the fields that the peer reads and writes. An update writes the whole object, so a resource with other
// fields would lose them.
//
// +kubebuilder:object:root=true
type GatewayApiKey struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   GatewayApiKeySpec   `json:"spec"`
	Status GatewayApiKeyStatus `json:"status,omitempty"`
}

type GatewayApiKeySpec struct {
	ConsoleTokenRef LocalRef `json:"consoleTokenRef"`
	// DisplayName is the name at the vendor; the resource's name if it is empty.
	DisplayName string `json:"displayName,omitempty"`
}

type GatewayApiKeyStatus struct {
	// ID is the vendor's.
	ID                 string             `json:"id,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Binding            *LocalRef          `json:"binding,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true
type GatewayApiKeyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []GatewayApiKey `json:"items"`
}

// ConsoleToken is only read, and only tokens of Edgee are understood.
//
// +kubebuilder:object:root=true
type ConsoleToken struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ConsoleTokenSpec `json:"spec"`
}

type ConsoleTokenSpec struct {
	Vendor    Vendor       `json:"vendor"`
	Endpoint  string       `json:"endpoint,omitempty"`
	SecretRef SecretKeyRef `json:"secretRef,omitempty"`
}

type Vendor struct {
	Edgee *EdgeeVendor `json:"edgee,omitempty"`
}

type EdgeeVendor struct {
	OrganizationID string `json:"organizationId"`
}

// +kubebuilder:object:root=true
type ConsoleTokenList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ConsoleToken `json:"items"`
}

// LocalRef names an object of the same namespace.
type LocalRef struct {
	Name string `json:"name"`
}

// SecretKeyRef names an entry of a Secret.
type SecretKeyRef struct {
	Name string `json:"name"`
	Key  string `json:"key,omitempty"`
}
