package tlsagent

import (
	"io"
	"sync"

	v1 "tlsagent/internal/tlsagentv1"
)

// reading is one direction of a Conn.
type reading struct {
	sync.Mutex
	input
	plain      []byte // has been decrypted, and is for the next Read
	more       bool   // the daemon has something to say without being fed
	err        error  // what every Read says once plain is used up
	remembered bool   // the session was put into the cache, if there is one
}

// Read reads plaintext. It returns io.EOF after the peer's close_notify, and io.ErrUnexpectedEOF when the stream ends
// without one: what has come may be a part of what was sent.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	c.in.Lock()
	defer c.in.Unlock()
	for len(c.in.plain) == 0 && c.in.err == nil {
		if err := c.fill(); err != nil {
			if isTimeout(err) {
				return 0, err
			}
			c.in.err = err
		}
	}
	if len(c.in.plain) == 0 {
		return 0, c.in.err
	}
	n := copy(b, c.in.plain)
	c.in.plain = c.in.plain[n:]
	return n, nil
}

// fill brings some plaintext, or the next step towards it.
func (c *Conn) fill() error {
	if !c.in.more && len(c.in.unused) == 0 && !c.in.eof {
		if err := c.in.receive(c.conn); err != nil {
			return err
		}
	}
	response := &v1.ReadResponse{}
	progress, err := c.session.call(c.session.ctx, "Read", &v1.ReadRequest{Session: c.session.handle,
		MaxBytes: uint32(len(c.in.unused) + recordMax), Feed: c.in.feed()}, response)
	if err != nil {
		return lost(err)
	}
	c.in.plain, c.in.more = response.GetData(), response.GetMore()
	sendErr := c.answer(progress)
	if err := readOutcome(progress); err != nil {
		return err
	}
	c.rememberLate()
	if err := c.in.used(progress); err != nil {
		return err
	}
	return sendErr
}

// answer sends what reading gave to send: an alert, or what TLS itself has to say.
func (c *Conn) answer(progress *v1.Progress) error {
	if len(progress.GetOutput()) == 0 {
		return nil
	}
	c.out.Lock()
	defer c.out.Unlock()
	return c.flush()
}

// readOutcome is how reading ends, or nil when it goes on.
func readOutcome(progress *v1.Progress) error {
	switch progress.GetState() {
	case v1.State_STATE_DONE, v1.State_STATE_WANT_READ, v1.State_STATE_WANT_WRITE:
		return nil
	case v1.State_STATE_CLOSED:
		return io.EOF
	case v1.State_STATE_FAILED:
		return newError("read", progress.GetError())
	}
	return unexpected("read", progress)
}
