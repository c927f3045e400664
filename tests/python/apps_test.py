"""Three real applications on Pythons whose TLS is all tlsagentd's: http.server, asyncio streams, requests.

The programs in apps/ run by `tlsagent exec` and end badly when their process has a libssl. Their peers are curl, each
other, and this process, which has Python's own ssl."""

import contextlib
import json
import os
import re
import select
import socket
import subprocess
import tempfile
import threading

import peers
import pki
import timing
from e2e import E2ETest, each

CLI = os.environ["TLSAGENT_CLI"]
APPS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "apps")
PYTHON = "/usr/bin/python3"
STOCK = "TLSAGENT_APPS_STOCK" in os.environ

CONNECTIONS = 500


class AppTest(E2ETest):
    def environment(self):
        names = {name: value for name, value in os.environ.items()
                 if not name.startswith("PYTHON") and "proxy" not in name.lower()}
        return {**names, "TLSAGENT_SOCKET": "unix:" + self.daemon.path, "PYTHONDONTWRITEBYTECODE": "1"}

    def command(self, app, *args):
        by_exec = [] if STOCK else [CLI, "exec", "--"]
        return [*by_exec, PYTHON, os.path.join(APPS, app), *map(str, args)]

    def run_app(self, app, *args):
        """What it prints, as JSON."""
        done = subprocess.run(self.command(app, *args), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=4 * timing.PATIENCE, env=self.environment())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def start_app(self, app, *args):
        """(program, its port); finish() it."""
        program = peers.Program(*self.command(app, *args), env=self.environment())
        self.addCleanup(program.stop)
        return program, int(program.wait_for(rb"^(\d+)\n")[1])

    def finish(self, program):
        """Ends its input, and wants it to end well."""
        self.assertEqual(program.wait(), 0, program.text())
        return program.text()


