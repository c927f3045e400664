"""The cells by grpcio, with stubs as protoc makes them. conformance_test.py says what each cell has to do and to print."""
import os
import socket
import sys
import threading

import grpc
from tlsagent.v1 import (certificate_pb2, certificate_pb2_grpc, common_pb2, context_pb2, context_pb2_grpc, session_pb2,
                         session_pb2_grpc)

CHANNEL = grpc.insecure_channel(os.environ["TLSAGENT_SOCKET"])
SESSIONS = session_pb2_grpc.SessionServiceStub(CHANNEL)
GET = b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
MOST = 1 << 20
A_MOMENT = 0.5


def say(**facts):
    for name, value in facts.items():
        print(f"{name}={value}", flush=True)


def material(path):
    with open(path, "rb") as file:
        return common_pb2.Material(data=file.read())


def context(kind, pair=(), **fields):
    pairs = [context_pb2.CertificatePair(chain=material(pair[0]), key=material(pair[1]))] if pair else []
    answer = context_pb2_grpc.ContextServiceStub(CHANNEL).Create(
        context_pb2.CreateContextRequest(kind=kind, pairs=pairs, **fields))
    if not answer.context:
        sys.exit(f"{answer.error.item}: {answer.error.text}")
    return answer.context


def client(ca, pair=(), alpn=()):
    settings = context_pb2.ContextSettings(alpn=context_pb2.AlpnSettings(protocols=alpn) if alpn else None)
    return context(context_pb2.CONTEXT_KIND_CLIENT, pair, settings=settings,
                   trust=context_pb2.TrustSettings(certificates=[material(ca)]))


def check(progress):
    if progress.state == common_pb2.STATE_FAILED:
        sys.exit(progress.error.verify_message or progress.error.text)
    return progress.state


class Session:
    """A connection that the daemon makes."""

    def __init__(self, context_, port, resumption=None):
        request = session_pb2.ConnectRequest(context=context_, resumption=resumption)
        request.transport.dial.host, request.transport.dial.port = "localhost", int(port)
        self.opened = SESSIONS.Connect(request)
        check(self.opened.progress)
        self.id = self.opened.session

    def write(self, data):
        for start in range(0, len(data), MOST):
            part = data[start:start + MOST]
            while part:
                answer = SESSIONS.Write(session_pb2.WriteRequest(session=self.id, data=part))
                check(answer.progress)
                part = part[answer.accepted:]

    def read(self):
        """Some bytes; none at the end that the peer has told of."""
        answer = SESSIONS.Read(session_pb2.ReadRequest(session=self.id, max_bytes=MOST))
        check(answer.progress)
        return answer.data

    def rest(self):
        return b"".join(iter(self.read, b""))

    def page(self):
        self.write(GET)
        head, _, body = self.rest().partition(b"\r\n\r\n")
        say(status=head.split()[1].decode(), body=body.decode().strip())

    def ask(self):
        self.write(b"question\n")
        say(then=self.read().decode().strip())

    def close(self):
        SESSIONS.Shutdown(session_pb2.ShutdownRequest(session=self.id))
        SESSIONS.Close(session_pb2.CloseSessionRequest(session=self.id))


def get(port, ca, *pair):
    session = Session(client(ca, pair), port)
    session.page()
    session.close()


def alpn(port, ca):
    session = Session(client(ca, alpn=[b"matrix/2", b"http/1.1"]), port)
    say(alpn=session.opened.negotiated.alpn.decode())
    session.page()
    session.close()


def resume(port, ca):
    made, resumption = client(ca), None
    for _ in range(2):
        session = Session(made, port, resumption)
        session.page()
        say(resumed=session.opened.negotiated.resumed)
        resumption = SESSIONS.GetResumption(session_pb2.GetResumptionRequest(session=session.id)).resumption
        session.close()


def cancel(port, ca):
    session = Session(client(ca), port)
    waiting = SESSIONS.Read.future(session_pb2.ReadRequest(session=session.id))
    threading.Timer(A_MOMENT, waiting.cancel).start()
    try:
        waiting.result()
    except grpc.FutureCancelledError:
        say(cancelled=waiting.code().name)
    session.ask()
    session.close()


def deadline(port, ca):
    session = Session(client(ca), port)
    try:
        SESSIONS.Read(session_pb2.ReadRequest(session=session.id), timeout=A_MOMENT)
    except grpc.RpcError as error:
        say(expired=error.code().name)
    session.ask()
    session.close()


def bulk(port, ca, source, target):
    session = Session(client(ca), port)
    with open(source, "rb") as file:
        session.write(file.read())
    with open(target, "wb") as file:
        file.write(session.rest())
    session.close()


def answer(server, sock):
    """The memory path: ciphertext goes through this process."""
    memory = session_pb2.Transport(memory=session_pb2.MemoryTransport())
    session = SESSIONS.Accept(session_pb2.AcceptRequest(context=server, transport=memory)).session
    request = unread = b""
    try:
        while b"\r\n\r\n" not in request:
            read = SESSIONS.Read(session_pb2.ReadRequest(session=session, feed=session_pb2.Feed(data=unread)))
            sock.sendall(read.progress.output)
            unread, request = unread[read.progress.input_consumed:], request + read.data
            if read.progress.state in (common_pb2.STATE_FAILED, common_pb2.STATE_CLOSED):
                return
            if read.progress.state == common_pb2.STATE_WANT_READ:
                more = sock.recv(1 << 16)
                if not more:
                    return
                unread += more
        say(request=request.split(b"\r\n")[0].decode())
        page = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nconformance\n"
        sock.sendall(SESSIONS.Write(session_pb2.WriteRequest(session=session, data=page)).progress.output)
        sock.sendall(SESSIONS.Shutdown(session_pb2.ShutdownRequest(session=session)).progress.output)
    finally:
        SESSIONS.Close(session_pb2.CloseSessionRequest(session=session))
        sock.close()


def serve(*pair):
    server = context(context_pb2.CONTEXT_KIND_SERVER, pair)
    listener = socket.create_server(("127.0.0.1", 0))
    say(port=listener.getsockname()[1])
    while True:
        try:
            answer(server, listener.accept()[0])
        except ConnectionError as error:
            print(error, file=sys.stderr)


def decode(path):
    answer = certificate_pb2_grpc.CertificateServiceStub(CHANNEL).Decode(
        certificate_pb2.DecodeRequest(certificates=material(path)))
    if answer.HasField("error"):
        sys.exit(answer.error.text)
    for one in answer.certificates:
        say(cn=[a.text for step in one.subject for a in step.attributes if a.short_type == "CN"][0],
            names=",".join(name.text for name in one.subject_alt_names), until=one.not_after_unix)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
