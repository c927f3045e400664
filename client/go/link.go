package tlsagent

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
)

const (
	// callPatience is how long a daemon may take for one call. None of ours waits for a peer.
	callPatience = 60 * time.Second
	// callsInFlight stays below the daemon's limit calls_per_connection, and what as many Reads bring below
	// queued_bytes: past these it refuses.
	callsInFlight = 32
)

// A link is one connection to the daemon. What was made over it ends with it.
type link struct {
	address string
	client  *ttrpc.Client
	slots   chan struct{} // one is taken by each call in flight
	gone    chan struct{} // closed when the connection is
}

func newLink(address string, conn net.Conn) *link {
	l := &link{address: address, slots: make(chan struct{}, callsInFlight), gone: make(chan struct{})}
	l.client = ttrpc.NewClient(conn, ttrpc.WithOnClose(func() { close(l.gone) }))
	return l
}

func (l *link) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

func (l *link) close() {
	l.client.Close()
	<-l.gone
}

// call calls "Service.Method". An error is the call's: a failure of TLS is in the response.
func (l *link) call(ctx context.Context, method string, request, response proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-l.gone:
		return l.explain(ttrpc.ErrClosed)
	case <-ctx.Done():
		return l.explain(ctx.Err())
	}
	service, name, _ := strings.Cut(method, ".")
	return l.explain(l.client.Call(ctx, "tlsagent.v1."+service, name, envelope{request}, envelope{response}))
}

func (l *link) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &AgentError{Address: l.address, Err: errNoAnswer}
	case errors.Is(err, ttrpc.ErrClosed), errors.As(err, new(*net.OpError)):
		return &AgentError{Address: l.address, Err: ErrAgentGone}
	}
	return &AgentError{Address: l.address, Err: err}
}

// An envelope brings a message through ttrpc. Up to 1.1 that packs by gogo/protobuf, which leaves it to whoever has these
// methods, and panics at the structs of google.golang.org/protobuf; from 1.2 on it packs by that.
type envelope struct {
	proto.Message
}

// Marshal packs the message.
func (e envelope) Marshal() ([]byte, error) { return proto.Marshal(e.Message) }

// Unmarshal takes the message from data.
func (e envelope) Unmarshal(data []byte) error { return proto.Unmarshal(data, e.Message) }

// Reset has nothing to do: each call has a new message.
func (e envelope) Reset() {}

// String tells nothing: a message may hold secrets.
func (e envelope) String() string { return "tlsagent message" }

// ProtoMessage makes it a message.
func (e envelope) ProtoMessage() {}
