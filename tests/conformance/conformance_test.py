"""Conformance: does every client do what any client should, and did the peer see the same?

Each cell runs one of drivers/ with the name of a cell and its arguments, against a real peer. A driver does that one thing
as its language does it, prints what it saw as lines NAME=VALUE, and fails with a word for people:

  get PORT CA [CHAIN KEY]    GET /page of localhost, as whom the pair says: status=, body=
  alpn PORT CA               the same, offering matrix/2 and http/1.1: alpn=, status=, body=
  resume PORT CA             get twice, the second by resumption: each time status=, body=, resumed=true or false
  cancel PORT CA             waits for a peer that says nothing, and is cancelled: cancelled=; asks, of the same session
                             where waiting is a call of its own: then=
  deadline PORT CA           waits, and runs out of time: expired=; asks as before: then=
  bulk PORT CA SOURCE TARGET sends a file, and then reads to the end into another
  serve CHAIN KEY            serves "conformance" at any port of the loopback: port=; for each request request=
  decode FILE                of the certificate in it: cn=, names=A,B, until= in seconds since 1970
"""

import calendar
import collections
import hashlib
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import matrix
import peers
import pki
import timing
from e2e import E2ETest

HERE = os.environ["TLSAGENT_CONFORMANCE"]
DOCS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs/CONFORMANCE.md")
PROTO, NODE = os.environ["TLSAGENT_PROTO"], os.environ["TLSAGENT_NODE"]
DRIVERS = os.path.join(HERE, "drivers")
COMMANDS = {
    "c": [os.path.join(HERE, "c")],
    "cli": ["bash", os.path.join(DRIVERS, "cli.sh")],
    "python_ssl": ["/usr/bin/python3", os.path.join(DRIVERS, "python_ssl.py")],
    "python_grpc": ["/usr/bin/python3", os.path.join(DRIVERS, "python_grpc.py")],
    "go": [os.path.join(HERE, "bin/go")],
    "node": ["node", os.path.join(DRIVERS, "node.js")],
    "cpp": [os.path.join(HERE, "cpp")],
    "ruby": ["/usr/bin/ruby", os.path.join(DRIVERS, "ruby.rb")],
}
# What each language calls it.
CANCELLED = {"c": "CANCELLED", "cli": "SIGTERM", "python_ssl": "CancelledError", "python_grpc": "CANCELLED",
             "go": "context.Canceled", "node": "AbortError", "cpp": "CANCELLED", "ruby": "GRPC::Cancelled"}
EXPIRED = {"c": "deadline", "cli": "8", "python_ssl": "TimeoutError", "python_grpc": "DEADLINE_EXCEEDED",
           "go": "os.ErrDeadlineExceeded", "node": "timeout", "cpp": "DEADLINE_EXCEEDED", "ruby": "GRPC::DeadlineExceeded"}
# Where waiting is a call that the daemon has, which counts how such calls end.
WAITS_BY_CALL = ("c", "python_grpc", "cpp", "ruby")
# Where cancelling takes the connection with it.
CANCELS_CONNECTION = ("cli", "go", "node")
BULK_BYTES = 16 << 20
OUTCOMES = {}


class Nginx:
    """nginx, which serves /page and writes down how it was asked for."""

    def __init__(self, pair, client_ca=None):
        block = f"""
            listen {peers.LOOPBACK}:{{port}} ssl;
            ssl_certificate {pair.chain_path};
            ssl_certificate_key {pair.key_path};
            ssl_session_cache shared:one:1m;
            access_log ./access.log saw;
            error_log ./error.log info;
            root .;"""
        if client_ca:
            block += f"ssl_verify_client on; ssl_verify_depth 4; ssl_client_certificate {client_ca.path};"
        self.nginx = peers.Nginx(block)
        self.port = self.nginx.port

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.nginx.stop()

    def requests(self):
        """A dict of what was written down of each."""
        with open(os.path.join(self.nginx.directory, "access.log")) as log:
            return [dict(field.split("=", 1) for field in line.rstrip("\n").split("|")) for line in log]

    def saw(self, count):
        """The requests, once there are so many."""
        timing.eventually(lambda: len(self.requests()) >= count, f"nginx sees {count} requests")
        requests = self.requests()
        assert len(requests) == count, requests
        return requests


