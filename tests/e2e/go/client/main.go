// client: the stock containerd ttrpc client against tlsagentd, and Go's crypto/tls at the other end of its sessions.
//
//	client SOCKET ROOT.pem CHAIN.pem KEY.pem
//
// Runs every check below and prints "PASS name" or "FAIL name: why" for each. The messages are written by hand, as
// far as they are needed: gogo/protobuf, which the client builds on, reads these tags.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// --- messages ---------------------------------------------------------------------------------------------------------

// XXX_NoUnkeyedLiteral in a struct makes it a proto.Message; gogo leaves a field of that name alone. Unmarshal is
// handed a fresh message every time, so that Reset has nothing to do.
type XXX_NoUnkeyedLiteral struct{}

func (*XXX_NoUnkeyedLiteral) Reset()         {}
func (*XXX_NoUnkeyedLiteral) String() string { return "" }
func (*XXX_NoUnkeyedLiteral) ProtoMessage()  {}

type Ping struct {
	XXX_NoUnkeyedLiteral
	Payload []byte `protobuf:"bytes,1,opt,name=payload,proto3"`
}

type HelloRequest struct{ XXX_NoUnkeyedLiteral }

type HelloResponse struct {
	XXX_NoUnkeyedLiteral
	Token   []byte `protobuf:"bytes,1,opt,name=token,proto3"`
	Version string `protobuf:"bytes,2,opt,name=version,proto3"`
	Uid     uint32 `protobuf:"varint,3,opt,name=uid,proto3"`
}

type Material struct {
	XXX_NoUnkeyedLiteral
	Data []byte `protobuf:"bytes,1,opt,name=data,proto3"`
}

type TlsError struct {
	XXX_NoUnkeyedLiteral
	Kind          int32  `protobuf:"varint,1,opt,name=kind,proto3"`
	Reason        string `protobuf:"bytes,7,opt,name=reason,proto3"`
	Text          string `protobuf:"bytes,8,opt,name=text,proto3"`
	VerifyMessage string `protobuf:"bytes,10,opt,name=verify_message,proto3"`
	Item          string `protobuf:"bytes,12,opt,name=item,proto3"`
}

type Certificate struct {
	XXX_NoUnkeyedLiteral
	FingerprintSha256 []byte `protobuf:"bytes,13,opt,name=fingerprint_sha256,proto3"`
	KeyType           string `protobuf:"bytes,15,opt,name=key_type,proto3"`
	Der               []byte `protobuf:"bytes,22,opt,name=der,proto3"`
}

type DecodeRequest struct {
	XXX_NoUnkeyedLiteral
	Certificates *Material `protobuf:"bytes,1,opt,name=certificates,proto3"`
}

type DecodeResponse struct {
	XXX_NoUnkeyedLiteral
	Certificates []*Certificate `protobuf:"bytes,1,rep,name=certificates,proto3"`
	Error        *TlsError      `protobuf:"bytes,2,opt,name=error,proto3"`
}

type VersionBound struct {
	XXX_NoUnkeyedLiteral
	Version int32 `protobuf:"varint,1,opt,name=version,proto3"`
}

type StringValue struct {
	XXX_NoUnkeyedLiteral
	Value string `protobuf:"bytes,1,opt,name=value,proto3"`
}

type ContextSettings struct {
	XXX_NoUnkeyedLiteral
	MinVersion *VersionBound `protobuf:"bytes,1,opt,name=min_version,proto3"`
	MaxVersion *VersionBound `protobuf:"bytes,2,opt,name=max_version,proto3"`
	Ciphers    *StringValue  `protobuf:"bytes,3,opt,name=ciphers,proto3"`
}

type CertificatePair struct {
	XXX_NoUnkeyedLiteral
	Chain *Material `protobuf:"bytes,1,opt,name=chain,proto3"`
	Key   *Material `protobuf:"bytes,2,opt,name=key,proto3"`
}

type TrustSettings struct {
	XXX_NoUnkeyedLiteral
	Certificates []*Material `protobuf:"bytes,1,rep,name=certificates,proto3"`
}

type CreateContextRequest struct {
	XXX_NoUnkeyedLiteral
	Kind     int32              `protobuf:"varint,1,opt,name=kind,proto3"`
	Settings *ContextSettings   `protobuf:"bytes,2,opt,name=settings,proto3"`
	Pairs    []*CertificatePair `protobuf:"bytes,3,rep,name=pairs,proto3"`
	Trust    *TrustSettings     `protobuf:"bytes,4,opt,name=trust,proto3"`
}

