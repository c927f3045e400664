package tlsagent

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gogo "github.com/gogo/protobuf/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	v1 "tlsagent/internal/tlsagentv1"
)

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"unix:/run/a": "/run/a", "/run/a": "/run/a", "@a": "@a", "unix:@a": "@a", "unix:": "", "@": "",
		"/" + strings.Repeat("a", 106): "/" + strings.Repeat("a", 106), "/" + strings.Repeat("a", 107): "",
	} {
		got, err := parseAddress(address)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", address, got, err)
		}
	}
}

func TestTheDefaultAddress(t *testing.T) {
	t.Setenv(addressVariable, "unix:/somewhere")
	if path, err := parseAddress(""); path != "/somewhere" || err != nil {
		t.Errorf("%q, %v", path, err)
	}
	t.Setenv(addressVariable, "")
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1")
	want := "/run/user/1/tlsagent.sock"
	if os.Geteuid() == 0 {
		want = "/run/tlsagent.sock"
	}
	if path, err := parseAddress(""); path != want || err != nil {
		t.Errorf("%q, %v", path, err)
	}
}

func TestNoDaemonIsToldWithItsAddress(t *testing.T) {
	_, err := Open("unix:/nowhere/agent.sock")
	var lost *AgentError
	if !errors.As(err, &lost) || !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "/nowhere/agent.sock") {
		t.Errorf("%v", err)
	}
}

// agentConfig is clientConfig with an Agent of its own.
func agentConfig(agent *Agent) *Config {
	config := clientConfig()
	config.Agent = agent
	return config
}

func TestADaemonThatDiesIsToldToReaderAndWriter(t *testing.T) {
	d, agent := ownDaemon(t)
	client, server := established(t, agentConfig(agent))
	d.kill()
	server.Write([]byte("x"))
	for name, err := range map[string]error{"Read": second(client.Read(make([]byte, 1))), "Write": second(client.Write([]byte("x")))} {
		var lost *AgentError
		if !errors.As(err, &lost) || !errors.Is(err, ErrAgentGone) || !strings.Contains(err.Error(), "tlsagentd has gone") {
			t.Errorf("%s said %v", name, err)
		}
	}
	client.Close()
	near, _ := tcpPair(t)
	if err := Client(near, agentConfig(agent)).Handshake(); !errors.As(err, new(*AgentError)) {
		t.Errorf("a new one said %v", err)
	}
}

func second(_ int, err error) error { return err }

func TestADaemonThatDoesNotAnswerHoldsUpNobodyWhoGoes(t *testing.T) {
	d, agent := ownDaemon(t)
	config := agentConfig(agent)
	client, server := established(t, config)
	d.pause(t)
	defer d.command.Process.Signal(syscall.SIGCONT)
	read := make(chan error, 1)
	go func() { read <- second(client.Read(make([]byte, 1))) }()
	server.Write([]byte("x"))
	near, _ := tcpPair(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := Client(near, config).HandshakeContext(ctx); err != context.DeadlineExceeded {
		t.Errorf("the handshake said %v", err)
	}
	client.Close()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read said %v", err)
	}
}

// One Config goes on with the daemon that takes the other one's place.
func TestAnotherDaemonIsFound(t *testing.T) {
	d, agent := ownDaemon(t)
	config := agentConfig(agent)
	config.ClientSessionCache = NewLRUClientSessionCache(0)
	established(t, config)
	d.kill()
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	d.command = startAgain(t, d.command.Args)
	if err := d.await(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old connection is seen to be over", func() bool { return agent.link.isGone() })
	if client, _ := established(t, config); client.ConnectionState().DidResume {
		t.Error("it resumed what the other one had sealed")
	}
}

func TestAnAgentThatWasClosedSaysSo(t *testing.T) {
	_, agent := ownDaemon(t)
	client, server := established(t, agentConfig(agent))
	agent.Close()
	server.Write([]byte("x"))
	if err := second(client.Read(make([]byte, 1))); !errors.Is(err, ErrAgentGone) {
		t.Errorf("Read said %v", err)
	}
	if _, err := agent.Decode(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "was closed") {
		t.Errorf("Decode said %v", err)
	}
}

func TestALimitIsNamed(t *testing.T) {
	_, agent := ownDaemon(t, "--limit", "sessions=2", "--limit", "sessions_per_owner=1")
	config := agentConfig(agent)
	established(t, config)
	near, _ := tcpPair(t)
	client := Client(near, config)
	defer client.Close()
	err := client.Handshake()
	var lost *AgentError
	if !errors.As(err, &lost) || status.Code(lost.Err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "sessions") {
		t.Errorf("%v", err)
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	const many = 200
	_, agent := ownDaemon(t)
	client, server := agentConfig(agent), serverConfig()
	server.Agent = agent
	listener, err := Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func(conn net.Conn) { defer conn.Close(); greet(conn) }(conn)
		}
	}()
	first, err := Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	contexts := counters(t, agent)["contexts_made"]
	errs := make([]error, many)
	var wait, ready sync.WaitGroup
	ready.Add(many)
	for i := range errs {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			conn, err := Dial("tcp", listener.Addr().String(), client)
			ready.Done()
			ready.Wait() // all of them are there at once
			if err == nil {
				defer conn.Close()
				err = greet(conn)
			}
			errs[i] = err
		}(i)
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	eventually(t, "the daemon has freed all sessions", func() bool {
		count := counters(t, agent)
		return count["sessions_made"] == 2*(many+1) && count["sessions_freed"] == 2*(many+1)
	})
	if now := counters(t, agent)["contexts_made"]; now != contexts {
		t.Errorf("there were %d contexts after the first connection, and then %d", contexts, now)
	}
}

