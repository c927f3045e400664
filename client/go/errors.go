package tlsagent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	v1 "tlsagent/internal/tlsagentv1"
)

// ErrAgentGone is why a call fails when tlsagentd ends, or ends the connection to it: errors.Is finds it.
var ErrAgentGone = errors.New("tlsagentd has gone, and what it held for this process with it")

var (
	errNoAnswer     = errors.New("tlsagentd doesn't answer")
	errShutdown     = errors.New("tlsagent: the stream was ended by CloseWrite or Close")
	errEarlyClose   = errors.New("tlsagent: CloseWrite before the handshake is complete")
	errNoServerName = errors.New("tlsagent: either ServerName or InsecureSkipVerify must be specified in the Config")
)

// An AgentError is a failure between this process and tlsagentd. The connections that it concerns are lost.
type AgentError struct {
	// Address is the daemon's, or empty when nothing says where it is.
	Address string
	// Err is ErrAgentGone, a failure to connect, or a gRPC status with which the daemon refused a call:
	// ResourceExhausted names the limit that was reached.
	Err error
}

// Error tells where and why.
func (e *AgentError) Error() string {
	return fmt.Sprintf("tlsagent: daemon at unix:%s: %v", e.Address, e.Err)
}

// Unwrap gives Err.
func (e *AgentError) Unwrap() error { return e.Err }

// An Error is a failure of TLS, or a setting that OpenSSL refuses, in OpenSSL's words.
type Error struct {
	// Op is what failed: "handshake", "read", "write", "close", "config", "decode", "export".
	Op string
	// Library and Reason are OpenSSL's mnemonics: "SSL", "NO_SHARED_CIPHER".
	Library, Reason string
	// Text is the reason in words.
	Text string
	// Item is the setting that was refused, by its name in context.proto: "pairs[0].key".
	Item string
	// Err is an AlertError when an alert ended the connection, else nil.
	Err error
}

// Error tells all of it.
func (e *Error) Error() string {
	words := []string{"tlsagent: " + e.Op}
	for _, word := range []string{e.Item, e.Text} {
		if word != "" {
			words = append(words, word)
		}
	}
	if e.Err != nil {
		words = append(words, e.Err.Error())
	}
	return strings.Join(words, ": ")
}

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }

// newError is the error that an answer carries.
func newError(op string, from *v1.TlsError) error {
	switch from.GetKind() {
	case v1.ErrorKind_ERROR_KIND_TRUNCATED:
		return io.ErrUnexpectedEOF
	case v1.ErrorKind_ERROR_KIND_CLOSED_HERE:
		return errShutdown
	}
	failure := &Error{Op: op, Library: from.GetLibrary(), Reason: from.GetReason(), Text: from.GetText(), Item: from.GetItem()}
	if from.GetDetail() != "" {
		failure.Text = from.GetDetail()
	}
	if from.GetAlert() != nil {
		failure.Err = AlertError(from.GetAlert().GetValue())
	}
	return failure
}

// lost is what reading and writing say when a call has failed: the session isn't known to be as it was.
func lost(err error) error {
	if errors.Is(err, context.Canceled) {
		return net.ErrClosed // only Close ends what these calls wait for
	}
	return err
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
