package tlsagent

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	v1 "tlsagent/internal/tlsagentv1"
)

// A greeting is the answer to a call that shakes hands.
type greeting interface {
	answer
	GetNegotiated() *v1.Negotiated
	GetPeer() *v1.Peer
}

// Handshake shakes hands, if nobody has yet. Read and Write do so by themselves.
func (c *Conn) Handshake() error {
	return c.HandshakeContext(context.Background())
}

// HandshakeContext is Handshake for as long as ctx lasts: when that ends first, the connection below is closed. After
// the handshake ctx means nothing. A handshake that has failed is not tried again.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.handshakeDone() {
		return nil
	}
	if ctx.Done() == nil {
		return c.shakeOnce(ctx)
	}
	stop := make(chan struct{})
	interrupted := make(chan error, 1)
	go func() { interrupted <- c.closeWhenDone(ctx, stop) }()
	err := c.shakeOnce(ctx)
	close(stop)
	if ctxErr := <-interrupted; ctxErr != nil {
		return ctxErr
	}
	return err
}

// closeWhenDone interrupts what reads or writes below, should ctx end before stop.
func (c *Conn) closeWhenDone(ctx context.Context, stop <-chan struct{}) error {
	select {
	case <-ctx.Done():
		c.conn.Close()
		return ctx.Err()
	case <-stop:
		return nil
	}
}

func (c *Conn) shakeOnce(ctx context.Context) error {
	c.handshake.Lock()
	defer c.handshake.Unlock()
	if c.handshakeErr != nil || c.handshakeDone() {
		return c.handshakeErr
	}
	c.in.Lock()
	defer c.in.Unlock()
	c.out.Lock()
	defer c.out.Unlock()
	if c.handshakeErr = c.shake(ctx); c.handshakeErr == nil {
		c.rememberEarly()
		atomic.StoreInt32(&c.done, 1)
	}
	return c.handshakeErr
}

// shake goes from nothing to an established session.
func (c *Conn) shake(ctx context.Context) error {
	if c.role == roleClient && c.serverName == "" && !c.config.InsecureSkipVerify {
		return errNoServerName
	}
	ctx, cancel := c.untilClosed(ctx)
	defer cancel()
	said, err := c.open(ctx)
	for err == nil && said.GetProgress().GetState() == v1.State_STATE_WANT_READ {
		said, err = c.goOn(ctx)
	}
	if err != nil {
		return lost(err)
	}
	if said.GetProgress().GetState() != v1.State_STATE_DONE {
		c.flush() // the alert
		return c.failure(said)
	}
	return c.establish(ctx, said)
}

// untilClosed has ctx end with the Conn too.
func (c *Conn) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-c.session.ctx.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// open has the daemon make a session.
func (c *Conn) open(ctx context.Context) (greeting, error) {
	made, err := c.config.context(ctx, c.role)
	if err != nil {
		return nil, err
	}
	transport := &v1.Transport{Path: &v1.Transport_Memory{Memory: &v1.MemoryTransport{}}}
	if c.role == roleServer {
		answer := &v1.AcceptResponse{}
		return answer, c.session.open(ctx, made, "Accept",
			&v1.AcceptRequest{Context: made.handle, Transport: transport}, answer)
	}
	answer := &v1.ConnectResponse{}
	return answer, c.session.open(ctx, made, "Connect", &v1.ConnectRequest{Context: made.handle, Transport: transport,
		ServerName: c.serverName, Resumption: c.offered(made)}, answer)
}

// goOn sends what there is to send, and feeds the session with what comes.
func (c *Conn) goOn(ctx context.Context) (greeting, error) {
	if err := c.flush(); err != nil {
		return nil, err
	}
	if len(c.in.unused) == 0 {
		if err := c.in.receive(c.conn); err != nil {
			return nil, err
		}
	}
	response := &v1.HandshakeResponse{}
	progress, err := c.session.call(ctx, "Handshake", &v1.HandshakeRequest{Session: c.session.handle, Feed: c.in.feed()},
		response)
	if err != nil {
		return nil, err
	}
	c.in.more = true // plaintext may have come along: let the first Read ask
	return response, c.in.used(progress)
}

// failure is why the handshake failed.
func (c *Conn) failure(said greeting) error {
	progress := said.GetProgress()
	if progress.GetState() != v1.State_STATE_FAILED {
		return unexpected("handshake", progress)
	}
	if progress.GetError().GetKind() == v1.ErrorKind_ERROR_KIND_VERIFY {
		return newVerificationError(progress.GetError(), said.GetPeer(), c.serverName)
	}
	return newError("handshake", progress.GetError())
}

// unexpected is for a state that this package gives no occasion for.
func unexpected(op string, progress *v1.Progress) error {
	switch progress.GetState() {
	case v1.State_STATE_WANT_DECISION:
		return fmt.Errorf("tlsagent: %s: the daemon's context asks for decisions, which this package doesn't make", op)
	case v1.State_STATE_CLOSED:
		return fmt.Errorf("tlsagent: %s: the peer has ended the stream", op)
	}
	state := strings.TrimPrefix(progress.GetState().String(), "STATE_")
	return fmt.Errorf("tlsagent: %s: the daemon stopped at %s", op, state)
}