type CreateContextResponse struct {
	XXX_NoUnkeyedLiteral
	Context uint64    `protobuf:"varint,1,opt,name=context,proto3"`
	Error   *TlsError `protobuf:"bytes,2,opt,name=error,proto3"`
}

type Feed struct {
	XXX_NoUnkeyedLiteral
	Data []byte `protobuf:"bytes,1,opt,name=data,proto3"`
	Eof  bool   `protobuf:"varint,2,opt,name=eof,proto3"`
}

type MemoryTransport struct {
	XXX_NoUnkeyedLiteral
	Feed *Feed `protobuf:"bytes,1,opt,name=feed,proto3"`
}

type Transport struct {
	XXX_NoUnkeyedLiteral
	Memory *MemoryTransport `protobuf:"bytes,1,opt,name=memory,proto3"`
}

type ConnectRequest struct {
	XXX_NoUnkeyedLiteral
	Context    uint64     `protobuf:"varint,1,opt,name=context,proto3"`
	Transport  *Transport `protobuf:"bytes,2,opt,name=transport,proto3"`
	ServerName string     `protobuf:"bytes,3,opt,name=server_name,proto3"`
}

type AcceptRequest struct {
	XXX_NoUnkeyedLiteral
	Context   uint64     `protobuf:"varint,1,opt,name=context,proto3"`
	Transport *Transport `protobuf:"bytes,2,opt,name=transport,proto3"`
}

type Progress struct {
	XXX_NoUnkeyedLiteral
	State         int32     `protobuf:"varint,1,opt,name=state,proto3"`
	Output        []byte    `protobuf:"bytes,2,opt,name=output,proto3"`
	InputConsumed uint64    `protobuf:"varint,3,opt,name=input_consumed,proto3"`
	Error         *TlsError `protobuf:"bytes,4,opt,name=error,proto3"`
}

type Negotiated struct {
	XXX_NoUnkeyedLiteral
	VersionName string `protobuf:"bytes,2,opt,name=version_name,proto3"`
	ServerName  string `protobuf:"bytes,5,opt,name=server_name,proto3"`
}

type OpenResponse struct {
	XXX_NoUnkeyedLiteral
	Session    uint64      `protobuf:"varint,1,opt,name=session,proto3"`
	Progress   *Progress   `protobuf:"bytes,2,opt,name=progress,proto3"`
	Negotiated *Negotiated `protobuf:"bytes,3,opt,name=negotiated,proto3"`
}

type HandshakeRequest struct {
	XXX_NoUnkeyedLiteral
	Session uint64 `protobuf:"varint,1,opt,name=session,proto3"`
	Feed    *Feed  `protobuf:"bytes,2,opt,name=feed,proto3"`
}

type HandshakeResponse struct {
	XXX_NoUnkeyedLiteral
	Progress   *Progress   `protobuf:"bytes,1,opt,name=progress,proto3"`
	Negotiated *Negotiated `protobuf:"bytes,2,opt,name=negotiated,proto3"`
}

type ReadRequest struct {
	XXX_NoUnkeyedLiteral
	Session  uint64 `protobuf:"varint,1,opt,name=session,proto3"`
	MaxBytes uint32 `protobuf:"varint,2,opt,name=max_bytes,proto3"`
	Feed     *Feed  `protobuf:"bytes,3,opt,name=feed,proto3"`
}

type ReadResponse struct {
	XXX_NoUnkeyedLiteral
	Progress *Progress `protobuf:"bytes,1,opt,name=progress,proto3"`
	Data     []byte    `protobuf:"bytes,2,opt,name=data,proto3"`
}

type WriteRequest struct {
	XXX_NoUnkeyedLiteral
	Session uint64 `protobuf:"varint,1,opt,name=session,proto3"`
	Data    []byte `protobuf:"bytes,2,opt,name=data,proto3"`
}

type WriteResponse struct {
	XXX_NoUnkeyedLiteral
	Progress *Progress `protobuf:"bytes,1,opt,name=progress,proto3"`
	Accepted uint64    `protobuf:"varint,2,opt,name=accepted,proto3"`
}

type ShutdownRequest struct {
	XXX_NoUnkeyedLiteral
	Session uint64 `protobuf:"varint,1,opt,name=session,proto3"`
	Feed    *Feed  `protobuf:"bytes,2,opt,name=feed,proto3"`
}

