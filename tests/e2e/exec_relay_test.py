"""`tlsagent exec --relay`: a command on the plaintext of a socket that somebody else has accepted or connected."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import peers
import pki
import relays
import timing
from e2e import Cases, E2ETest, each
from relays import CLI, LOOPBACK, exchange, read_all, tls

USAGE, TLS, VERIFY, TRUNCATED, NETWORK, TIMEOUT, NOT_EXECUTABLE, NOT_FOUND = 1, 3, 4, 5, 6, 8, 126, 127
MUCH = 3 << 20  # more than what waits in sockets and in the relay

# Answers one request and leaves what else came unread, as a careless server does.
HTTP_HANDLER = """
import http.server, sys, types
class Handler(http.server.BaseHTTPRequestHandler):
    def setup(self):
        self.rfile, self.wfile = sys.stdin.buffer, sys.stdout.buffer
    def do_GET(self):
        body = b"a page for " + self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
    def finish(self):
        pass
    def log_message(self, *args):
        pass
Handler(None, ("nobody", 0), types.SimpleNamespace())
"""

# Sends, ends its direction, and tells on stderr what comes until the other ends too.
HALF_CLOSER = """
import socket, sys
sock = socket.socket(fileno=0)
sock.sendall(b"x" * 1000)
sock.shutdown(socket.SHUT_WR)
while data := sock.recv(1000):
    sys.stderr.buffer.write(data)
"""


class ExecRelayTest(Cases):
    def setUp(self):
        pair = pki.server("ecdsa")
        self.identity = ("--cert", pair.chain_path, "--key", pair.key_path)

    def environment(self):
        raise NotImplementedError

    def start(self, sock, *args, **popen):
        """`tlsagent exec --relay` on sock, which is the program's alone from now on."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.environment(), **popen}
        process = subprocess.Popen([CLI, "exec", "--relay", *args], stdin=sock, **options)
        sock.close()
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def pair(self, kind="tcp"):
        """Two ends of a connection, (here, there)."""
        if kind == "unix":
            ends = socket.socketpair()
        else:
            with socket.create_server((LOOPBACK, 0)) as listener:
                here = socket.create_connection(listener.getsockname()[:2], timing.PATIENCE)
                ends = here, listener.accept()[0]
        for end in ends:
            self.addCleanup(end.close)
        return ends

    def serve(self, *command, options=(), kind="tcp", client=None, **popen):
        """(process, a TLS client's end)."""
        here, there = self.pair(kind)
        process = self.start(there, *self.identity, *options, "--", *command, **popen)
        sock = tls(here, **(client or {}))
        self.addCleanup(sock.close)
        return process, sock

    def ended(self, process, code=0):
        """What it said on stdout and stderr."""
        out, err = process.communicate(timeout=timing.PATIENCE)
        self.assertEqual(process.returncode, code, (out, err))
        return (out or b"").decode(), (err or b"").decode()

    def read_to_the_end(self, sock):
        data = b""
        while part := sock.recv(1 << 16):
            data += part
        return data


