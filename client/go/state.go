package tlsagent

import (
	"context"
	"crypto/tls"
	"crypto/x509"

	v1 "tlsagent/internal/tlsagentv1"
)

// establish learns what was agreed on, asks the hooks, and only then sends what ends the handshake for the peer.
func (c *Conn) establish(ctx context.Context, said greeting) error {
	agreed := said.GetNegotiated()
	c.state = tls.ConnectionState{
		Version:                    uint16(agreed.GetVersion()),
		HandshakeComplete:          true,
		DidResume:                  agreed.GetResumed(),
		CipherSuite:                uint16(agreed.GetCipher().GetId()),
		NegotiatedProtocol:         string(agreed.GetAlpn()),
		NegotiatedProtocolIsMutual: true,
		ServerName:                 c.serverName,
	}
	if c.role == roleServer {
		c.state.ServerName = agreed.GetServerName()
	}
	if err := c.learnPeer(ctx, said.GetPeer()); err != nil {
		return err
	}
	if err := c.askHooks(); err != nil {
		return err
	}
	return c.flush()
}

// learnPeer fills in the peer's certificates, if it showed any.
func (c *Conn) learnPeer(ctx context.Context, peer *v1.Peer) error {
	if len(peer.GetDer()) == 0 {
		return nil
	}
	answer := &v1.PeerCertificateResponse{}
	err := c.session.ask(ctx, "PeerCertificate", &v1.PeerCertificateRequest{Session: c.session.handle}, answer)
	if err != nil {
		return err
	}
	sent := answer.GetUnverifiedChain()
	if len(sent) == 0 {
		sent = [][]byte{peer.GetDer()} // a resumed session has kept no more
	}
	if c.state.PeerCertificates, err = parseAll(sent); err != nil {
		return err
	}
	if chain := answer.GetVerifiedChain(); c.config.verifies(c.role) && len(chain) != 0 {
		return c.learnChain(chain)
	}
	c.recallChains()
	return nil
}

func (c *Conn) learnChain(ders [][]byte) error {
	chain, err := parseAll(ders)
	c.state.VerifiedChains = [][]*x509.Certificate{chain}
	return err
}

func parseAll(ders [][]byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range ders {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &Error{Op: "handshake", Text: "the peer's certificate: " + err.Error()}
		}
		out = append(out, certificate)
	}
	return out, nil
}

func (c *Conn) askHooks() error {
	if ask := c.config.VerifyPeerCertificate; ask != nil && len(c.state.PeerCertificates) != 0 && !c.state.DidResume {
		if err := ask(rawOf(c.state.PeerCertificates), c.state.VerifiedChains); err != nil {
			return err
		}
	}
	if ask := c.config.VerifyConnection; ask != nil {
		return ask(c.state)
	}
	return nil
}

func rawOf(certificates []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, certificate := range certificates {
		out = append(out, certificate.Raw)
	}
	return out
}

// ConnectionState returns what was agreed on. It waits for a handshake that goes on, and is empty before one. The method
// ExportKeyingMaterial of what it returns can't be used, since crypto/tls knows no secrets of this connection: Conn has it.
func (c *Conn) ConnectionState() tls.ConnectionState {
	c.handshake.Lock()
	defer c.handshake.Unlock()
	if !c.handshakeDone() {
		return tls.ConnectionState{ServerName: c.serverName}
	}
	return c.state
}

// VerifyHostname says whether the peer's certificate is good for a host, after a handshake that has verified it.
func (c *Conn) VerifyHostname(host string) error {
	state := c.ConnectionState()
	switch {
	case c.role != roleClient:
		return &Error{Op: "VerifyHostname", Text: "called on a server's side"}
	case !state.HandshakeComplete:
		return &Error{Op: "VerifyHostname", Text: "the handshake isn't done"}
	case len(state.VerifiedChains) == 0:
		return &Error{Op: "VerifyHostname", Text: "the certificate was not verified"}
	}
	return state.PeerCertificates[0].VerifyHostname(host)
}

// ExportKeyingMaterial derives length bytes from the connection's secrets (RFC 5705). In TLS 1.2 a nil context and an
// empty one differ.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	request := &v1.ExportKeyingMaterialRequest{Session: c.session.handle, Label: label, Length: uint32(length)}
	if context != nil {
		request.ContextValue = &v1.BytesValue{Value: context}
	}
	answer := &v1.ExportKeyingMaterialResponse{}
	if err := c.session.ask(c.session.ctx, "ExportKeyingMaterial", request, answer); err != nil {
		return nil, err
	}
	if answer.GetError() != nil {
		return nil, newError("export", answer.GetError())
	}
	return answer.GetData(), nil
}
