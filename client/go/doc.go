// Package tlsagent does TLS by way of tlsagentd, a daemon that holds the keys, the contexts and the OpenSSL.
//
// It is used as crypto/tls is: a Config, Dial, Listen, Client and Server, and a Conn that is a net.Conn with Handshake,
// HandshakeContext and ConnectionState. Where nothing is said here, what the documentation of crypto/tls says holds.
// Names of things that both have (versions, cipher suites, curves, ClientAuthType, ConnectionState) are crypto/tls's own.
//
//	conn, err := tlsagent.Dial("tcp", "www.example.org:443", nil)
//
//	http.Transport{DialTLSContext: new(tlsagent.Config).DialContext}
//
//	listener, err := tlsagent.Listen("tcp", ":8443", &tlsagent.Config{Certificates: pairs})
//	http.Serve(listener, handler)
//
// # What the daemon does
//
// A Conn reads and writes ciphertext on the net.Conn below it, which may be anything, and has the daemon make and open
// it: plaintext and ciphertext travel in calls over a Unix socket. The handshake's secrets, private keys and the trust
// store are the daemon's. One Agent is one connection to it and serves any number of goroutines; Default is the one that
// TLSAGENT_SOCKET names. When the daemon goes, the connections that it served fail with an *AgentError, and those made
// later ask the daemon that is there then.
//
// # What differs from crypto/tls
//
//   - Certificates are bytes (Certificate), trust is a CertPool of this package: an x509.CertPool can't be enumerated.
//   - Of each key type a Config has one Certificate, as OpenSSL has. There is no choice by name of several.
//   - A stream that ends without close_notify ends with io.ErrUnexpectedEOF, also between two records.
//   - A connection is good after a Write that ran out of time: see SetWriteDeadline.
//   - A Config that makes no sense to OpenSSL is refused by the first handshake (Listen: at once) with an *Error.
//   - A refusal by VerifyPeerCertificate or VerifyConnection is told to the peer by closing, without an alert.
//   - net/http speaks HTTP/2 and fills in Request.TLS for *tls.Conn alone, so that it speaks HTTP/1.1 here.
//     golang.org/x/net/http2 speaks HTTP/2 on a Conn, in both roles.
package tlsagent
