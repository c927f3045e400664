package tlsagent

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// established gives a client of ours and a server of crypto/tls that have greeted each other.
func established(t *testing.T, config *Config) (*Conn, *tls.Conn) {
	t.Helper()
	near, far := tcpPair(t)
	client, server := Client(near, config), tls.Server(far, stock())
	greetBoth(t, client, server)
	return client, server
}

func TestManyBytesBothWaysAtOnce(t *testing.T) {
	const size = 16 << 20
	client, server := established(t, clientConfig())
	sent := make([]byte, size)
	rand.Read(sent)
	send := func(conn net.Conn, closeWrite func() error) error {
		if _, err := conn.Write(sent); err != nil {
			return err
		}
		return closeWrite()
	}
	check := func(conn net.Conn) error {
		hash := sha256.New()
		n, err := io.Copy(hash, conn)
		if err == nil && (n != size || !bytes.Equal(hash.Sum(nil), sum(sent))) {
			err = errors.New("other bytes came")
		}
		return err
	}
	errs := make(chan error, 4)
	go func() { errs <- send(client, client.CloseWrite) }()
	go func() { errs <- send(server, server.CloseWrite) }()
	go func() { errs <- check(client) }()
	go func() { errs <- check(server) }()
	for range [4]int{} {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func sum(data []byte) []byte {
	out := sha256.Sum256(data)
	return out[:]
}

func TestCloseNotifyIsTheEnd(t *testing.T) {
	client, server := established(t, clientConfig())
	server.Write([]byte("last"))
	server.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "last" {
		t.Errorf("%q, %v", got, err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("again: %d, %v", n, err)
	}
}

func TestTruncationIsNoEnd(t *testing.T) {
	client, server := established(t, clientConfig())
	server.Write([]byte("not the last"))
	server.NetConn().Close()
	got, err := io.ReadAll(client)
	if string(got) != "not the last" || err != io.ErrUnexpectedEOF {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
		t.Errorf("again: %v", err)
	}
}

func TestARecordThatWasChangedIsRefused(t *testing.T) {
	client, server := established(t, clientConfig())
	server.NetConn().Write([]byte("\x17\x03\x03\x00\x20" + string(make([]byte, 32))))
	_, err := client.Read(make([]byte, 1))
	var alert AlertError
	if !errors.As(err, &alert) || alert != 20 {
		t.Errorf("%v", err)
	}
}

func TestNothingIsReadWithoutRoom(t *testing.T) {
	client, server := established(t, clientConfig())
	if n, err := client.Read(nil); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := client.Write(nil); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	server.Close()
	client.Close()
}

func TestReadingGoesOnAfterCloseWrite(t *testing.T) {
	client, server := established(t, clientConfig())
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(server); err != nil || len(got) != 0 {
		t.Errorf("the server read %q, %v", got, err)
	}
	if _, err := client.Write([]byte("x")); err == nil {
		t.Error("it could be written")
	}
	server.Write([]byte("more"))
	server.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "more" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCloseWriteBeforeTheHandshakeIsRefused(t *testing.T) {
	near, _ := tcpPair(t)
	if err := Client(near, clientConfig()).CloseWrite(); err != errEarlyClose {
		t.Error(err)
	}
}

func TestCloseEndsAReadThatWaits(t *testing.T) {
	client, _ := established(t, clientConfig())
	done := make(chan error, 1)
	go func() {
		_, err := client.Read(make([]byte, 1))
		done <- err
	}()
	client.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read said %v", err)
	}
	if err := client.Close(); err != net.ErrClosed {
		t.Errorf("the second Close said %v", err)
	}
	if _, err := client.Write([]byte("x")); err != net.ErrClosed {
		t.Errorf("Write said %v", err)
	}
}

func TestCloseEndsAWriteThatWaits(t *testing.T) {
	client, _ := established(t, clientConfig())
	done := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		_, err := client.Write(make([]byte, 64<<20)) // more than any socket takes
		done <- err
	}()
	<-begun
	for client.idle() {
		time.Sleep(time.Millisecond)
	}
	client.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write said %v", err)
	}
}

// idle says whether no Write goes on.
func (c *Conn) idle() bool {
	if c.out.TryLock() {
		defer c.out.Unlock()
		return true
	}
	return false
}

func isTimeoutError(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestReadingGoesOnAfterItsDeadline(t *testing.T) {
	client, server := established(t, clientConfig())
	client.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := client.Read(make([]byte, 1)); !isTimeoutError(err) {
		t.Fatalf("Read said %v", err)
	}
	client.SetReadDeadline(time.Time{})
	server.Write([]byte("x"))
	if n, err := client.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// Whoever goes on behind what was taken loses nothing.
func TestWritingGoesOnAfterItsDeadline(t *testing.T) {
	client, server := established(t, clientConfig())
	data := make([]byte, 16<<20) // more than any socket takes
	rand.Read(data)
	client.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := client.Write(data)
	if !isTimeoutError(err) || n == len(data) {
		t.Fatalf("Write said %d, %v", n, err)
	}
	client.SetWriteDeadline(time.Time{})
	go func() {
		client.Write(data[n:])
		client.Close()
	}()
	if got, err := io.ReadAll(server); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d of %d bytes came, %v", len(got), len(data), err)
	}
}

func TestAWriteThatIsLateFromTheBeginningHarmsNothing(t *testing.T) {
	client, server := established(t, clientConfig())
	client.SetWriteDeadline(time.Unix(1, 0))
	if _, err := client.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Write said %v", err)
	}
	client.SetWriteDeadline(time.Time{})
	clientErr, serverErr := both(func() error { return greet(client) }, func() error { return greet(server) })
	if clientErr != nil || serverErr != nil {
		t.Errorf("client: %v, server: %v", clientErr, serverErr)
	}
}

func TestManyGoroutinesWriteOnOneConn(t *testing.T) {
	client, server := established(t, clientConfig())
	var wait sync.WaitGroup
	for i := 0; i < 8; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			client.Write(bytes.Repeat([]byte{byte('a' + i)}, 1000))
		}(i)
	}
	go func() { wait.Wait(); client.Close() }()
	got, err := io.ReadAll(server)
	if err != nil || len(got) != 8000 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for ; len(got) != 0; got = got[1000:] {
		if !bytes.Equal(got[:1000], bytes.Repeat(got[:1], 1000)) {
			t.Error("one Write is in the middle of another")
		}
	}
}

