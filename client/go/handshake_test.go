package tlsagent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// versions runs a test under TLS 1.2 and 1.3.
func versions(t *testing.T, test func(t *testing.T, version uint16)) {
	t.Run("TLS12", func(t *testing.T) { test(t, tls.VersionTLS12) })
	t.Run("TLS13", func(t *testing.T) { test(t, tls.VersionTLS13) })
}

// greet sends a word each way, which shakes hands first.
func greet(conn net.Conn) error {
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != "hello" {
		return errors.New("other bytes came: " + string(got))
	}
	return nil
}

func greetBoth(t *testing.T, client, server net.Conn) {
	t.Helper()
	t.Cleanup(func() { client.Close(); server.Close() })
	clientErr, serverErr := both(func() error { return greet(client) }, func() error { return greet(server) })
	if clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v, server: %v", clientErr, serverErr)
	}
}

func TestClientTellsWhatCryptoTLSTells(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		near, far := tcpPair(t)
		config, peer := clientConfig(), stock()
		config.MinVersion, config.MaxVersion = version, version
		config.NextProtos, peer.NextProtos = []string{"two", "one"}, []string{"one"}
		client, server := Client(near, config), tls.Server(far, peer)
		greetBoth(t, client, server)
		mine, other := client.ConnectionState(), server.ConnectionState()
		if !mine.HandshakeComplete || mine.Version != version || mine.CipherSuite != other.CipherSuite || mine.DidResume ||
			mine.NegotiatedProtocol != "one" || mine.ServerName != "localhost" {
			t.Errorf("%+v", mine)
		}
		if len(mine.PeerCertificates) != 2 || !bytes.Equal(mine.PeerCertificates[0].Raw, goodLeaf.Certificate[0]) {
			t.Errorf("the peer's chain has %d certificates", len(mine.PeerCertificates))
		}
		if len(mine.VerifiedChains) != 1 || !mine.VerifiedChains[0][1].Equal(ours.certificate) {
			t.Errorf("%d chains", len(mine.VerifiedChains))
		}
		if err := client.VerifyHostname("localhost"); err != nil {
			t.Error(err)
		}
		if err := client.VerifyHostname("example.org"); !errors.As(err, new(x509.HostnameError)) {
			t.Errorf("of another host: %v", err)
		}
	})
}

func TestServerTellsWhatCryptoTLSTells(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		near, far := tcpPair(t)
		config, peer := serverConfig(), stock()
		config.MinVersion, config.MaxVersion = version, version
		config.NextProtos, peer.NextProtos = []string{"one"}, []string{"two", "one"}
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, ours.pool()
		client, server := tls.Client(near, peer), Server(far, config)
		greetBoth(t, client, server)
		mine := server.ConnectionState()
		if mine.Version != version || mine.NegotiatedProtocol != "one" || mine.ServerName != "localhost" {
			t.Errorf("%+v", mine)
		}
		if len(mine.PeerCertificates) != 2 || len(mine.VerifiedChains) != 1 {
			t.Errorf("%d certificates, %d chains", len(mine.PeerCertificates), len(mine.VerifiedChains))
		}
		theirKey, err := stateOf(client).ExportKeyingMaterial("EXPORTER-test", []byte("context"), 32)
		if err != nil {
			t.Fatal(err)
		}
		ourKey, err := server.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 32)
		if err != nil || !bytes.Equal(ourKey, theirKey) {
			t.Errorf("another key: %v", err)
		}
	})
}

func stateOf(conn *tls.Conn) *tls.ConnectionState {
	state := conn.ConnectionState()
	return &state
}

// refuse shakes hands with crypto/tls's server and gives the client's error.
func refuse(t *testing.T, config *Config, peer *tls.Config) error {
	t.Helper()
	near, far := tcpPair(t)
	client := Client(near, config)
	defer client.Close()
	server := tls.Server(far, peer)
	err, _ := both(client.Handshake, server.Handshake)
	if err == nil {
		t.Fatal("the handshake was good")
	}
	if again := client.Handshake(); again != err {
		t.Errorf("the second time it was %v", again)
	}
	if _, again := client.Read(make([]byte, 1)); again != err {
		t.Errorf("Read said %v", again)
	}
	if _, again := client.Write([]byte("x")); again != err {
		t.Errorf("Write said %v", again)
	}
	return err
}

func with(leaf tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{leaf}}
}

func TestAnUnknownAuthorityIsRefused(t *testing.T) {
	err := refuse(t, clientConfig(), with(theirs.leaf(nil)))
	var unknown x509.UnknownAuthorityError
	var verification *CertificateVerificationError
	if !errors.As(err, &unknown) || !errors.As(err, &verification) || len(verification.UnverifiedCertificates) != 1 {
		t.Errorf("%T: %v", err, err)
	}
}

func TestAnotherHostIsRefused(t *testing.T) {
	for _, name := range []string{"example.org", "192.0.2.1"} {
		config := clientConfig()
		config.ServerName = name
		err := refuse(t, config, with(goodLeaf))
		var host x509.HostnameError
		if !errors.As(err, &host) || host.Host != name || !strings.Contains(err.Error(), name) {
			t.Errorf("%T: %v", err, err)
		}
	}
}

func TestAnExpiredCertificateIsRefused(t *testing.T) {
	leaf := ours.leaf(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	err := refuse(t, clientConfig(), with(leaf))
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("%T: %v", err, err)
	}
}

func TestACertificateForClientsIsRefused(t *testing.T) {
	leaf := ours.leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	err := refuse(t, clientConfig(), with(leaf))
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.IncompatibleUsage {
		t.Errorf("%T: %v", err, err)
	}
}

