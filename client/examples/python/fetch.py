#!/usr/bin/python3
"""Gets an https page without a TLS library: fetch.py HOST[:PORT][/PATH] [CA.pem]

The daemon makes the connection, which its --allow-dial has to permit. Without CA.pem its system store says whom to trust.
The page goes to standard output, its headers with it.
"""
import os
import sys

import grpc
from tlsagent.v1 import common_pb2, context_pb2, context_pb2_grpc, session_pb2, session_pb2_grpc


def make_context(channel, ca):
    request = context_pb2.CreateContextRequest(kind=context_pb2.CONTEXT_KIND_CLIENT)
    request.trust.system = not ca
    if ca:
        with open(ca, "rb") as file:
            request.trust.certificates.add(data=file.read())
    answer = context_pb2_grpc.ContextServiceStub(channel).Create(request)
    if not answer.context:
        raise ValueError(f"{answer.error.item}: {answer.error.text}")
    return answer.context


def done(progress):
    """A failure of TLS is an answer; grpc.RpcError is one of the call."""
    if progress.state == common_pb2.STATE_FAILED:
        raise ConnectionError(progress.error.verify_message or progress.error.text)
    return progress.state == common_pb2.STATE_DONE


def fetch(where, ca=None):
    place, _, path = where.partition("/")
    host, _, port = place.partition(":")
    channel = grpc.insecure_channel(os.environ["TLSAGENT_SOCKET"])
    request = session_pb2.ConnectRequest(context=make_context(channel, ca))
    request.transport.dial.host, request.transport.dial.port = host, int(port or 443)
    request.first_write = f"GET /{path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n".encode()
    sessions = session_pb2_grpc.SessionServiceStub(channel)
    opened = sessions.Connect(request)
    done(opened.progress)
    while True:
        answer = sessions.Read(session_pb2.ReadRequest(session=opened.session))
        if not done(answer.progress):  # the peer itself said that this was the end
            return
        sys.stdout.buffer.write(answer.data)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3 or "TLSAGENT_SOCKET" not in os.environ:
        sys.exit(__doc__)
    try:
        fetch(*sys.argv[1:])
    except (OSError, ValueError, grpc.RpcError) as error:
        sys.exit(f"fetch.py: {error}")