type ShutdownResponse struct {
	XXX_NoUnkeyedLiteral
	Progress *Progress `protobuf:"bytes,1,opt,name=progress,proto3"`
	Sent     bool      `protobuf:"varint,2,opt,name=sent,proto3"`
}

type CloseRequest struct {
	XXX_NoUnkeyedLiteral
	Session uint64 `protobuf:"varint,1,opt,name=session,proto3"`
}

type CloseResponse struct{ XXX_NoUnkeyedLiteral }

// --- calls ------------------------------------------------------------------------------------------------------------

const (
	contextClient, contextServer             = 2, 3
	stateDone, stateWantRead, stateClosed    = 1, 2, 5
	patience                                 = 60 * time.Second
	agent, contexts, sessions, certificates_ = "AgentService", "ContextService", "SessionService", "CertificateService"
)

type world struct {
	client           *ttrpc.Client
	root, chain, key []byte
}

func (w *world) call(service, method string, request, response proto.Message) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.client.Call(ctx, "tlsagent.v1."+service, method, request, response)
}

func expect(condition bool, format string, args ...interface{}) error {
	if condition {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// --- checks -----------------------------------------------------------------------------------------------------------

func ping(w *world) error {
	for _, size := range []int{0, 1, 100000} {
		payload, answer := bytes.Repeat([]byte("x"), size), &Ping{}
		if err := w.call(agent, "Ping", &Ping{Payload: payload}, answer); err != nil {
			return err
		}
		if !bytes.Equal(answer.Payload, payload) {
			return fmt.Errorf("another payload of %d bytes", len(answer.Payload))
		}
	}
	return nil
}

func hello(w *world) error {
	answer := &HelloResponse{}
	if err := w.call(agent, "Hello", &HelloRequest{}, answer); err != nil {
		return err
	}
	return expect(len(answer.Token) == 16 && answer.Version != "" && int(answer.Uid) == os.Getuid(), "%+v", *answer)
}

// token: does a second connection that sends the token as metadata belong to the same client?
func token(w *world) error {
	first := &HelloResponse{}
	if err := w.call(agent, "Hello", &HelloRequest{}, first); err != nil {
		return err
	}
	conn, err := net.Dial("unix", os.Args[1])
	if err != nil {
		return err
	}
	client, second := ttrpc.NewClient(conn), &HelloResponse{}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx = ttrpc.WithMetadata(ctx, ttrpc.MD{"tlsagent-token": {hex.EncodeToString(first.Token)}})
	if err := client.Call(ctx, "tlsagent.v1."+agent, "Hello", &HelloRequest{}, second); err != nil {
		return err
	}
	return expect(bytes.Equal(first.Token, second.Token), "another client")
}

// statuses: do the daemon's statuses arrive as Go's?
func statuses(w *world) error {
	err := w.call(sessions, "Close", &CloseRequest{Session: 12345}, &CloseResponse{})
	if status.Code(err) != codes.NotFound {
		return fmt.Errorf("a session that is not there: %v", err)
	}
	err = w.call(agent, "NoSuchMethod", &Ping{}, &Ping{})
	if status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("a method that is not there: %v", err)
	}
	err = w.call("NoSuchService", "Ping", &Ping{}, &Ping{})
	return expect(status.Code(err) == codes.Unimplemented, "a service that is not there: %v", err)
}

// concurrent: many goroutines on one connection, each with its own answer.
func concurrent(w *world) error {
	var wait sync.WaitGroup
	errs := make(chan error, 50)
	for i := 0; i < 50; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			payload, answer := []byte(fmt.Sprint(i)), &Ping{}
			if err := w.call(agent, "Ping", &Ping{Payload: payload}, answer); err != nil {
				errs <- err
			} else if !bytes.Equal(answer.Payload, payload) {
				errs <- fmt.Errorf("%s was answered with %s", payload, answer.Payload)
			}
		}(i)
	}
	wait.Wait()
	close(errs)
	return <-errs
}

