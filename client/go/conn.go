package tlsagent

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// closePatience is how long Close waits for the peer's side to take close_notify.
const closePatience = 5 * time.Second

// A Conn is a TLS connection. It implements net.Conn: one goroutine may read while another one writes, and Close may be
// called at any time.
type Conn struct {
	conn       net.Conn
	config     *Config
	role       role
	serverName string
	session    *session

	// handshake is held while shaking hands, and before in and out.
	handshake    sync.Mutex
	handshakeErr error
	state        tls.ConnectionState // whole when handshakeDone
	done         int32               // atomic: 1 after the handshake
	resumed      *ClientSessionState // what a client has offered, or nil

	in  reading
	out writing

	// calls counts Writes by twos; its lowest bit says that Close was called. As in crypto/tls.
	calls int32
}

// Client returns the client's side of a connection over conn. The config must have ServerName or InsecureSkipVerify set.
// Nothing is sent before the handshake, which Read and Write begin if nobody else has.
func Client(conn net.Conn, config *Config) *Conn {
	config = orEmpty(config)
	return newConn(conn, config, roleClient, config.ServerName)
}

// Server returns the server's side of a connection over conn. The config must have a certificate.
func Server(conn net.Conn, config *Config) *Conn {
	return newConn(conn, orEmpty(config), roleServer, "")
}

func newConn(conn net.Conn, config *Config, end role, serverName string) *Conn {
	c := &Conn{conn: conn, config: config, role: end, serverName: serverName, session: newSession()}
	// Whoever forgets to close it leaves nothing with the daemon.
	runtime.SetFinalizer(c.session, func(s *session) { go s.close(context.Background()) })
	return c
}

// LocalAddr returns the address of this end of the connection below.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// NetConn returns the connection below. To read or write it breaks TLS.
func (c *Conn) NetConn() net.Conn { return c.conn }

// SetDeadline sets the deadlines for reading and for writing.
func (c *Conn) SetDeadline(t time.Time) error {
	c.out.deadline.Store(t)
	return c.conn.SetDeadline(t)
}

// SetReadDeadline sets the deadline for reading. After it has passed, a later one has reading go on.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.conn.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline for writing. A Write that runs into it says how much of its bytes it has taken; they
// are on their way, or will be with the next Write. In crypto/tls the connection would be of no use any more; here it is.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.deadline.Store(t)
	return c.conn.SetWriteDeadline(t)
}

// Close sends close_notify, unless a Write is going on, which it breaks, and closes the connection below.
func (c *Conn) Close() error {
	idle, err := c.beginClose()
	if err != nil {
		return err
	}
	var alertErr error
	if idle && c.handshakeDone() {
		alertErr = c.closeNotify()
	}
	err = c.conn.Close()
	c.session.end()
	go c.forget()
	if err != nil {
		return err
	}
	return alertErr
}

// beginClose lets no Write begin any more, and says whether none goes on.
func (c *Conn) beginClose() (idle bool, err error) {
	for {
		calls := atomic.LoadInt32(&c.calls)
		if calls&1 != 0 {
			return false, net.ErrClosed
		}
		if atomic.CompareAndSwapInt32(&c.calls, calls, calls|1) {
			return calls == 0, nil
		}
	}
}

// forget has the daemon forget the session. Nobody waits for that.
func (c *Conn) forget() {
	runtime.SetFinalizer(c.session, nil)
	c.session.close(context.Background())
}

// CloseWrite sends close_notify: the peer's Read returns io.EOF. Reading goes on. It is for after the handshake.
func (c *Conn) CloseWrite() error {
	if !c.handshakeDone() {
		return errEarlyClose
	}
	return c.closeNotify()
}

func (c *Conn) handshakeDone() bool { return atomic.LoadInt32(&c.done) == 1 }