class Serving(E2ETest, ExecRelayTest):
    def setUp(self):
        E2ETest.setUp(self)
        ExecRelayTest.setUp(self)

    def environment(self):
        return {**os.environ, "TLSAGENT_SOCKET": "unix:" + self.daemon.path}

    @each(kind=("tcp", "unix"), version=("tls12", "tls13"))
    def test_a_command_that_sends_back(self, kind, version):
        process, sock = self.serve("cat", kind=kind, client={"version": version})
        data = os.urandom(300000)
        self.assertEqual(exchange(sock, data), data)
        sock.unwrap().close()
        self.assertEqual(self.ended(process), ("", ""))

    def test_a_half_close_reaches_the_command_and_its_answer_the_peer(self):
        here, there = self.pair()
        server = self.start(there, *self.identity, "--", "sh", "-c", "wc -c; echo done")
        client = self.start(here, "--client", "--cafile", pki.root().path, "--servername", pki.HOST, "--", sys.executable, "-c",
                            HALF_CLOSER)
        self.assertEqual(self.ended(client)[1], "1000\ndone\n")
        self.assertEqual(self.ended(server), ("", ""))

    def test_the_environment_tells_of_the_connection(self):
        before = {**self.environment(), "TLS_VERSION": "of another connection", "KEPT": "as it was"}
        process, sock = self.serve("sh", "-c", 'echo "$TLS_VERSION,$TLS_CIPHER,$TLS_SERVER_NAME,$TLS_ALPN,$TLS_PEER,$KEPT"',
                                   options=("--alpn", "h9"), client={"alpn": [b"h9"]}, env=before)
        here = "%s:%d" % sock.getsockname()
        self.assertEqual(self.read_to_the_end(sock).decode(),
                         f"TLSv1.3,{sock.cipher()[0]},{pki.HOST},h9,{here},as it was\n")
        sock.unwrap().close()
        self.ended(process)

    def test_nothing_of_much_is_lost_when_the_command_has_gone(self):
        """It has read nothing of what came, either, which otherwise resets connections."""
        process, sock = self.serve(sys.executable, "-c", f"import os; os.write(1, b'x' * {MUCH}); os._exit(0)")
        sock.sendall(b"nobody reads this")
        self.assertEqual(len(self.read_to_the_end(sock)), MUCH)
        sock.unwrap().close()
        self.assertEqual(self.ended(process), ("", ""))

    def test_a_command_that_reads_nothing(self):
        process, sock = self.serve("date", "+%Y")
        sock.sendall(b"nobody reads this")
        self.assertRegex(self.read_to_the_end(sock), rb"^\d{4}\n$")
        sock.unwrap().close()
        self.assertEqual(self.ended(process), ("", ""))

    @each(number={"term": signal.SIGTERM, "int": signal.SIGINT, "hup": signal.SIGHUP})
    def test_signals_are_the_commands(self, number):
        process, sock = self.serve("sh", "-c", 'trap "echo caught; exit 3" TERM INT HUP; echo there; while :; do sleep 0.01; done')
        self.assertEqual(sock.recv(100), b"there\n")
        process.send_signal(number)
        self.assertEqual(self.read_to_the_end(sock), b"caught\n")
        sock.unwrap().close()
        self.ended(process, 3)

    def test_a_command_that_a_signal_ends(self):
        process, sock = self.serve("sh", "-c", "echo there; kill -9 $$")
        self.assertEqual(self.read_to_the_end(sock), b"there\n")
        sock.unwrap().close()
        self.ended(process, 128 + signal.SIGKILL)

    def test_its_exit_code_is_the_commands(self):
        process, sock = self.serve("sh", "-c", "echo oops >&2; exit 42")
        self.assertEqual(self.read_to_the_end(sock), b"")
        sock.unwrap().close()
        self.assertEqual(self.ended(process, 42), ("", "oops\n"))

    @each(case={"none": ("/no/such/command", NOT_FOUND), "no_program": ("/etc/passwd", NOT_EXECUTABLE)})
    def test_a_command_that_cannot_be_run(self, case):
        command, code = case
        process, sock = self.serve(command)
        with self.assertRaises(OSError):  # no close_notify: nobody takes it for an answer
            self.read_to_the_end(sock)
        self.assertIn(f"cannot run {command}: ", self.ended(process, code)[1])

    def test_a_peer_that_is_cut_off(self):
        process, sock = self.serve("cat")
        sock.sendall(b"half a messa")
        sock.recv(100)
        sock.shutdown(socket.SHUT_WR)
        self.assertIn("unexpected eof", self.ended(process, TRUNCATED)[1])

    def test_a_peer_that_resets(self):
        process, sock = self.serve("cat")
        sock.sendall(b"hello")
        sock.recv(100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        self.assertIn("reset", self.ended(process, NETWORK)[1])

    def test_a_peer_that_never_ends(self):
        process, sock = self.serve("true", options=("--timeout", "0.2"))
        self.assertEqual(self.read_to_the_end(sock), b"")
        self.assertIn("the peer doesn't end", self.ended(process, TIMEOUT)[1])

    def test_an_idle_connection(self):
        process, sock = self.serve("cat", options=("--idle-timeout", "1"))
        self.assertEqual(self.read_to_the_end(sock), b"")
        self.assertIn("idle", self.ended(process, TIMEOUT)[1])

    def test_no_handshake_no_command(self):
        here, there = self.pair()
        process = self.start(there, *self.identity, "--", "sh", "-c", "echo ran >&2")
        here.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.assertNotIn(b"ran", read_all(here)[0])
        err = self.ended(process, TLS)[1]
        self.assertTrue(err.startswith("tlsagent exec: "), err)
        self.assertNotIn("ran", err)

    def test_a_client_certificate_that_is_required(self):
        here, there = self.pair()
        process = self.start(there, *self.identity, "--client-ca", pki.root().path, "--", "sh", "-c", "echo ran >&2")
        with self.assertRaises(OSError):
            self.read_to_the_end(tls(here))
        self.assertNotIn("ran", self.ended(process, TLS)[1])

    def test_all_three_streams_are_the_socket_as_of_inetd(self):
        """What is said on stderr must not be in the middle of the records, and no copy may keep the connection open."""
        process, sock = self.serve("sh", "-c", "echo hello; echo oops >&2", stdout=subprocess.DEVNULL)
        self.assertEqual(self.read_to_the_end(sock), b"hello\n")
        sock.unwrap().close()
        self.assertEqual(self.ended(process)[1], "oops\n")
        here, there = self.pair()
        process = self.start(there.dup(), *self.identity, "--", "sh", "-c", "echo hello; echo oops >&2", stdout=there, stderr=there)
        there.close()
        with tls(here) as sock:
            self.assertEqual(self.read_to_the_end(sock), b"hello\n")
            self.assertEqual(read_all(sock.unwrap()), (b"", False))
        self.ended(process)

    def test_the_command_gets_no_other_descriptors(self):
        process, sock = self.serve("ls", "/proc/self/fd")
        self.assertEqual(self.read_to_the_end(sock).split(), [b"0", b"1", b"2", b"3"])  # 3 is the folder, of ls
        sock.unwrap().close()
        self.ended(process)

    def test_pages_for_curl(self):
        with socket.create_server((LOOPBACK, 0)) as listener:
            port = listener.getsockname()[1]
            curl = peers.Program("curl", "-sS", "--cacert", pki.root().path, "--http1.1", "--max-time", str(timing.PATIENCE),
                                 "--resolve", f"localhost:{port}:{LOOPBACK}", f"https://localhost:{port}/curl")
            self.addCleanup(curl.stop)
            listener.settimeout(timing.PATIENCE)
            there, _ = listener.accept()
        process = self.start(there, *self.identity, "--", sys.executable, "-c", HTTP_HANDLER)
        self.assertEqual((curl.wait(), curl.text()), (0, "a page for /curl"))
        self.assertEqual(self.ended(process), ("", ""))

    def test_socat_as_inetd(self):
        port = peers.free_port()
        command = f"{CLI} exec --relay {' '.join(self.identity)} -- cat"
        socat = peers.Program("socat", "-d", "-d", f"TCP-LISTEN:{port},bind={LOOPBACK},reuseaddr,fork",
                              f"EXEC:{command},nofork", env=self.environment())
        self.addCleanup(socat.stop)
        socat.wait_for(rb"listening on")
        for _ in range(3):
            with tls(relays.dial(f"{LOOPBACK}:{port}")) as sock:
                self.assertEqual(exchange(sock, b"hello" * 1000), b"hello" * 1000)
                self.assertEqual(read_all(sock.unwrap()), (b"", False))


class Connecting(E2ETest, ExecRelayTest):
    """--client, against openssl's server."""

    def setUp(self):
        E2ETest.setUp(self)
        ExecRelayTest.setUp(self)

    def environment(self):
        return {**os.environ, "TLSAGENT_SOCKET": "unix:" + self.daemon.path}

    def connect(self, server, *args):
        return self.start(socket.create_connection((LOOPBACK, server.port), timing.PATIENCE), "--client", *args)

    @each(version=("tls12", "tls13"))
    def test_a_command_that_talks_to_a_server(self, version):
        """openssl's answers each line with its letters the other way round."""
        with peers.server("openssl", pki.server("ecdsa"), version=version) as server:
            process = self.connect(server, "--cafile", pki.root().path, "--servername", pki.HOST, "--", "sh", "-c",
                                   'echo question; read -r line; echo "$TLS_VERSION $TLS_SERVER_NAME $line" >&2')
            name = {"tls12": "TLSv1.2", "tls13": "TLSv1.3"}[version]
            self.assertEqual(self.ended(process)[1], f"{name} {pki.HOST} noitseuq\n")

    @each(case={"unknown_issuer": ("--servername", pki.HOST), "other_name": ("--cafile", "ROOT", "--servername", "elsewhere.test")})
    def test_a_certificate_that_does_not_verify(self, case):
        args = [pki.root().path if word == "ROOT" else word for word in case]
        with peers.server("openssl", pki.server("ecdsa"), version="tls13") as server:
            process = self.connect(server, *args, "--", "sh", "-c", "echo ran >&2")
            self.assertNotIn("ran\n", self.ended(process, VERIFY)[1])


class Private(ExecRelayTest):
    """No daemon is running, so there is one for the command."""

    def setUp(self):
        super().setUp()
        self.runtime = tempfile.mkdtemp(prefix="tlsagent-exec-relay-")
        self.addCleanup(shutil.rmtree, self.runtime)
        self.addCleanup(timing.eventually, lambda: not os.listdir(self.runtime), "no private folder is left")

    def environment(self):
        return {**os.environ, "TLSAGENT_SOCKET": "unix:/nowhere/at/all", "XDG_RUNTIME_DIR": self.runtime}

    @each(options={"none_runs": (), "asked_for": ("--private",)})
    def test_it_serves_and_goes(self, options):
        process, sock = self.serve("cat", options=options)
        self.assertEqual(exchange(sock, b"hello"), b"hello")
        sock.unwrap().close()
        self.assertEqual(self.ended(process), ("", ""))

    def test_it_goes_with_a_command_that_loses_its_parent(self):
        process, sock = self.serve("cat")
        process.kill()
        with self.assertRaises(OSError):
            self.read_to_the_end(sock)


class Refusals(Cases):
    def refuse(self, *args, stdin=subprocess.DEVNULL):
        done = subprocess.run([CLI, "exec", *args], stdin=stdin, capture_output=True, text=True, timeout=timing.PATIENCE,
                              env={**os.environ, "TLSAGENT_SOCKET": "unix:/nowhere/at/all"})
        self.assertEqual(done.returncode, USAGE, done)
        return done.stderr

    @each(option={"cert": ("--cert", "x"), "client": ("--client",), "insecure": ("-k",), "servername": ("--servername", "x"),
                  "idle": ("--idle-timeout", "1"), "tls13": ("--tls1.3",), "alpn": ("--alpn", "h2")})
    def test_options_of_the_relay_without_it(self, option):
        self.assertIn("needs --relay", self.refuse(*option, "true"))

    @each(case={
        "trust_of_a_server": (("--cafile", "x"), "need --client"), "client_ca": (("--client", "-k", "--client-ca", "x"), "for servers"),
        "python": (("--python-dir", "x"), "--python-dir"), "nobody": (("--client",), "--servername"), "json": (("--json",), "JSON"),
    })
    def test_options_that_make_no_sense_together(self, case):
        args, says = case
        self.assertIn(says, self.refuse("--relay", *args, "true"))

    def test_standard_input_that_is_no_connection(self):
        with socket.create_server((LOOPBACK, 0)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, \
                open("/dev/null") as file:
            datagrams.connect((LOOPBACK, 9))
            for stdin in (listener, datagrams, file, subprocess.PIPE):
                said = self.refuse("--relay", "--cert", "x", "--", "true", stdin=stdin)
                for word in ("connected", "inetd", "Accept=yes", "socat"):
                    self.assertIn(word, said)