func decode(w *world) error {
	answer := &DecodeResponse{}
	if err := w.call(certificates_, "Decode", &DecodeRequest{Certificates: &Material{Data: w.chain}}, answer); err != nil {
		return err
	}
	block, rest := pem.Decode(w.chain)
	for i := 0; block != nil; i++ {
		if i >= len(answer.Certificates) {
			return fmt.Errorf("only %d certificates", len(answer.Certificates))
		}
		got, sum := answer.Certificates[i], sha256.Sum256(block.Bytes)
		if !bytes.Equal(got.Der, block.Bytes) || !bytes.Equal(got.FingerprintSha256, sum[:]) {
			return fmt.Errorf("certificate %d is another", i)
		}
		if _, err := x509.ParseCertificate(got.Der); err != nil {
			return err
		}
		block, rest = pem.Decode(rest)
	}
	return nil
}

// refusal: is a bad setting an answer and not an error of the call?
func refusal(w *world) error {
	answer := &CreateContextResponse{}
	request := &CreateContextRequest{Settings: &ContextSettings{Ciphers: &StringValue{Value: "NONSENSE"}}}
	if err := w.call(contexts, "Create", request, answer); err != nil {
		return err
	}
	return expect(answer.Context == 0 && answer.Error != nil && answer.Error.Item == "settings.ciphers", "%+v", answer.Error)
}

// --- a session on the memory path, with Go's TLS at the other end -----------------------------------------------------

type session struct {
	*world
	handle uint64
	conn   net.Conn
	inbox  []byte
	eof    bool
}

func (w *world) context(kind int32, version uint16) (uint64, error) {
	bound, answer := &VersionBound{Version: int32(version)}, &CreateContextResponse{}
	request := &CreateContextRequest{Kind: kind, Settings: &ContextSettings{MinVersion: bound, MaxVersion: bound}}
	if kind == contextServer {
		request.Pairs = []*CertificatePair{{Chain: &Material{Data: w.chain}, Key: &Material{Data: w.key}}}
	} else {
		request.Trust = &TrustSettings{Certificates: []*Material{{Data: w.root}}}
	}
	if err := w.call(contexts, "Create", request, answer); err != nil {
		return 0, err
	}
	if answer.Error != nil {
		return 0, fmt.Errorf("%+v", answer.Error)
	}
	return answer.Context, nil
}

// settle sends what the daemon has for the peer, and drops what it has taken; it reads more when that is wanted.
func (s *session) settle(progress *Progress) error {
	s.inbox = s.inbox[progress.InputConsumed:]
	if len(progress.Output) > 0 {
		if _, err := s.conn.Write(progress.Output); err != nil {
			return err
		}
	}
	if progress.Error != nil {
		return fmt.Errorf("%+v", *progress.Error)
	}
	if progress.State != stateWantRead {
		return nil
	}
	buffer := make([]byte, 16384)
	n, err := s.conn.Read(buffer)
	s.inbox = append(s.inbox, buffer[:n]...)
	s.eof = err == io.EOF
	if s.eof {
		return nil
	}
	return err
}

func (s *session) feed() *Feed {
	return &Feed{Data: s.inbox, Eof: s.eof}
}

func (s *session) handshake() (*Negotiated, error) {
	for {
		answer := &HandshakeResponse{}
		if err := s.call(sessions, "Handshake", &HandshakeRequest{Session: s.handle, Feed: s.feed()}, answer); err != nil {
			return nil, err
		}
		if err := s.settle(answer.Progress); err != nil {
			return nil, err
		}
		if answer.Progress.State == stateDone {
			return answer.Negotiated, nil
		}
	}
}

func (s *session) write(data []byte) error {
	answer := &WriteResponse{}
	if err := s.call(sessions, "Write", &WriteRequest{Session: s.handle, Data: data}, answer); err != nil {
		return err
	}
	if answer.Accepted != uint64(len(data)) {
		return fmt.Errorf("%d of %d bytes were taken", answer.Accepted, len(data))
	}
	return s.settle(answer.Progress)
}

// read gives some plaintext, or nil at the end of the stream.
func (s *session) read() ([]byte, error) {
	for {
		answer := &ReadResponse{}
		if err := s.call(sessions, "Read", &ReadRequest{Session: s.handle, Feed: s.feed()}, answer); err != nil {
			return nil, err
		}
		if err := s.settle(answer.Progress); err != nil {
			return nil, err
		}
		switch answer.Progress.State {
		case stateDone:
			return answer.Data, nil
		case stateClosed:
			return nil, nil
		}
	}
}

