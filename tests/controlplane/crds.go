package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// fieldManager is also what the cluster script applies with, so that applying
// the same folder again is not a conflict.
const fieldManager = "keysmith-cluster"

var crdResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// installCRDs has to be done before the controllers start: the garbage
// collector looks for new resources every 30 seconds only, and until then does
// not collect what belongs to them.
func (p *plane) installCRDs(ctx context.Context, config *rest.Config, client kubernetes.Interface) error {
	if p.crds == "" {
		return nil
	}
	crds, err := readCRDs(p.crds)
	if err != nil {
		return err
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	api := dyn.Resource(crdResource)
	for _, crd := range crds {
		options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
		if _, err := api.Apply(ctx, crd.GetName(), crd, options); err != nil {
			return fmt.Errorf("applying %s: %w", crd.GetName(), err)
		}
	}
	for _, crd := range crds {
		if err := waitServed(ctx, api, client.Discovery(), crd.GetName()); err != nil {
			return fmt.Errorf("waiting for %s: %w", crd.GetName(), err)
		}
		if err := waitListed(ctx, dyn, crd); err != nil {
			return fmt.Errorf("waiting for lists of %s: %w", crd.GetName(), err)
		}
	}
	return nil
}

func readCRDs(dir string) ([]*unstructured.Unstructured, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing the folder: %w", err)
	}
	var crds []*unstructured.Unstructured
	for _, entry := range entries {
		if entry.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(entry.Name())) {
			continue
		}
		found, err := readFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", entry.Name(), err)
		}
		crds = append(crds, found...)
	}
	return crds, nil
}

func readFile(path string) ([]*unstructured.Unstructured, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var crds []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(file))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return crds, nil
		}
		if err != nil {
			return nil, err
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &crd.Object); err != nil {
			return nil, err
		}
		switch {
		case len(crd.Object) == 0: // An empty document, or one of comments only.
		case crd.GetKind() != "CustomResourceDefinition":
			return nil, fmt.Errorf("%s %q is not a CustomResourceDefinition", crd.GetKind(), crd.GetName())
		default:
			crds = append(crds, crd)
		}
	}
}

// waitServed waits until the definition is Established and the server lists
// the resource where the garbage collector is going to look for it, which
// happens a moment later.
func waitServed(ctx context.Context, api dynamic.ResourceInterface, disco discovery.DiscoveryInterface, name string) error {
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		crd, err := api.Get(ctx, name, metav1.GetOptions{})
		return err == nil && established(crd), err
	})
	if err != nil {
		return err
	}
	return poll(ctx, func(context.Context) (bool, error) {
		// An error may come with a partial answer, and the next try is near.
		lists, _ := disco.ServerPreferredResources()
		return slices.ContainsFunc(lists, func(list *metav1.APIResourceList) bool {
			return contains(list, name)
		}), nil
	})
}

// waitListed waits until objects of the kind can be listed in every version
// that is served. The storage of a new kind is set up by the first request for
// it, and until its cache is filled the server answers 429.
func waitListed(ctx context.Context, dyn dynamic.Interface, crd *unstructured.Unstructured) error {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		version, ok := v.(map[string]any)
		if !ok || version["served"] != true {
			continue
		}
		name, _, _ := unstructured.NestedString(version, "name")
		resource := schema.GroupVersionResource{Group: group, Version: name, Resource: plural}
		err := poll(ctx, func(ctx context.Context) (bool, error) {
			// A read at version 0 is answered from the cache, which is what is waited for.
			_, err := dyn.Resource(resource).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			return err == nil, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		condition, ok := c.(map[string]any)
		return ok && condition["type"] == "Established" && condition["status"] == "True"
	})
}

// contains looks for a resource by the name of its definition, PLURAL.GROUP.
func contains(list *metav1.APIResourceList, name string) bool {
	group, _, _ := strings.Cut(list.GroupVersion, "/")
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool {
		return r.Name+"."+group == name
	})
}
