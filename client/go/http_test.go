package tlsagent

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// serveHTTP serves on tlsagent until the test is over, and gives "https://127.0.0.1:PORT".
func serveHTTP(t *testing.T, config *Config, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return "https://" + listener.Addr().String()
}

// echo answers with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Write(append([]byte(r.Proto+" "), body...))
}

func post(client *http.Client, url string, body []byte) (string, error) {
	response, err := client.Post(url, "text/plain", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return string(got), err
}

// several posts on one connection, if it is kept.
func several(t *testing.T, client *http.Client, url, proto string) {
	t.Helper()
	large := make([]byte, 1<<20)
	rand.Read(large)
	for _, body := range [][]byte{[]byte("a"), large, nil} {
		if got, err := post(client, url, body); err != nil || got != proto+" "+string(body) {
			t.Errorf("%d bytes: %d bytes came, %v", len(body), len(got), err)
		}
	}
}

func TestNetHTTPInBothRoles(t *testing.T) {
	url := serveHTTP(t, serverConfig(), echo)
	config := &Config{RootCAs: ours.pool()}
	transport := &http.Transport{DialTLSContext: config.DialContext}
	defer transport.CloseIdleConnections()
	several(t, &http.Client{Transport: transport}, url, "HTTP/1.1")
}

func TestNetHTTPServerWithCryptoTLSClient(t *testing.T) {
	url := serveHTTP(t, serverConfig(), echo)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ours.x509Pool()}}
	defer transport.CloseIdleConnections()
	several(t, &http.Client{Transport: transport}, url, "HTTP/1.1")
}

func TestNetHTTPClientWithCryptoTLSServer(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{goodLeaf}}
	server.StartTLS()
	defer server.Close()
	config := &Config{RootCAs: ours.pool()}
	transport := &http.Transport{DialTLSContext: config.DialContext}
	defer transport.CloseIdleConnections()
	several(t, &http.Client{Transport: transport}, server.URL, "HTTP/1.1")
}

func TestARequestIsCancelled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // nobody answers there
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if conn, err := listener.Accept(); err == nil {
			io.ReadFull(conn, make([]byte, 1))
			cancel()
		}
	}()
	transport := &http.Transport{DialTLSContext: clientConfig().DialContext}
	request, _ := http.NewRequestWithContext(ctx, "GET", "https://"+listener.Addr().String(), nil)
	if _, err := transport.RoundTrip(request); err != context.Canceled {
		t.Errorf("%v", err)
	}
}

func TestNetHTTPTellsWhatWasWrongWithTheServer(t *testing.T) {
	url := serveHTTP(t, &Config{Certificates: pairsOf(theirs.leaf(nil))}, echo)
	transport := &http.Transport{DialTLSContext: (&Config{RootCAs: ours.pool()}).DialContext}
	if _, err := post(&http.Client{Transport: transport}, url, nil); err == nil || !strings.Contains(err.Error(), "verify") {
		t.Errorf("%v", err)
	}
}

// golang.org/x/net/http2 takes any net.Conn with a ConnectionState, where net/http takes *tls.Conn alone.
func TestHTTP2InBothRoles(t *testing.T) {
	config := serverConfig()
	config.NextProtos = []string{http2.NextProtoTLS}
	listener, err := Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	secure := make(chan bool, 100)
	go serveHTTP2(listener, func(w http.ResponseWriter, r *http.Request) {
		secure <- r.TLS != nil && r.TLS.Version == tls.VersionTLS13
		echo(w, r)
	})
	client := &Config{RootCAs: ours.pool(), NextProtos: []string{http2.NextProtoTLS}}
	transport := &http2.Transport{DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return client.DialContext(ctx, network, addr)
	}}
	defer transport.CloseIdleConnections()
	several(t, &http.Client{Transport: transport}, "https://"+listener.Addr().String(), "HTTP/2.0")
	if !<-secure {
		t.Error("a request doesn't know that it came by TLS")
	}
}

func serveHTTP2(listener net.Listener, handler http.HandlerFunc) {
	for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
		go func(conn *Conn) {
			defer conn.Close()
			if conn.Handshake() == nil {
				new(http2.Server).ServeConn(conn, &http2.ServeConnOpts{Handler: handler})
			}
		}(conn.(*Conn))
	}
}