func (s *session) close() error {
	answer := &ShutdownResponse{}
	if err := s.call(sessions, "Shutdown", &ShutdownRequest{Session: s.handle}, answer); err != nil {
		return err
	}
	if !answer.Sent {
		return fmt.Errorf("close_notify was not sent")
	}
	if err := s.settle(answer.Progress); err != nil {
		return err
	}
	return s.call(sessions, "Close", &CloseRequest{Session: s.handle}, &CloseResponse{})
}

// open makes a session at one end of a connection, whose other end it gives.
func (w *world) open(kind int32, version uint16) (*session, net.Conn, error) {
	handle, err := w.context(kind, version)
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	far, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	near, err := listener.Accept()
	if err != nil {
		return nil, nil, err
	}
	answer, transport := &OpenResponse{}, &Transport{Memory: &MemoryTransport{Feed: &Feed{}}}
	if kind == contextServer {
		err = w.call(sessions, "Accept", &AcceptRequest{Context: handle, Transport: transport}, answer)
	} else {
		err = w.call(sessions, "Connect", &ConnectRequest{Context: handle, Transport: transport, ServerName: "localhost"}, answer)
	}
	if err != nil {
		return nil, nil, err
	}
	s := &session{world: w, handle: answer.Session, conn: near}
	if len(answer.Progress.Output) > 0 {
		_, err = near.Write(answer.Progress.Output)
	}
	return s, far, err
}

// exchange shakes hands and talks: the far end echoes until the stream ends.
func (s *session) exchange(version string, far *tls.Conn) error {
	echoed := make(chan error, 1)
	go func() {
		_, err := io.Copy(far, far)
		far.Close()
		echoed <- err
	}()
	negotiated, err := s.handshake()
	if err != nil {
		return err
	}
	if negotiated.VersionName != version || negotiated.ServerName != "localhost" {
		return fmt.Errorf("negotiated %+v", *negotiated)
	}
	for _, size := range []int{1, 16384, 100000} {
		data, got := bytes.Repeat([]byte("y"), size), []byte(nil)
		if err := s.write(data); err != nil {
			return err
		}
		for len(got) < size {
			part, err := s.read()
			if err != nil || part == nil {
				return fmt.Errorf("after %d of %d bytes: %v", len(got), size, err)
			}
			got = append(got, part...)
		}
		if !bytes.Equal(got, data) {
			return fmt.Errorf("other bytes came back")
		}
	}
	if err := s.close(); err != nil {
		return err
	}
	return <-echoed
}

func asClient(version uint16, name string) func(*world) error {
	return func(w *world) error {
		pair, err := tls.X509KeyPair(w.chain, w.key)
		if err != nil {
			return err
		}
		s, far, err := w.open(contextClient, version)
		if err != nil {
			return err
		}
		defer s.conn.Close()
		return s.exchange(name, tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair}}))
	}
}

func asServer(version uint16, name string) func(*world) error {
	return func(w *world) error {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(w.root) {
			return fmt.Errorf("no root")
		}
		s, far, err := w.open(contextServer, version)
		if err != nil {
			return err
		}
		defer s.conn.Close()
		return s.exchange(name, tls.Client(far, &tls.Config{RootCAs: roots, ServerName: "localhost"}))
	}
}

// --- main -------------------------------------------------------------------------------------------------------------

var checks = []struct {
	name string
	run  func(*world) error
}{
	{"ping", ping},
	{"hello", hello},
	{"token", token},
	{"statuses", statuses},
	{"concurrent", concurrent},
	{"decode", decode},
	{"refusal", refusal},
	{"client_tls12", asClient(tls.VersionTLS12, "TLSv1.2")},
	{"client_tls13", asClient(tls.VersionTLS13, "TLSv1.3")},
	{"server_tls12", asServer(tls.VersionTLS12, "TLSv1.2")},
	{"server_tls13", asServer(tls.VersionTLS13, "TLSv1.3")},
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: client SOCKET ROOT.pem CHAIN.pem KEY.pem")
		os.Exit(2)
	}
	conn, err := net.Dial("unix", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	w := &world{client: ttrpc.NewClient(conn)}
	for i, into := range []*[]byte{&w.root, &w.chain, &w.key} {
		if *into, err = os.ReadFile(os.Args[2+i]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	for _, check := range checks {
		if err := check.run(w); err != nil {
			fmt.Printf("FAIL %s: %v\n", check.name, err)
		} else {
			fmt.Printf("PASS %s\n", check.name)
		}
	}
	w.client.Close()
}
