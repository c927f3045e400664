package tlsagent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An authority is a CA with certificates for tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// ours is the CA that the tests trust, theirs one that they don't.
var ours, theirs = newAuthority("ours"), newAuthority("theirs")

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

func newAuthority(name string) *authority {
	key := newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte(name)}
	return &authority{sign(template, template, key, key), key}
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	must(err)
	certificate, err := x509.ParseCertificate(der)
	must(err)
	return certificate
}

// leaf makes a certificate of localhost and 127.0.0.1, which change may change.
func (a *authority) leaf(change func(*x509.Certificate)) tls.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(template)
	}
	key := newKey()
	certificate := sign(template, a.certificate, key, a.key)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw, a.certificate.Raw}, PrivateKey: key}
}

func (a *authority) pool() *CertPool {
	pool := NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a *authority) x509Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func pairsOf(from tls.Certificate) []Certificate {
	pair, err := FromTLS(from)
	must(err)
	return []Certificate{pair}
}

func keyOf(leaf tls.Certificate) *ecdsa.PrivateKey { return leaf.PrivateKey.(*ecdsa.PrivateKey) }

var goodLeaf = ours.leaf(nil)

// Each of these is a new Config, so that a test may change it.
func clientConfig() *Config { return &Config{RootCAs: ours.pool(), ServerName: "localhost"} }
func serverConfig() *Config { return &Config{Certificates: pairsOf(goodLeaf)} }

// stock is crypto/tls's for both roles.
func stock() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{goodLeaf}, RootCAs: ours.x509Pool(), ClientCAs: ours.x509Pool(),
		ServerName: "localhost"}
}

// files writes root.pem, chain.pem and key.pem into a folder of the test's.
func files(t *testing.T, from tls.Certificate) (root, chain, key string) {
	t.Helper()
	folder := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pair := pairsOf(from)[0]
	rootPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.certificate.Raw})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pair.Key})
	return write("root.pem", rootPEM), write("chain.pem", pair.Chain), write("key.pem", keyPEM)
}
