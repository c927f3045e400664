"""TLS for a socket of this process by tlsagentd: what fetch.py and serve.py share.

The stubs are stock ones, generated into this folder or any that is on PYTHONPATH (README.md says how).
"""
import os

import grpc
from tlsagent.v1 import common_pb2, context_pb2, context_pb2_grpc, session_pb2, session_pb2_grpc

ADDRESS = os.environ.get("TLSAGENT_SOCKET") or f"unix:{os.environ['XDG_RUNTIME_DIR']}/tlsagent.sock"
CHANNEL = grpc.insecure_channel(ADDRESS)
CONTEXTS = context_pb2_grpc.ContextServiceStub(CHANNEL)
SESSIONS = session_pb2_grpc.SessionServiceStub(CHANNEL)
MEMORY = session_pb2.Transport(memory=session_pb2.MemoryTransport())


class Tls:
    """The memory path: ciphertext goes through the socket here, and through calls to the daemon and back."""

    def __init__(self, sock, opened):
        self.sock, self.session, self.unread = sock, opened.session, b""
        if self.settle(opened.progress) != common_pb2.STATE_DONE:
            self.call(SESSIONS.Handshake, session_pb2.HandshakeRequest)

    def settle(self, progress):
        """What the peer is to get is sent whatever the state is: an alert may be in it."""
        self.sock.sendall(progress.output)
        self.unread = self.unread[progress.input_consumed:]
        if progress.state == common_pb2.STATE_FAILED:
            raise ConnectionError(progress.error.verify_message or progress.error.text)
        return progress.state

    def call(self, method, request, **fields):
        eof = False
        while True:
            feed = session_pb2.Feed(data=self.unread, eof=eof)
            answer = method(request(session=self.session, feed=feed, **fields))
            if self.settle(answer.progress) != common_pb2.STATE_WANT_READ:
                return answer
            more = self.sock.recv(1 << 16)
            self.unread, eof = self.unread + more, not more

    def read(self):
        """b"" after the peer's close_notify."""
        return self.call(SESSIONS.Read, session_pb2.ReadRequest).data

    def write(self, data):
        self.call(SESSIONS.Write, session_pb2.WriteRequest, data=data)

    def close(self):
        self.settle(SESSIONS.Shutdown(session_pb2.ShutdownRequest(session=self.session)).progress)
        SESSIONS.Close(session_pb2.CloseSessionRequest(session=self.session))
        self.sock.close()


def context(**fields):
    answer = CONTEXTS.Create(context_pb2.CreateContextRequest(**fields))
    if not answer.context:
        raise ValueError(f"{answer.error.item}: {answer.error.text or answer.error.reason}")
    return answer.context


def material(path):
    with open(path, "rb") as file:
        return common_pb2.Material(data=file.read())
