#!/usr/bin/python3
"""Serves an https page without a TLS library: serve.py PORT CHAIN.pem KEY.pem

The key goes to the daemon and stays there. Each connection to 127.0.0.1:PORT gets the page; port 0 takes any that is free.
"""
import socket
import sys

import grpc
from memory_tls import MEMORY, SESSIONS, Tls, context, material
from tlsagent.v1 import context_pb2, session_pb2

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\nConnection: close\r\n\r\nhello by gRPC\n"


def answer(server, sock):
    tls = Tls(sock, SESSIONS.Accept(session_pb2.AcceptRequest(context=server, transport=MEMORY)))
    request = b""
    while b"\r\n\r\n" not in request and len(request) < 1 << 16:
        data = tls.read()
        if not data:
            break
        request += data
    tls.write(PAGE)
    tls.close()


def serve(port, chain, key):
    pair = context_pb2.CertificatePair(chain=material(chain), key=material(key))
    server = context(kind=context_pb2.CONTEXT_KIND_SERVER, pairs=[pair])
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        print(f"https://localhost:{listener.getsockname()[1]}/", flush=True)
        while True:
            sock, peer = listener.accept()
            with sock:
                try:
                    answer(server, sock)
                except OSError as error:
                    print(f"{peer[0]}: {error}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        serve(*sys.argv[1:])
    except (OSError, ValueError, grpc.RpcError) as error:
        sys.exit(f"serve.py: {error}")
