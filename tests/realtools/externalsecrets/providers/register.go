// Package register takes the place of external-secrets' package of the same name, which its controllers import and which
// has the clients of every cloud.
package register

import (
	_ "github.com/external-secrets/external-secrets/pkg/provider/fake"
	_ "github.com/external-secrets/external-secrets/pkg/provider/kubernetes"
)
