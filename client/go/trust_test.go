package tlsagent

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	v1 "tlsagent/internal/tlsagentv1"
)

// Without RootCAs and ClientCAs the daemon's system store counts, which SSL_CERT_FILE of its environment names.
func TestTheSystemStoreIsTheDaemons(t *testing.T) {
	root, _, _ := files(t, goodLeaf)
	t.Setenv("SSL_CERT_FILE", root)
	_, agent := ownDaemon(t)
	t.Setenv("SSL_CERT_FILE", "/nowhere")
	client, server := &Config{Agent: agent, ServerName: "localhost", Certificates: pairsOf(goodLeaf)}, serverConfig()
	server.Agent, server.ClientAuth = agent, tls.RequireAndVerifyClientCert
	near, far := tcpPair(t)
	greetBoth(t, Client(near, client), Server(far, server))
	if err := refuse(t, client, with(theirs.leaf(nil))); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("%v", err)
	}
}

// A nil Config is one that trusts the system store; it needs a name, as every client's.
func TestANilConfigIsAClients(t *testing.T) {
	near, _ := tcpPair(t)
	if err := Client(near, nil).Handshake(); err != errNoServerName {
		t.Errorf("%v", err)
	}
	if _, err := Listen("tcp", "127.0.0.1:0", nil); err == nil || !strings.Contains(err.Error(), "needs a certificate") {
		t.Errorf("%v", err)
	}
}

func encrypted(t *testing.T, key []byte, password string) []byte {
	t.Helper()
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", key, []byte(password), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func TestAPasswordOpensAKey(t *testing.T) {
	der, err := x509.MarshalECPrivateKey(keyOf(goodLeaf))
	if err != nil {
		t.Fatal(err)
	}
	pair := Certificate{Chain: pairsOf(goodLeaf)[0].Chain, Key: encrypted(t, der, "a secret"), Password: []byte("a secret")}
	near, far := tcpPair(t)
	greetBoth(t, Client(near, clientConfig()), Server(far, &Config{Certificates: []Certificate{pair}}))
	for _, password := range [][]byte{nil, []byte("another")} {
		pair.Password = password
		_, err := Listen("tcp", "127.0.0.1:0", &Config{Certificates: []Certificate{pair}})
		if err == nil || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "another") {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestAKeyMayStandBesideItsChain(t *testing.T) {
	pair := pairsOf(goodLeaf)[0]
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pair.Key}), pair.Chain...)
	near, far := tcpPair(t)
	greetBoth(t, Client(near, clientConfig()), Server(far, &Config{Certificates: []Certificate{{Chain: both}}}))
}

// An opaque key signs, and can't be handed over.
type opaqueKey struct{ crypto.Signer }

func TestAKeyThatHidesIsRefused(t *testing.T) {
	leaf := goodLeaf
	leaf.PrivateKey = opaqueKey{keyOf(goodLeaf)}
	if _, err := FromTLS(leaf); err == nil || !strings.Contains(err.Error(), "can't be handed over") {
		t.Errorf("%v", err)
	}
}

// Decisions of a context that somebody else has made are somebody else's to make.
func TestAContextThatAsksIsRefused(t *testing.T) {
	link, err := Default().connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	request, err := serverConfig().request(roleServer)
	if err != nil {
		t.Fatal(err)
	}
	request.Name = "one that asks"
	request.Settings.Decisions = &v1.DecisionSettings{ServerName: true}
	if err := link.call(context.Background(), "ContextService.Create", request, &v1.CreateContextResponse{}); err != nil {
		t.Fatal(err)
	}
	defer link.call(context.Background(), "ContextService.Forget", &v1.ForgetContextRequest{Name: request.Name}, &v1.ForgetContextResponse{})
	near, far := tcpPair(t)
	server := Server(far, &Config{Context: request.Name})
	_, err = both(func() error { defer near.Close(); return tls.Client(near, stock()).Handshake() }, func() error {
		defer server.Close()
		return server.Handshake()
	})
	if err == nil || !strings.Contains(err.Error(), "asks for decisions") {
		t.Errorf("%v", err)
	}
}

func TestAHostIsVerifiedOnlyIfThePeerWas(t *testing.T) {
	near, far := tcpPair(t)
	client, server := Client(near, &Config{InsecureSkipVerify: true}), Server(far, serverConfig())
	for _, conn := range []*Conn{client, server} {
		if err := conn.VerifyHostname("localhost"); err == nil {
			t.Error("before the handshake it was verified")
		}
	}
	greetBoth(t, client, server)
	for _, conn := range []*Conn{client, server} {
		if err := conn.VerifyHostname("localhost"); err == nil {
			t.Error("it was verified")
		}
	}
}
