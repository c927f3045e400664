#!/usr/bin/python3
"""Gets an https page without a TLS library: fetch.py HOST[:PORT][/PATH] [CA.pem]

Without CA.pem the daemon's system store says whom to trust. The page goes to standard output, its headers with it.
"""
import socket
import sys

import grpc
from memory_tls import MEMORY, SESSIONS, Tls, context, material
from tlsagent.v1 import context_pb2, session_pb2


def fetch(where, ca=None):
    place, _, path = where.partition("/")
    host, _, port = place.partition(":")
    trust = context_pb2.TrustSettings(system=not ca, certificates=[material(ca)] if ca else [])
    client = context(kind=context_pb2.CONTEXT_KIND_CLIENT, trust=trust)
    sock = socket.create_connection((host, int(port or 443)))
    tls = Tls(sock, SESSIONS.Connect(session_pb2.ConnectRequest(context=client, server_name=host, transport=MEMORY)))
    tls.write(f"GET /{path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n".encode())
    while data := tls.read():
        sys.stdout.buffer.write(data)
    tls.close()


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    try:
        fetch(*sys.argv[1:])
    except (OSError, ValueError, grpc.RpcError) as error:
        sys.exit(f"fetch.py: {error}")
