package tlsagent

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// A Certificate is a chain with its private key, as bytes. They go to the daemon once for each Config, which checks
// that they belong together, and never come back. To keep the key out of this process too, see Config.Context.
type Certificate struct {
	// Chain is PEM or DER: the own certificate first, then the intermediates.
	Chain []byte
	// Key is PEM or DER, PKCS #8 or traditional. Nil: it is among the PEM of Chain.
	Key []byte
	// Password opens an encrypted Key.
	Password []byte
}

// X509KeyPair makes a Certificate from PEM or DER. Unlike its namesake it looks at nothing yet: the daemon will.
func X509KeyPair(chain, key []byte) (Certificate, error) {
	if len(chain) == 0 || len(key) == 0 {
		return Certificate{}, errors.New("tlsagent: a certificate needs a chain and a key, and one of them is empty")
	}
	return Certificate{Chain: chain, Key: key}, nil
}

// LoadX509KeyPair makes a Certificate from files, as X509KeyPair does.
func LoadX509KeyPair(chainFile, keyFile string) (Certificate, error) {
	chain, err := os.ReadFile(chainFile)
	if err != nil {
		return Certificate{}, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return Certificate{}, err
	}
	return X509KeyPair(chain, key)
}

// FromTLS makes a Certificate from one of crypto/tls, whose key must be a key and not a crypto.Signer that hides one.
func FromTLS(from tls.Certificate) (Certificate, error) {
	key, err := x509.MarshalPKCS8PrivateKey(from.PrivateKey)
	if err != nil {
		return Certificate{}, fmt.Errorf("tlsagent: this private key can't be handed over: %w", err)
	}
	var chain []byte
	for _, der := range from.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return X509KeyPair(chain, key)
}

// A CertPool is a set of CA certificates. It isn't an x509.CertPool because that doesn't give its certificates out
// again, and the daemon needs them. The zero CertPool is empty and ready to use.
type CertPool struct {
	files [][]byte
}

// NewCertPool returns an empty CertPool.
func NewCertPool() *CertPool {
	return &CertPool{}
}

// AddCert adds a certificate to the pool.
func (p *CertPool) AddCert(certificate *x509.Certificate) {
	p.files = append(p.files, certificate.Raw)
}

// AppendCertsFromPEM adds what is in a PEM file and reports whether there is a certificate in it.
func (p *CertPool) AppendCertsFromPEM(file []byte) bool {
	for rest := file; ; {
		block, after := pem.Decode(rest)
		if block == nil {
			return false
		}
		if block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" {
			break
		}
		rest = after
	}
	p.files = append(p.files, append([]byte(nil), file...))
	return true
}

// AddFile adds the certificates of a PEM file.
func (p *CertPool) AddFile(path string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !p.AppendCertsFromPEM(file) {
		return fmt.Errorf("tlsagent: %s: there is no certificate in it", path)
	}
	return nil
}

// Clone returns a copy of the pool.
func (p *CertPool) Clone() *CertPool {
	return &CertPool{files: append([][]byte(nil), p.files...)}
}