class Listener:
    """A TLS server of Python's, with a thread for each connection: serve(connection) is its subclass's."""

    def __init__(self):
        self.context = peers.python_context(True, pki.server("ecdsa"))
        self.listener = socket.create_server((peers.LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return  # stopped
            self.threads.append(threading.Thread(target=self.shake_hands, args=[sock]))
            self.threads[-1].start()

    def shake_hands(self, sock):
        sock.settimeout(timing.PATIENCE)
        with sock:
            try:
                with self.context.wrap_socket(sock, server_side=True) as connection:
                    self.serve(connection)
                    connection.unwrap()
            except OSError:
                pass  # the client has gone; it says itself whether it should have

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(timing.PATIENCE)


class Silent(Listener):
    """Says nothing but to the question. heard has what each connection sent."""

    def __init__(self):
        self.heard = []
        super().__init__()

    def serve(self, connection):
        mine = len(self.heard)
        self.heard.append(b"")
        for part in iter(lambda: connection.recv(1 << 16), b""):
            self.heard[mine] += part
            if self.heard[mine].endswith(peers.QUESTION):
                connection.sendall(peers.ANSWER)


class Bulk(Listener):
    """Takes 16 MiB, and then gives others."""

    def __init__(self, gives):
        self.gives, self.took = gives, hashlib.sha256()
        super().__init__()

    def serve(self, connection):
        left = BULK_BYTES
        while left:
            part = connection.recv(min(left, 1 << 16))
            if not part:
                return
            self.took.update(part)
            left -= len(part)
        connection.sendall(self.gives)


def generate_stubs(to):
    files = [f"tlsagent/v1/{name}" for name in sorted(os.listdir(os.path.join(PROTO, "tlsagent/v1"))) if name.endswith(".proto")]
    for language in ("python", "ruby"):
        plugin = shutil.which(f"grpc_{language}_plugin")
        subprocess.run(["protoc", "-I", PROTO, f"--{language}_out={to}", f"--grpc_out={to}",
                        f"--plugin=protoc-gen-grpc={plugin}", *files], check=True, timeout=timing.PATIENCE)


def install_node_package(to):
    """As npm would: the package with the protos in it, beside what it needs, which the tree has."""
    modules = os.path.join(os.path.dirname(os.path.realpath(os.path.join(NODE, "package.json"))), "node_modules")
    if not os.path.isdir(modules):
        raise AssertionError("client/node has no node_modules: run npm ci there, as tools/test does")
    shutil.copytree(os.path.join(NODE, "lib"), os.path.join(to, "lib"))
    for name in ("index.js", "package.json"):
        shutil.copy(os.path.join(NODE, name), to)
    shutil.copytree(os.path.join(PROTO, "tlsagent"), os.path.join(to, "proto/tlsagent"))
    os.symlink(modules, os.path.join(to, "node_modules"))


class Conformance(E2ETest):
    DAEMON_ARGS = ("--allow-dial", "localhost:*")

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="tlsagent-conformance-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.stubs, cls.node = os.path.join(cls.directory, "stubs"), os.path.join(cls.directory, "node")
        os.mkdir(cls.stubs)
        os.mkdir(cls.node)
        generate_stubs(cls.stubs)
        install_node_package(cls.node)
        super().setUpClass()

    def setUp(self):
        self.addCleanup(self.check_daemon)

    def environment(self, row):
        python = {"python_ssl": os.environ["TLSAGENT_PYTHON_DIR"]}.get(row, self.stubs)
        return {**os.environ, "TLSAGENT_SOCKET": "unix:" + self.daemon.path, "PYTHONPATH": python, "RUBYLIB": self.stubs,
                "TLSAGENT_NODE": self.node, "PYTHONDONTWRITEBYTECODE": "1"}

    def run_driver(self, row, *arguments):
        return subprocess.run([*COMMANDS[row], *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timing.PATIENCE, env=self.environment(row))

    def drive(self, row, *arguments):
        """What the driver says: {name: [value, ...]}."""
        done = self.run_driver(row, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        said = collections.defaultdict(list)
        for line in done.stdout.splitlines():
            name, _, value = line.partition("=")
            said[name].append(value)
        return said

    def assertPages(self, said, count=1):
        self.assertEqual((said["status"], said["body"]), (["200"] * count, [peers.PAGE.decode().strip()] * count))

    # --- the columns

    def get(self, row):
        with Nginx(pki.server("ecdsa")) as nginx:
            self.assertPages(self.drive(row, "get", nginx.port, pki.root().path))
            [request] = nginx.saw(1)
        self.assertEqual((request["request"], request["status"], request["sni"]), ("GET /page HTTP/1.1", "200", pki.HOST))

    def serve(self, row):
        pair = pki.server("ecdsa")
        server = peers.Program(*COMMANDS[row], "serve", pair.chain_path, pair.key_path, env=self.environment(row))
        try:
            url = f"https://localhost:{int(server.wait_for(rb'(?:port=|127.0.0.1:)([0-9]+)')[1])}/page"
            curl = ["curl", "-sS", "--http1.1", "--noproxy", "*"]
            stranger = subprocess.run([*curl, url], capture_output=True, timeout=timing.PATIENCE)
            self.assertEqual(stranger.returncode, 60, "curl has taken a certificate of nobody's")
            for _ in range(2):
                done = subprocess.run([*curl, "--cacert", pki.root().path, url], capture_output=True, timeout=timing.PATIENCE)
                self.assertEqual((done.stdout, done.stderr), (b"conformance\n", b""))
            server.wait_for(rb"(?s)request=GET /page HTTP/1\.1.*request=GET /page HTTP/1\.1")
        finally:
            server.stop()

    def mtls(self, row):
        pair = pki.client("ecdsa")
        with Nginx(pki.server("ecdsa"), client_ca=pki.root()) as nginx:
            self.assertPages(self.drive(row, "get", nginx.port, pki.root().path, pair.chain_path, pair.key_path))
            [request] = nginx.saw(1)
            self.assertEqual((request["client"], request["dn"]), ("SUCCESS", "CN=client-ecdsa,O=tlsagent tests"))
            self.assertNotIn("200", self.run_driver(row, "get", nginx.port, pki.root().path).stdout)
            self.assertEqual([request["client"] for request in nginx.saw(2)], ["SUCCESS", "NONE"])

    def alpn(self, row):
        with Nginx(pki.server("ecdsa")) as nginx:
            said = self.drive(row, "alpn", nginx.port, pki.root().path)
            [request] = nginx.saw(1)
        self.assertPages(said)
        self.assertEqual((said["alpn"], request["alpn"]), (["http/1.1"], "http/1.1"))

    def resume(self, row):
        with Nginx(pki.server("ecdsa")) as nginx:
            said = self.drive(row, "resume", nginx.port, pki.root().path)
            requests = nginx.saw(2)
        self.assertPages(said, 2)
        self.assertEqual([word.lower() for word in said["resumed"]], ["false", "true"])
        self.assertEqual([request["resumed"] for request in requests], [".", "r"])

    def wrong_host(self, row):
        with Nginx(pki.wrong_host("ecdsa")) as nginx:
            done = self.run_driver(row, "get", nginx.port, pki.root().path)
            timing.eventually(lambda: "alert" in nginx.nginx.log(), "nginx hears why")
            self.assertEqual(nginx.requests(), [])
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, "(?i)host ?name mismatch|not valid for.* localhost|altnames|for elsewhere.test")

    def cancel(self, row):
        said = self.wait_in_vain(row, "cancel", ["calls_cancelled"], 2 if row in CANCELS_CONNECTION else 1)
        self.assertEqual(said["cancelled"], [CANCELLED[row]])

    def deadline(self, row):
        # gRPC has both sides look at the clock, and a client that is first cancels.
        said = self.wait_in_vain(row, "deadline", ["calls_expired", "calls_cancelled"], 2 if row == "cli" else 1)
        self.assertEqual(said["expired"], [EXPIRED[row]])

    def wait_in_vain(self, row, column, counters, connections):
        """What the driver says. The daemon has seen a call end so, and the peer a question after all."""
        def ended():
            return sum(self.daemon.counters()[name] for name in counters)

        before = ended()
        with Silent() as peer:
            said = self.drive(row, column, peer.port, pki.root().path)
        self.assertEqual(said["then"], [peers.ANSWER.decode().strip()])
        self.assertEqual(len(peer.heard), connections, peer.heard)
        self.assertEqual(peer.heard[-1], peers.QUESTION)
        if row in WAITS_BY_CALL:
            self.assertEqual(ended(), before + 1)
        return said

    def bulk(self, row):
        source, target = (os.path.join(self.directory, name) for name in ("source", "target"))
        gives, takes = os.urandom(BULK_BYTES), os.urandom(BULK_BYTES)
        with open(source, "wb") as file:
            file.write(gives)
        with Bulk(takes) as peer:
            self.drive(row, "bulk", peer.port, pki.root().path, source, target)
        self.assertEqual(peer.took.digest(), hashlib.sha256(gives).digest(), "what the peer took")
        with open(target, "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(takes).digest(), "what the peer gave")
        os.remove(target)

    def decode(self, row):
        path = pki.server("ecdsa").path
        shown = pki.openssl("x509", "-in", path, "-noout", "-subject", "-enddate", "-nameopt", "multiline", "-ext",
                            "subjectAltName").decode()
        said = self.drive(row, "decode", path)
        self.assertEqual(said["cn"], [re.search(r"commonName += (.*)", shown)[1]])
        until = time.strptime(re.search(r"notAfter=(.*)", shown)[1], "%b %d %H:%M:%S %Y %Z")
        self.assertEqual(said["until"], [str(calendar.timegm(until))])
        names = [name.strip().partition(":")[2] for name in re.search(r"\n +((?:DNS|IP).*)", shown)[1].split(",")]
        self.assertEqual([plain(name) for name in said["names"][0].split(",")], [plain(name) for name in names])


def plain(name):
    """An address has several spellings."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def cell(row, column):
    def test(self):
        OUTCOMES[row, column] = False
        getattr(self, column)(row)
        self.daemon.wait_idle()
        OUTCOMES[row, column] = True

    return test


for _row, _column in matrix.cells():
    setattr(Conformance, f"test_{_column}__{_row}", cell(_row, _column))


class Documentation(unittest.TestCase):
    def test_the_table_is_the_one_of_a_run_in_which_all_passed(self):
        with open(DOCS) as docs:
            self.assertIn(matrix.table(dict.fromkeys(matrix.cells(), True)), docs.read(), "tests/conformance/run --update writes it")


def tearDownModule():
    """tests/conformance/run wants the table."""
    if "TLSAGENT_CONFORMANCE_TABLE" in os.environ:
        with open(os.environ["TLSAGENT_CONFORMANCE_TABLE"], "w") as table:
            table.write(matrix.table(OUTCOMES))


if __name__ == "__main__":
    unittest.main()
