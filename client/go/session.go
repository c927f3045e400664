package tlsagent

import (
	"context"

	"google.golang.org/protobuf/proto"

	v1 "tlsagent/internal/tlsagentv1"
)

// A session is the daemon's side of a Conn. Its calls take turns, so that ciphertext is collected in the order in which
// it was made, whoever asked for it.
type session struct {
	turn chan struct{} // holds one token; whoever has taken it may touch what is below

	context *tlsContext // set by open, as handle is
	handle  uint64      // 0 when the daemon has none
	output  []byte      // ciphertext for the peer

	ctx context.Context // ends with the Conn
	end context.CancelFunc
}

func newSession() *session {
	s := &session{turn: make(chan struct{}, 1)}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.turn <- struct{}{}
	return s
}

// An answer is a response to a call that drives the session.
type answer interface {
	proto.Message
	GetProgress() *v1.Progress
}

// An opening is the answer to a call that makes a session.
type opening interface {
	greeting
	GetSession() uint64
}

// open makes the session, in a context. When ctx ends first, the call goes on by itself: its answer has the handle that
// close needs.
func (s *session) open(ctx context.Context, in *tlsContext, verb string, request proto.Message, response opening) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	s.context = in
	made := make(chan error, 1)
	go func() {
		defer s.give()
		err := in.link.call(context.Background(), "SessionService."+verb, request, response)
		s.handle = response.GetSession()
		s.output = response.GetProgress().GetOutput()
		made <- err
	}()
	select {
	case err := <-made:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call makes a call in its turn, and collects the ciphertext that it brings.
func (s *session) call(ctx context.Context, verb string, request proto.Message, response answer) (*v1.Progress, error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	if err := s.context.link.call(ctx, "SessionService."+verb, request, response); err != nil {
		return nil, err
	}
	progress := response.GetProgress()
	s.output = append(s.output, progress.GetOutput()...)
	return progress, nil
}

// ask makes a call that brings no ciphertext.
func (s *session) ask(ctx context.Context, verb string, request, response proto.Message) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	return s.context.link.call(ctx, "SessionService."+verb, request, response)
}

// takeOutput gives the ciphertext that has been collected, which is the caller's then.
func (s *session) takeOutput() []byte {
	<-s.turn
	defer s.give()
	output := s.output
	s.output = nil
	return output
}

func (s *session) take(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) give() { s.turn <- struct{}{} }

// close has the daemon forget the session, and calls that still wait for it end.
func (s *session) close(ctx context.Context) {
	s.end()
	if s.take(ctx) != nil {
		return
	}
	defer s.give()
	if s.handle != 0 {
		s.context.link.call(ctx, "SessionService.Close", &v1.CloseSessionRequest{Session: s.handle}, &v1.CloseSessionResponse{})
	}
}
