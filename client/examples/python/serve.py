#!/usr/bin/python3
"""Serves an https page without a TLS library: serve.py PORT CHAIN.pem KEY.pem

The key goes to the daemon and stays there. Each connection to 127.0.0.1:PORT gets the page; port 0 takes any that is free.
"""
import contextlib
import os
import socket
import sys

import grpc
from tlsagent.v1 import common_pb2, context_pb2, context_pb2_grpc, session_pb2, session_pb2_grpc

PAGE = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello by gRPC\n"


def make_context(channel, chain, key):
    request = context_pb2.CreateContextRequest(kind=context_pb2.CONTEXT_KIND_SERVER)
    pair = request.pairs.add()
    for material, path in (pair.chain, chain), (pair.key, key):
        with open(path, "rb") as file:
            material.data = file.read()
    answer = context_pb2_grpc.ContextServiceStub(channel).Create(request)
    if not answer.context:
        raise ValueError(f"{answer.error.item}: {answer.error.text}")
    return answer.context


class Tls:
    """The memory path: ciphertext goes through the socket here, and through calls to the daemon and back."""

    def __init__(self, sessions, context, sock):
        self.sessions, self.sock, self.unread = sessions, sock, b""
        memory = session_pb2.Transport(memory=session_pb2.MemoryTransport())
        self.session = sessions.Accept(session_pb2.AcceptRequest(context=context, transport=memory)).session

    def settle(self, progress):
        """What the peer is to get is sent whatever the state is: an alert may be in it."""
        self.sock.sendall(progress.output)
        self.unread = self.unread[progress.input_consumed:]
        if progress.state == common_pb2.STATE_FAILED:
            raise ConnectionError(progress.error.text)
        return progress.state

    def read(self):
        """Some bytes; b"" after the peer's close_notify. The handshake is a part of the first read."""
        eof = False
        while True:
            feed = session_pb2.Feed(data=self.unread, eof=eof)
            answer = self.sessions.Read(session_pb2.ReadRequest(session=self.session, feed=feed))
            if self.settle(answer.progress) != common_pb2.STATE_WANT_READ:
                return answer.data
            more = self.sock.recv(1 << 16)
            self.unread, eof = self.unread + more, not more

    def write(self, data):
        self.settle(self.sessions.Write(session_pb2.WriteRequest(session=self.session, data=data)).progress)
        self.settle(self.sessions.Shutdown(session_pb2.ShutdownRequest(session=self.session)).progress)

    def close(self):
        self.sessions.Close(session_pb2.CloseSessionRequest(session=self.session))


def answer(tls):
    request = b""
    while b"\r\n\r\n" not in request and len(request) < 1 << 16:
        data = tls.read()
        if not data:
            return
        request += data
    tls.write(PAGE)


def serve(port, chain, key):
    channel = grpc.insecure_channel(os.environ["TLSAGENT_SOCKET"])
    context, sessions = make_context(channel, chain, key), session_pb2_grpc.SessionServiceStub(channel)
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        print(f"https://localhost:{listener.getsockname()[1]}/", flush=True)
        while True:
            sock, peer = listener.accept()
            with sock, contextlib.closing(Tls(sessions, context, sock)) as tls:
                try:
                    answer(tls)
                except OSError as error:
                    print(f"{peer[0]}: {error}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 4 or "TLSAGENT_SOCKET" not in os.environ:
        sys.exit(__doc__)
    try:
        serve(*sys.argv[1:])
    except (OSError, ValueError, grpc.RpcError) as error:
        sys.exit(f"serve.py: {error}")
