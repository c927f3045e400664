package tlsagent

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

func TestNettest(t *testing.T) {
	nettest.TestConn(t, makePipe)
}

func makePipe() (client, server net.Conn, stop func(), err error) {
	config := serverConfig()
	config.SessionTicketsDisabled = true // unread tickets would have TCP reset what the one that only writes has closed
	listener, err := Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return nil, nil, nil, err
	}
	defer listener.Close()
	accepted := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			server, err = conn, conn.(*Conn).Handshake()
		}
		accepted <- err
	}()
	dialled, err := Dial("tcp", listener.Addr().String(), clientConfig())
	if err != nil {
		return nil, nil, nil, err
	}
	if err := <-accepted; err != nil {
		return nil, nil, nil, err
	}
	return dialled, server, func() { dialled.Close(); server.Close() }, nil
}
