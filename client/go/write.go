package tlsagent

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	v1 "tlsagent/internal/tlsagentv1"
)

// writeMost is the most plaintext of one call: what it makes fits in the daemon's limit session_output_bytes.
const writeMost = 64 << 10

// writing is the other direction of a Conn.
type writing struct {
	sync.Mutex
	deadline atomic.Value // time.Time
	ended    bool         // close_notify was sent
	endErr   error        // how that went
	err      error        // the stream is broken
}

// Write writes plaintext. When it fails after it has begun, so does every later one.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.beginWrite(); err != nil {
		return 0, err
	}
	defer atomic.AddInt32(&c.calls, -2)
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	c.out.Lock()
	defer c.out.Unlock()
	written := 0
	for written < len(b) {
		if err := c.writable(written); err != nil {
			return written, err
		}
		n, err := c.writeSome(b[written:])
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// beginWrite counts a Write, for Close to know of it.
func (c *Conn) beginWrite() error {
	for {
		calls := atomic.LoadInt32(&c.calls)
		if calls&1 != 0 {
			return net.ErrClosed
		}
		if atomic.CompareAndSwapInt32(&c.calls, calls, calls+2) {
			return nil
		}
	}
}

// writable says why nothing may be written.
func (c *Conn) writable(written int) error {
	switch {
	case c.out.err != nil:
		return c.out.err
	case c.out.ended:
		return errShutdown
	case written == 0 && c.out.isLate():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// isLate says whether the deadline has passed, before anything is encrypted that could then not be sent.
func (w *writing) isLate() bool {
	deadline, _ := w.deadline.Load().(time.Time)
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

// writeSome writes the first of the bytes.
func (c *Conn) writeSome(b []byte) (int, error) {
	if len(b) > writeMost {
		b = b[:writeMost]
	}
	response := &v1.WriteResponse{}
	progress, err := c.session.call(c.session.ctx, "Write", &v1.WriteRequest{Session: c.session.handle, Data: b}, response)
	if err != nil {
		c.out.err = lost(err)
		return 0, c.out.err
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	if progress.GetState() == v1.State_STATE_FAILED {
		c.out.err = newError("write", progress.GetError())
	} else if response.GetAccepted() == 0 || response.GetAccepted() > uint64(len(b)) {
		c.out.err = unexpected("write", progress)
	}
	return int(response.GetAccepted()), c.out.err
}

// flush sends what the session has to send. Once that has failed the peer lacks bytes, and no more are sent.
func (c *Conn) flush() error {
	output := c.session.takeOutput()
	if c.out.err != nil || len(output) == 0 {
		return c.out.err
	}
	if _, err := c.conn.Write(output); err != nil {
		c.out.err = permanentError{err}
	}
	return c.out.err
}

// closeNotify ends this direction, once.
func (c *Conn) closeNotify() error {
	c.out.Lock()
	defer c.out.Unlock()
	if !c.out.ended {
		c.SetWriteDeadline(time.Now().Add(closePatience))
		c.out.endErr = c.sendCloseNotify()
		c.out.ended = true
		c.SetWriteDeadline(time.Now()) // nothing can follow
	}
	return c.out.endErr
}

func (c *Conn) sendCloseNotify() error {
	if c.out.err != nil {
		return c.out.err
	}
	ctx, cancel := context.WithTimeout(c.session.ctx, closePatience)
	defer cancel()
	response := &v1.ShutdownResponse{}
	if _, err := c.session.call(ctx, "Shutdown", &v1.ShutdownRequest{Session: c.session.handle}, response); err != nil {
		return err
	}
	return c.flush()
}
