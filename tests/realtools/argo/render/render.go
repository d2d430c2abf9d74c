// Package render reads a folder of manifests as Argo CD's repository server does: as a kustomization if it is one, and else
// every file of it.
package render

import (
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Commit is what a folder has, and what stands for the hash of the commit.
type Commit struct {
	Revision string
	Objects  []*unstructured.Unstructured
}

// Folder reads it.
func Folder(folder string) (Commit, error) {
	text, err := text(folder)
	if err != nil {
		return Commit{}, err
	}
	objects, err := kube.SplitYAML(text)
	if err != nil {
		return Commit{}, err
	}
	return Commit{Revision: fmt.Sprintf("%x", sha1.Sum(text)), Objects: objects}, nil
}

func text(folder string) ([]byte, error) {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
			if err != nil {
				return nil, err
			}
			return rendered.AsYaml()
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var all strings.Builder
	for _, entry := range entries {
		if extension := filepath.Ext(entry.Name()); extension != ".yaml" && extension != ".yml" && extension != ".json" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		all.WriteString("---\n")
		all.Write(text)
		all.WriteString("\n")
	}
	return []byte(all.String()), nil
}
