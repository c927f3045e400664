"""The cells by Python's own ssl, asyncio and http, whose _ssl is tlsagent's. conformance_test.py says what each has to do."""
import _ssl
import asyncio
import http.client
import http.server
import socket
import ssl
import sys

if not _ssl.__file__.endswith("_ssl.abi3.so"):
    sys.exit(f"this is another _ssl: {_ssl.__file__}")

A_MOMENT = 0.5


def say(**facts):
    for name, value in facts.items():
        print(f"{name}={value}", flush=True)


def client(ca, pair=()):
    context = ssl.create_default_context(cafile=ca)
    if pair:
        context.load_cert_chain(*pair)
    return context


def connect(context, port, **options):
    return context.wrap_socket(socket.create_connection(("localhost", int(port))), server_hostname="localhost", **options)


def get(port, ca, *pair):
    connection = http.client.HTTPSConnection("localhost", int(port), context=client(ca, pair))
    connection.request("GET", "/page", headers={"Connection": "close"})
    response = connection.getresponse()
    say(status=response.status, body=response.read().decode().strip())


def page(tls):
    tls.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head, _, body = b"".join(iter(lambda: tls.recv(1 << 16), b"")).partition(b"\r\n\r\n")
    say(status=head.split()[1].decode(), body=body.decode().strip())


def alpn(port, ca):
    context = client(ca)
    context.set_alpn_protocols(["matrix/2", "http/1.1"])
    with connect(context, port) as tls:
        say(alpn=tls.selected_alpn_protocol())
        page(tls)


def resume(port, ca):
    context, session = client(ca), None
    for _ in range(2):
        with connect(context, port, session=session) as tls:
            page(tls)
            say(resumed=tls.session_reused)
            session = tls.session


def cancel(port, ca):
    async def main():
        reader, writer = await asyncio.open_connection("localhost", int(port), ssl=client(ca))
        waiting = asyncio.ensure_future(reader.readline())
        asyncio.get_running_loop().call_later(A_MOMENT, waiting.cancel)
        try:
            await waiting
        except asyncio.CancelledError as error:
            say(cancelled=type(error).__name__)
        writer.write(b"question\n")
        say(then=(await reader.readline()).decode().strip())
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())


def deadline(port, ca):
    with connect(client(ca), port) as tls:
        tls.settimeout(A_MOMENT)
        try:
            tls.recv(1)
        except TimeoutError as error:
            say(expired=type(error).__name__)
        tls.settimeout(20)
        tls.sendall(b"question\n")
        say(then=tls.recv(100).decode().strip())
        tls.unwrap()


def bulk(port, ca, source, target):
    with connect(client(ca), port) as tls, open(source, "rb") as give, open(target, "wb") as take:
        tls.sendfile(give)
        for part in iter(lambda: tls.recv(1 << 20), b""):
            take.write(part)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        say(request=self.requestline)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"conformance\n")


def serve(*pair):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*pair)
    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    say(port=server.server_port)
    server.serve_forever()


def decode(path):
    """Of a chain the first alone: what ssl has for it is a test's own helper, and a file of one certificate."""
    one = _ssl._test_decode_cert(path)
    say(cn=dict(pair for step in one["subject"] for pair in step)["commonName"],
        names=",".join(value for kind, value in one["subjectAltName"]), until=ssl.cert_time_to_seconds(one["notAfter"]))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
