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
	pending  []byte       // ciphertext that a deadline kept from being sent: at most what one call gave
}

// Write writes plaintext. When it runs out of time it says how much it has taken, and whoever goes on behind that loses
// nothing. Other failures are every later Write's too.
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
		if err := c.writable(); err != nil {
			return written, err
		}
		n, err := c.writeSome(b[written:])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, c.out.err
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

// writable says why nothing may be encrypted: it would only wait behind what can't be sent.
func (c *Conn) writable() error {
	switch {
	case c.out.err != nil:
		return c.out.err
	case c.out.ended:
		return errShutdown
	case c.out.isLate():
		return os.ErrDeadlineExceeded
	}
	return c.flush()
}

// isLate says whether the deadline has passed.
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
	sendErr := c.flush()
	if err := writeOutcome(progress, response.GetAccepted(), len(b)); err != nil {
		c.out.err = err
		return 0, err
	}
	return int(response.GetAccepted()), sendErr
}

// writeOutcome is why nothing can be written any more, or nil.
func writeOutcome(progress *v1.Progress, accepted uint64, given int) error {
	if progress.GetState() == v1.State_STATE_FAILED {
		return newError("write", progress.GetError())
	}
	if accepted == 0 || accepted > uint64(given) {
		return unexpected("write", progress)
	}
	return nil
}

// flush sends what the session has to send. What a deadline keeps from being sent is sent by the next one; after any
// other failure the peer lacks bytes, and no more are sent.
func (c *Conn) flush() error {
	if c.out.err != nil {
		return c.out.err
	}
	if output := c.session.takeOutput(); len(c.out.pending) == 0 {
		c.out.pending = output
	} else {
		c.out.pending = append(c.out.pending, output...)
	}
	if len(c.out.pending) == 0 {
		return nil
	}
	n, err := c.conn.Write(c.out.pending)
	c.out.pending = c.out.pending[n:]
	if err != nil && !isTimeout(err) {
		c.out.err = err
	}
	return err
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