func TestAnAlertIsTold(t *testing.T) {
	config, peer := clientConfig(), stock()
	config.MaxVersion, peer.MinVersion = tls.VersionTLS12, tls.VersionTLS13
	err := refuse(t, config, peer)
	var alert AlertError
	if !errors.As(err, &alert) || alert != 70 {
		t.Errorf("%T: %v", err, err)
	}
}

func TestThePeerIsToldOfARefusal(t *testing.T) {
	near, far := tcpPair(t)
	config := clientConfig()
	config.MaxVersion = tls.VersionTLS12 // OpenSSL's alert in TLS 1.3 comes before the keys that crypto/tls reads by
	client, server := Client(near, config), tls.Server(far, with(theirs.leaf(nil)))
	defer client.Close()
	_, err := both(client.Handshake, server.Handshake)
	if err == nil || !strings.Contains(err.Error(), "unknown certificate authority") {
		t.Errorf("the server was told %v", err)
	}
}

func TestInsecureSkipVerifyTakesAnything(t *testing.T) {
	near, far := tcpPair(t)
	client := Client(near, &Config{InsecureSkipVerify: true})
	greetBoth(t, client, tls.Server(far, with(theirs.leaf(nil))))
	if state := client.ConnectionState(); state.VerifiedChains != nil || len(state.PeerCertificates) != 2 {
		t.Errorf("%d chains, %d certificates", len(state.VerifiedChains), len(state.PeerCertificates))
	}
}

func TestAServerRefusesAClientWithoutCertificate(t *testing.T) {
	near, far := tcpPair(t)
	config, peer := serverConfig(), stock()
	config.ClientAuth, config.ClientCAs, peer.Certificates = tls.RequireAndVerifyClientCert, ours.pool(), nil
	client, server := tls.Client(near, peer), Server(far, config)
	defer server.Close()
	clientErr, serverErr := both(func() error { return greet(client) }, server.Handshake)
	if clientErr == nil || serverErr == nil {
		t.Errorf("client: %v, server: %v", clientErr, serverErr)
	}
}

func TestAClientCertificateIsOptionalIfItMayBe(t *testing.T) {
	near, far := tcpPair(t)
	config, peer := serverConfig(), stock()
	config.ClientAuth, config.ClientCAs, peer.Certificates = tls.VerifyClientCertIfGiven, ours.pool(), nil
	server := Server(far, config)
	greetBoth(t, tls.Client(near, peer), server)
	if state := server.ConnectionState(); state.PeerCertificates != nil || state.VerifiedChains != nil {
		t.Errorf("%+v", state)
	}
}

func TestHooksDecideBeforeThePeerIsDone(t *testing.T) {
	refusal := errors.New("not this one")
	config := clientConfig()
	config.MaxVersion = tls.VersionTLS13
	asked := []string{}
	config.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if len(raw) == 2 && len(chains) == 1 {
			asked = append(asked, "certificate")
		}
		return nil
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if state.HandshakeComplete && len(state.PeerCertificates) == 2 {
			asked = append(asked, "connection")
		}
		return refusal
	}
	near, far := tcpPair(t)
	client, server := Client(near, config), tls.Server(far, stock())
	clientErr, serverErr := both(func() error { defer client.Close(); return client.Handshake() }, server.Handshake)
	if clientErr != refusal || serverErr == nil {
		t.Errorf("client: %v, server: %v", clientErr, serverErr)
	}
	if strings.Join(asked, " ") != "certificate connection" {
		t.Errorf("asked: %v", asked)
	}
}

func TestACancelledContextClosesTheConnection(t *testing.T) {
	near, far := tcpPair(t)
	client := Client(near, clientConfig())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.ReadFull(far, make([]byte, 1)) // the ClientHello is on its way
		cancel()
	}()
	if err := client.HandshakeContext(ctx); err != context.Canceled {
		t.Errorf("the handshake said %v", err)
	}
	if _, err := near.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection below said %v", err)
	}
	client.Close()
}

func TestADeadlineEndsAHandshake(t *testing.T) {
	near, _ := tcpPair(t)
	client := Client(near, clientConfig())
	defer client.Close()
	client.SetDeadline(time.Now().Add(10 * time.Millisecond))
	err := client.Handshake()
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the handshake said %v", err)
	}
}

func TestWhatIsNoTLSIsRefused(t *testing.T) {
	near, far := tcpPair(t)
	client := Client(near, clientConfig())
	defer client.Close()
	far.Write([]byte("HTTP/1.0 400 Bad Request\r\n\r\n"))
	var failure *Error
	if err := client.Handshake(); !errors.As(err, &failure) || failure.Reason == "" {
		t.Errorf("%T: %v", err, err)
	}
}

func TestAHandshakeThatIsCutIsTruncated(t *testing.T) {
	near, far := tcpPair(t)
	client := Client(near, clientConfig())
	defer client.Close()
	far.Close()
	if err := client.Handshake(); err == nil {
		t.Error("it was good")
	}
	nearer, farther := tcpPair(t)
	server := Server(nearer, serverConfig())
	defer server.Close()
	farther.Close()
	if err := server.Handshake(); err != io.ErrUnexpectedEOF {
		t.Errorf("the server said %v", err)
	}
}

func TestCloseEndsAHandshakeThatWaits(t *testing.T) {
	near, far := tcpPair(t)
	client := Client(near, clientConfig())
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	io.ReadFull(far, make([]byte, 1)) // the ClientHello is on its way
	client.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the handshake said %v", err)
	}
}
