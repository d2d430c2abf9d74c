package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// validity is longer than any test cluster lives.
const validity = 365 * 24 * time.Hour

// credentials are what the components identify themselves with. The keys of
// the authorities are not among them: they are forgotten once they have signed.
type credentials struct {
	dir string
	// admin is for the user of the cluster.
	admin identity
	// controllers is for the controller manager. It may do everything as well,
	// but goes by a name of its own in the audit log.
	controllers identity
}

func (c *credentials) file(name string) string { return filepath.Join(c.dir, name) }

// identity is a client certificate, and the authority of the server it is for.
type identity struct {
	name          string
	ca, cert, key []byte
}

// writeCredentials makes three separate authorities, because a certificate
// from one of them must not open the doors of the others: one for clients and
// the API server, one for etcd, one for the front proxy.
func writeCredentials(dir string) (*credentials, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &credentials{dir: dir}
	for _, write := range []func() error{c.writeCluster, c.writeEtcd, c.writeFrontProxy, c.writeServiceAccount} {
		if err := write(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *credentials) writeCluster() error {
	ca, err := newAuthority("kubernetes")
	if err != nil {
		return err
	}
	if c.admin, err = ca.identity("kubernetes-admin", "system:masters"); err != nil {
		return err
	}
	if c.controllers, err = ca.identity("system:kube-controller-manager", "system:masters"); err != nil {
		return err
	}
	return c.writePair(ca, "ca", "apiserver", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local",
		},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 1)},
	})
}

// writeEtcd makes one certificate for both ends, etcd and its only client.
func (c *credentials) writeEtcd() error {
	ca, err := newAuthority("etcd")
	if err != nil {
		return err
	}
	return c.writePair(ca, "etcd-ca", "etcd", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "etcd"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
}

func (c *credentials) writeFrontProxy() error {
	ca, err := newAuthority("front-proxy")
	if err != nil {
		return err
	}
	return c.writePair(ca, "front-proxy-ca", "front-proxy-client", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "front-proxy-client"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// writeServiceAccount makes the key pair that signs and checks tokens.
func (c *credentials) writeServiceAccount() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	private, err := encodeKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.file("sa.key"), private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.file("sa.pub"), encode("PUBLIC KEY", public), 0o600)
}

func (c *credentials) writePair(ca *authority, caName, name string, template *x509.Certificate) error {
	cert, key, err := ca.issue(template)
	if err != nil {
		return fmt.Errorf("issuing %s: %w", name, err)
	}
	for file, content := range map[string][]byte{caName + ".crt": ca.pem(), name + ".crt": cert, name + ".key": key} {
		if err := os.WriteFile(c.file(file), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfig writes a file that only its owner can read. It is renamed
// into place, so that a waiting process cannot see half of it.
func (i identity) writeKubeconfig(path, serverURL string) error {
	config := api.NewConfig()
	config.Clusters["keysmith"] = &api.Cluster{Server: serverURL, CertificateAuthorityData: i.ca}
	config.AuthInfos[i.name] = &api.AuthInfo{ClientCertificateData: i.cert, ClientKeyData: i.key}
	config.Contexts["keysmith"] = &api.Context{Cluster: "keysmith", AuthInfo: i.name}
	config.CurrentContext = "keysmith"
	content, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert: cert, key: key}, err
}

func (a *authority) pem() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// issue signs the template. The backdating allows for a clock that is set
// while the cluster starts.
func (a *authority) issue(template *x509.Certificate) (cert, key []byte, err error) {
	private, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = a.cert.NotBefore, a.cert.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = encodeKey(private)
	return encode("CERTIFICATE", der), key, err
}

func (a *authority) identity(user, group string) (identity, error) {
	cert, key, err := a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: []string{group}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return identity{}, fmt.Errorf("issuing %s: %w", user, err)
	}
	return identity{name: user, ca: a.pem(), cert: cert, key: key}, nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encode("EC PRIVATE KEY", der), err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
