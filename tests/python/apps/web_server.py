"""http.server over TLS: what `python3 -m http.server` would be with a certificate.

  web_server.py FOLDER CERTIFICATE KEY [CLIENT_CA]

Serves the files in FOLDER; at /tls, as JSON, what the server knows of the connection; and what is POSTed, backwards. With
CLIENT_CA a client needs a certificate of it. Prints its port; ends with its standard input.
"""

import functools
import http.server
import json
import ssl
import sys
import threading

import surroundings


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/tls":
            self.answer(json.dumps(self.tls()).encode(), "application/json")
        else:
            super().do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(body[::-1], "application/octet-stream")

    def tls(self):
        connection = self.connection
        return {"version": connection.version(), "cipher": connection.cipher(), "peer": connection.getpeercert(),
                "session_reused": connection.session_reused, "proxied": self.headers.get("Via"),
                "client_port": self.client_address[1]}


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, context, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.context = context

    def finish_request(self, request, client_address):
        """The handshake is done by the connection's own thread: who stalls, stalls nobody else."""
        request.settimeout(30)
        with self.context.wrap_socket(request, server_side=True) as tls:
            super().finish_request(tls, client_address)
            tls.unwrap()

    def handle_error(self, request, client_address):
        print(f"{type(sys.exc_info()[1]).__name__}: {sys.exc_info()[1]}", file=sys.stderr)


def main():
    folder, certificate, key, *client_ca = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca[0])
        context.verify_mode = ssl.CERT_REQUIRED
    server = Server(context, functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()
    server.server_close()
    surroundings.check()


if __name__ == "__main__":
    main()