func TestAPeerThatAsksForNewKeysGetsThem(t *testing.T) {
	near, far := tcpPair(t)
	client, server := Client(near, clientConfig()), Server(far, serverConfig())
	greetBoth(t, client, server)
	if err := server.requestKeyUpdate(); err != nil {
		t.Fatal(err)
	}
	for range [2]int{} {
		clientErr, serverErr := both(func() error { return greet(client) }, func() error { return greet(server) })
		if clientErr != nil || serverErr != nil {
			t.Fatalf("client: %v, server: %v", clientErr, serverErr)
		}
	}
}

// The memory path needs no socket: a pair of buffers will do.
func TestAPipeIsEnough(t *testing.T) {
	near, far := net.Pipe()
	config := clientConfig()
	config.MaxVersion = tls.VersionTLS12 // nothing is buffered, and a TLS 1.3 server sends tickets to nobody
	greetPiped(t, Client(near, config), Server(far, serverConfig()))
}

// greetPiped is greetBoth where one speaks, then the other.
func greetPiped(t *testing.T, client, server net.Conn) {
	t.Helper()
	clientErr, serverErr := both(func() error {
		_, err := client.Write([]byte("hello"))
		return err
	}, func() error {
		_, err := io.ReadFull(server, make([]byte, 5))
		return err
	})
	if clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v, server: %v", clientErr, serverErr)
	}
	both(client.Close, func() error { _, err := server.Read(make([]byte, 1)); server.Close(); return err })
}
