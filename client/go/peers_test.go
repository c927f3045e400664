package tlsagent

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// program starts a program of the system for as long as the test runs.
func program(t *testing.T, name string, args ...string) {
	t.Helper()
	command := exec.Command(name, args...)
	command.SysProcAttr = notAlone
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Signal(syscall.SIGTERM)
		command.Wait()
	})
}

// freePort gives a port that nobody listened at a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// reachable waits until somebody listens there.
func reachable(t *testing.T, addr string) {
	t.Helper()
	eventually(t, addr+" takes connections", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func TestCurl(t *testing.T) {
	root, chain, key := files(t, goodLeaf)
	config := serverConfig()
	config.ClientAuth, config.ClientCAs, config.NextProtos = tls.RequireAndVerifyClientCert, ours.pool(), []string{"http/1.1"}
	url := serveHTTP(t, config, echo)
	for _, version := range []string{"1.2", "1.3"} {
		out, err := exec.Command("curl", "--silent", "--show-error", "--cacert", root, "--cert", chain, "--key", key,
			"--tlsv"+version, "--tls-max", version, "--data", "from curl", url).CombinedOutput()
		if err != nil || string(out) != "HTTP/1.1 from curl" {
			t.Errorf("TLS %s: %s, %v", version, out, err)
		}
	}
	if out, err := exec.Command("curl", "--silent", "--show-error", "--cacert", root, url).CombinedOutput(); err == nil {
		t.Errorf("it was served without a certificate: %s", out)
	}
}

func TestOpenSSLServer(t *testing.T) {
	root, chain, key := files(t, goodLeaf)
	addr := "127.0.0.1:" + freePort(t)
	program(t, "openssl", "s_server", "-quiet", "-rev", "-accept", addr, "-cert", chain, "-key", key, "-cert_chain", chain,
		"-CAfile", root, "-Verify", "2", "-verify_return_error", "-alpn", "rev")
	reachable(t, addr)
	versions(t, func(t *testing.T, version uint16) {
		config := clientConfig()
		config.Certificates, config.MaxVersion, config.NextProtos = pairsOf(goodLeaf), version, []string{"rev"}
		conn, err := Dial("tcp", addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintln(conn, "hello")
		line, err := bufio.NewReader(conn).ReadString('\n')
		if state := conn.ConnectionState(); line != "olleh\n" || err != nil || state.NegotiatedProtocol != "rev" || state.Version != version {
			t.Errorf("%q, %v, %+v", line, err, state)
		}
	})
}

func TestOpenSSLServerRefusesAClientWithoutCertificate(t *testing.T) {
	root, chain, key := files(t, goodLeaf)
	addr := "127.0.0.1:" + freePort(t)
	program(t, "openssl", "s_server", "-quiet", "-rev", "-accept", addr, "-cert", chain, "-key", key, "-CAfile", root, "-Verify", "2",
		"-verify_return_error", "-verify_quiet")
	reachable(t, addr)
	conn, err := Dial("tcp", addr, clientConfig())
	if err == nil { // in TLS 1.3 the client is done before the server has looked
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), AlertError(116).Error()) {
		t.Errorf("%v", err)
	}
}

// Before TLS 1.3 a session may have an id where it has no ticket.
func TestASessionIsResumedByItsID(t *testing.T) {
	_, chain, key := files(t, goodLeaf)
	addr := "127.0.0.1:" + freePort(t)
	program(t, "openssl", "s_server", "-quiet", "-rev", "-accept", addr, "-cert", chain, "-key", key, "-no_ticket", "-tls1_2")
	reachable(t, addr)
	config := &Config{RootCAs: ours.pool(), ClientSessionCache: NewLRUClientSessionCache(0)}
	for _, want := range []bool{false, true} {
		conn, err := Dial("tcp", addr, config)
		if err != nil {
			t.Fatal(err)
		}
		if is := conn.ConnectionState().DidResume; is != want {
			t.Errorf("resumed: %v, and it should be %v", is, want)
		}
		conn.Close()
	}
}

const nginxConfig = `
daemon off;
pid %[1]s/pid;
error_log %[1]s/log;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server {
    listen 127.0.0.1:%[2]s ssl;
    ssl_certificate %[3]s;
    ssl_certificate_key %[4]s;
    ssl_session_tickets on;
    location / { root %[1]s; }
  }
}
`

func TestNginx(t *testing.T) {
	_, chain, key := files(t, goodLeaf)
	folder, port := t.TempDir(), freePort(t)
	os.Chmod(folder, 0o755)
	os.Chmod(filepath.Dir(folder), 0o755)
	page := bytes.Repeat([]byte("a page of nginx\n"), 100000)
	os.WriteFile(filepath.Join(folder, "page"), page, 0o644)
	path := filepath.Join(folder, "nginx.conf")
	os.WriteFile(path, []byte(fmt.Sprintf(nginxConfig, folder, port, chain, key)), 0o644)
	program(t, "/usr/sbin/nginx", "-c", path, "-p", folder, "-e", filepath.Join(folder, "log"))
	reachable(t, "127.0.0.1:"+port)

	config := &Config{RootCAs: ours.pool(), ClientSessionCache: NewLRUClientSessionCache(0)}
	resumed := 0
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if state.DidResume {
			resumed++
		}
		return nil
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DialTLSContext: config.DialContext, DisableKeepAlives: true}}
	for range [2]int{} {
		response, err := client.Get("https://127.0.0.1:" + port + "/page")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !bytes.Equal(got, page) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if resumed != 1 {
		t.Errorf("%d of 2 were resumed", resumed)
	}
}
