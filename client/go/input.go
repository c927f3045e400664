package tlsagent

import (
	"errors"
	"io"
	"net"

	v1 "tlsagent/internal/tlsagentv1"
)

const (
	inputLeast = 4 << 10
	// inputMost with what the session may have of a record already stays well below the daemon's limit read_bytes.
	inputMost = 64 << 10
	recordMax = 16 << 10
)

// An input is ciphertext that has come from the peer and that the daemon hasn't taken yet.
type input struct {
	buffer []byte // grows while reads fill it
	unused []byte // within buffer
	filled bool   // the last read took all of buffer
	eof    bool   // the transport has ended
}

// receive reads once, when all is used. The end of the transport is no error: the daemon says what it means.
func (i *input) receive(from net.Conn) error {
	i.makeRoom()
	n, err := from.Read(i.buffer)
	i.unused = i.buffer[:n]
	i.filled = n == len(i.buffer)
	if errors.Is(err, io.EOF) {
		i.eof = true
		return nil
	}
	if n > 0 {
		return nil // what failed will fail again
	}
	return err
}

func (i *input) makeRoom() {
	if i.buffer == nil {
		i.buffer = make([]byte, inputLeast)
	} else if i.filled && len(i.buffer) < inputMost {
		i.buffer = make([]byte, 2*len(i.buffer))
	}
}

// feed is what the next call brings along.
func (i *input) feed() *v1.Feed {
	return &v1.Feed{Data: i.unused, Eof: i.eof}
}

// used drops what a call has taken. It is an error when the call wants more than there will be.
func (i *input) used(progress *v1.Progress) error {
	taken := progress.GetInputConsumed()
	if taken > uint64(len(i.unused)) {
		return unexpected("read", progress)
	}
	i.unused = i.unused[taken:]
	if progress.GetState() == v1.State_STATE_WANT_READ && taken == 0 && (i.eof || len(i.unused) != 0) {
		return io.ErrUnexpectedEOF
	}
	return nil
}