func TestWhoForgetsToCloseLeavesNothing(t *testing.T) {
	_, agent := ownDaemon(t)
	func() {
		near, far := tcpPair(t)
		client, server := Client(near, agentConfig(agent)), tls.Server(far, stock())
		both(func() error { return greet(client) }, func() error { return greet(server) })
	}()
	eventually(t, "sessions and contexts are freed", func() bool {
		runtime.GC()
		count := counters(t, agent)
		return count["sessions_made"] == 1 && count["sessions_freed"] == 1 && count["contexts_freed"] == count["contexts_made"]
	})
}

func TestAConfigThatWasClosedIsMadeAgain(t *testing.T) {
	_, agent := ownDaemon(t)
	config := agentConfig(agent)
	first, server := established(t, config)
	config.Close()
	if clientErr, serverErr := both(func() error { return greet(first) }, func() error { return greet(server) }); clientErr != nil || serverErr != nil {
		t.Errorf("the connection ended: %v, %v", clientErr, serverErr)
	}
	before := counters(t, agent)["contexts_made"]
	established(t, config)
	if counters(t, agent)["contexts_made"] == before {
		t.Error("the context that was released was used again")
	}
}

// Both of the codecs that a ttrpc may have take an envelope.
func TestEveryCodecTakesAnEnvelope(t *testing.T) {
	message := &v1.PingRequest{Payload: []byte("a word")}
	want, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	first, err := gogo.Marshal(envelope{message})
	if err != nil || !bytes.Equal(first, want) {
		t.Errorf("gogo: %q, %v", first, err)
	}
	second, err := proto.Marshal(envelope{message})
	if err != nil || !bytes.Equal(second, want) {
		t.Errorf("google: %q, %v", second, err)
	}
}

// A context of the daemon's own: the key is never here.
func TestANamedContextHasTheKeys(t *testing.T) {
	agent := Default()
	link, err := agent.connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	request, err := serverConfig().request(roleServer)
	if err != nil {
		t.Fatal(err)
	}
	request.Name = "the server's"
	if err := link.call(context.Background(), "ContextService.Create", request, &v1.CreateContextResponse{}); err != nil {
		t.Fatal(err)
	}
	defer link.call(context.Background(), "ContextService.Forget", &v1.ForgetContextRequest{Name: request.Name}, &v1.ForgetContextResponse{})
	near, far := tcpPair(t)
	greetBoth(t, Client(near, clientConfig()), Server(far, &Config{Context: request.Name}))

	for word, config := range map[string]*Config{"no context of that name": {Context: "nobody's"},
		"has its settings already": {Context: request.Name, NextProtos: []string{"h2"}}} {
		near, _ := tcpPair(t)
		if err := Server(near, config).Handshake(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v", config.Context, err)
		}
	}
}

func TestDecode(t *testing.T) {
	pair := pairsOf(goodLeaf)[0]
	for name, data := range map[string][]byte{"PEM": pair.Chain, "DER": bytes.Join(goodLeaf.Certificate, nil)} {
		got, err := Decode(data)
		if err != nil || len(got) != 2 {
			t.Fatalf("%s: %d certificates, %v", name, len(got), err)
		}
		leaf, err := got[0].X509()
		if err != nil || !bytes.Equal(leaf.Raw, goodLeaf.Certificate[0]) {
			t.Errorf("%s: another certificate, %v", name, err)
		}
		if got[0].Subject != "CN=leaf" || got[0].Issuer != "CN=ours" || got[0].KeyType != "EC" || got[0].IsCA || !got[1].IsCA ||
			strings.Join(got[0].Names, " ") != "DNS:localhost IP Address:127.0.0.1" ||
			!got[0].NotAfter.Equal(leaf.NotAfter) || !bytes.Equal(got[0].FingerprintSHA256, sum(leaf.Raw)) ||
			!bytes.Equal(got[0].SPKISHA256, sum(leaf.RawSubjectPublicKeyInfo)) {
			t.Errorf("%s: %+v", name, got[0])
		}
	}
	var failure *Error
	if _, err := Decode([]byte("nothing")); !errors.As(err, &failure) {
		t.Errorf("%v", err)
	}
}