class WebServer(AppTest):
    """http.server, and curl against it."""

    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tlsagent-apps-"))
        self.content = os.urandom(5_000_000)
        with open(os.path.join(self.folder, "file"), "wb") as file:
            file.write(self.content)
        self.output = os.path.join(self.folder, "output")

    def serve(self, *client_ca):
        pair = pki.server("ecdsa")
        self.server, self.port = self.start_app("web_server.py", self.folder, pair.chain_path, pair.key_path, *client_ca)

    def curl(self, *options, code=0, ca=None):
        done = subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert",
                               (ca or pki.root()).path, *options], capture_output=True, timeout=timing.PATIENCE)
        self.assertIn(done.returncode, code if isinstance(code, tuple) else (code,), done.stderr)
        return done.stdout

    def url(self, path="/file"):
        return f"https://localhost:{self.port}{path}"

    @each(version={"1.2": ["--tls-max", "1.2"], "1.3": ["--tlsv1.3"]})
    def test_a_file_and_what_was_agreed(self, version):
        self.serve()
        self.assertEqual(self.curl(*version, self.url()), self.content)
        told = json.loads(self.curl(*version, self.url("/tls")))
        self.assertEqual(told["version"], "TLSv1.2" if "1.2" in version else "TLSv1.3")
        self.assertEqual(told["peer"], None)
        self.finish(self.server)

    def test_many_requests_by_one_connection(self):
        self.serve()
        told = self.curl(*[self.url("/tls")] * 20).decode().replace("}{", "}\n{").split("\n")
        self.assertEqual(len({json.loads(line)["client_port"] for line in told}), 1)
        self.finish(self.server)

    def test_a_large_post(self):
        self.serve()
        self.assertEqual(self.curl("--data-binary", "@" + self.folder + "/file", self.url("/")), self.content[::-1])
        self.finish(self.server)

    def test_forty_at_a_time(self):
        self.serve()
        urls = [word for number in range(40) for word in ("-o", f"{self.output}.{number}", self.url())]
        self.curl("--parallel", "--parallel-immediate", "--parallel-max", "40", *urls)
        for number in range(40):
            with open(f"{self.output}.{number}", "rb") as file:
                self.assertEqual(file.read(), self.content)
        self.finish(self.server)

    def test_client_certificates(self):
        self.serve(pki.root().path)
        pair = pki.client("rsa")
        told = json.loads(self.curl("--cert", pair.chain_path, "--key", pair.key_path, self.url("/tls")))
        self.assertIn([["commonName", "client-rsa"]], told["peer"]["subject"])
        self.curl(self.url("/tls"), code=(55, 56))  # it depends on who is faster
        self.assertIn("peer did not return a certificate", self.finish(self.server))

    def test_whoever_breaks_off_disturbs_nobody(self):
        self.serve()
        with socket.create_connection(("127.0.0.1", self.port)) as clear:
            clear.sendall(b"GET / HTTP/1.0\r\n\r\n")
            clear.settimeout(timing.PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                while clear.recv(4096):
                    pass
        self.curl(self.url(), code=60, ca=pki.other_root())
        self.assertEqual(self.curl(self.url()), self.content)
        said = self.finish(self.server)
        self.assertRegex(said, r"SSLError: \[SSL: HTTP_REQUEST\] http request")
        self.assertRegex(said, r"SSLError: \[SSL: TLSV1_ALERT_UNKNOWN_CA\]")


class Streams(AppTest):
    """asyncio, on both sides."""

    def test_five_hundred_connections_at_a_time(self):
        pair = pki.server("ecdsa")
        server, port = self.start_app("streams.py", "serve", pair.chain_path, pair.key_path)
        told = self.run_app("streams.py", "connect", port, pki.root().path, CONNECTIONS)
        self.assertEqual(told, {"done": CONNECTIONS, "versions": ["TLSv1.3"]})
        told = json.loads(self.finish(server).split("\n")[1])
        self.assertEqual(told, {"most": CONNECTIONS, "total": CONNECTIONS, "left": 0})


class Proxy:
    """A small HTTP proxy that can CONNECT, in the clear or behind TLS."""

    def __init__(self, pair=None):
        self.context = peers.python_context(True, pair=pair) if pair else None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.asked = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"http{'s' if self.context else ''}://localhost:{self.listener.getsockname()[1]}"

    def accept(self):
        with contextlib.suppress(OSError):  # the end: it is closed
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(OSError), client:
            if self.context:
                client = self.context.wrap_socket(client, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096) or b"\r\n\r\n"
            self.asked.append(head.split(b"\r\n")[0].decode())
            host, port = re.match(rb"CONNECT ([^:]+):(\d+)", head).groups()
            with socket.create_connection((host.decode(), int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                self.pump(client, server)

    def pump(self, client, server):
        while True:
            pending = client.pending() if self.context else 0
            ready = [client] if pending else select.select([client, server], [], [])[0]
            for one in ready:
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)

    def close(self):
        self.listener.close()


class Requests(AppTest):
    """requests and urllib3, against http.server: both sides are ours."""

    def setUp(self):
        super().setUp()
        self.serve(pki.server("ecdsa"))

    def serve(self, pair):
        client, nothing = pki.client("ecdsa"), "/var/empty"
        self.server, port = self.start_app("web_server.py", nothing, pair.chain_path, pair.key_path, pki.root().path)
        self.order = {"url": f"https://localhost:{port}/tls", "ca": pki.root().path,
                      "client": [client.chain_path, client.key_path]}

    def pages(self, verb, **more):
        return self.run_app("pages.py", verb, json.dumps({**self.order, **more}))

    def proxy(self, *pair):
        proxy = Proxy(*pair)
        self.addCleanup(proxy.close)
        return proxy

    def check_answer(self, told):
        self.assertTrue(told["posted"])
        for answer in told["answers"]:
            self.assertEqual(answer["version"], "TLSv1.3")
            self.assertIn([["commonName", "client-ecdsa"]], answer["peer"]["subject"])

    def test_client_certificates_and_one_connection_for_all(self):
        told = self.pages("get", times=5)
        self.check_answer(told)
        self.assertEqual(len({answer["client_port"] for answer in told["answers"]}), 1)
        self.finish(self.server)

    @each(version=("TLSv1_2", "TLSv1_3"))
    def test_sessions_are_resumed(self, version):
        answers = self.pages("resume", version=version, times=4)["answers"]
        self.assertEqual([answer["session_reused"] for answer in answers], [False, True, True, True])
        self.assertEqual([answer["client_says_reused"] for answer in answers], [False, True, True, True])
        self.assertEqual(len({answer["client_port"] for answer in answers}), 4)
        self.finish(self.server)

    @each(proxy={"in_the_clear": False, "over_tls": True})
    def test_a_proxy(self, proxy):
        """Over TLS it is TLS inside TLS, by memory BIOs."""
        proxy = self.proxy(*([pki.server("rsa")] if proxy else []))
        self.check_answer(self.pages("get", times=2, proxy=proxy.url))
        host = self.order["url"].split("/")[2]
        self.assertEqual(proxy.asked, [f"CONNECT {host} HTTP/1.0"])
        self.finish(self.server)

    def test_a_stranger_is_not_trusted(self):
        told = self.pages("fail", ca=pki.other_root().path)
        self.assertEqual(told["type"], "SSLError")
        self.assertIn("CERTIFICATE_VERIFY_FAILED", told["text"])
        self.finish(self.server)

    def test_another_name_is_not_taken(self):
        self.finish(self.server)
        self.serve(pki.wrong_host("ecdsa"))
        told = self.pages("fail")
        self.assertEqual(told["type"], "SSLError")
        self.assertIn("hostname 'localhost' doesn't match", told["text"])
        self.finish(self.server)
