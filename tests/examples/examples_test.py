"""client/examples: does each do what it says, with stubs made as its README says, against real peers?"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import unittest

import peers
import pki
import timing
from e2e import Cases, E2ETest, each

EXAMPLES = os.environ["TLSAGENT_EXAMPLES"]
PROTO = os.environ["TLSAGENT_PROTO"]
LANGUAGES = ("python", "cpp", "ruby")
PAGE = b"hello by gRPC\n"


class Examples(Cases):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stubs = tempfile.mkdtemp(prefix="tlsagent-stubs-")
        cls.addClassCleanup(shutil.rmtree, cls.stubs)
        files = [os.path.join("tlsagent/v1", name) for name in sorted(os.listdir(os.path.join(PROTO, "tlsagent/v1")))
                 if name.endswith(".proto")]
        for language in ("python", "ruby"):
            plugin = shutil.which(f"grpc_{language}_plugin")
            subprocess.run(["protoc", "-I", PROTO, f"--{language}_out={cls.stubs}", f"--grpc_out={cls.stubs}",
                            f"--plugin=protoc-gen-grpc={plugin}", *files], check=True, timeout=timing.PATIENCE)


class ExamplesTest(Examples, E2ETest):
    DAEMON_ARGS = ("--allow-dial", "localhost:*")

    def command(self, language, name, *arguments):
        program = {"cpp": [os.path.join(EXAMPLES, "cpp", name)],
                   "python": ["/usr/bin/python3", os.path.join(EXAMPLES, "python", name + ".py")],
                   "ruby": ["/usr/bin/ruby", os.path.join(EXAMPLES, "ruby", name + ".rb")]}[language]
        return [*program, *map(str, arguments)]

    def environment(self):
        return {**os.environ, "TLSAGENT_SOCKET": "unix:" + self.daemon.path, "PYTHONPATH": self.stubs, "RUBYLIB": self.stubs,
                "PYTHONDONTWRITEBYTECODE": "1"}

    def run_it(self, language, name, *arguments):
        return subprocess.run(self.command(language, name, *arguments), capture_output=True, timeout=timing.PATIENCE,
                              stdin=subprocess.DEVNULL, env=self.environment())

    def fetch(self, language, host, port, *ca):
        where = (host, port, "/page") if language == "cpp" else (f"{host}:{port}/page",)
        return self.run_it(language, "fetch", *where, *ca)

    @contextlib.contextmanager
    def serving(self, language, pair):
        """Its port. In C++ it is a program for inetd, or for socat."""
        if language == "cpp":
            inetd = " ".join(self.command(language, "serve", pair.chain_path, pair.key_path))
            command = ["socat", "-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1,fork,reuseaddr", f"EXEC:{inetd},nofork"]
        else:
            command = self.command(language, "serve", 0, pair.chain_path, pair.key_path)
        server = peers.Program(*command, env=self.environment())
        try:
            yield int(server.wait_for(rb"(?:localhost|127\.0\.0\.1):(\d+)")[1])
        finally:
            server.stop()

    @each(language=LANGUAGES)
    def test_fetch(self, language):
        with peers.server("nginx", pki.server("ecdsa")) as server:
            done = self.fetch(language, "localhost", server.port, pki.root().path)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(done.stdout.startswith(b"HTTP/1.1 200 OK\r\n"), done.stdout)
        self.assertIn(b"\r\nServer: nginx", done.stdout)

    @each(language=LANGUAGES)
    def test_fetch_trusts_nobody_unasked(self, language):
        with peers.server("nginx", pki.server("ecdsa")) as server:
            done = self.fetch(language, "localhost", server.port)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"certificate", done.stderr)

    @each(language=LANGUAGES)
    def test_fetch_wants_the_right_host(self, language):
        with peers.server("nginx", pki.wrong_host("ecdsa")) as server:
            done = self.fetch(language, "localhost", server.port, pki.root().path)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"localhost", done.stderr)

    @each(language=LANGUAGES)
    def test_serve(self, language):
        with self.serving(language, pki.server("ecdsa")) as port:
            for _ in range(3):
                done = subprocess.run(["curl", "-sS", "--cacert", pki.root().path, f"https://localhost:{port}/"],
                                      capture_output=True, timeout=timing.PATIENCE)
                self.assertEqual((done.stdout, done.stderr), (PAGE, b""))

    @each(language=LANGUAGES)
    def test_serve_outlives_strangers(self, language):
        with self.serving(language, pki.server("ecdsa")) as port:
            for command in (["curl", "-s", f"https://localhost:{port}/"], ["curl", "-s", f"http://localhost:{port}/"]):
                self.assertNotEqual(subprocess.run(command, capture_output=True, timeout=timing.PATIENCE).returncode, 0)
            done = self.fetch(language, "localhost", port, pki.root().path)
            self.assertTrue(done.stdout.endswith(PAGE), done)

    @each(server=LANGUAGES, client=LANGUAGES)
    def test_they_understand_each_other(self, server, client):
        with self.serving(server, pki.server("rsa")) as port:
            done = self.fetch(client, "localhost", port, pki.root().path)
        self.assertTrue(done.stdout.endswith(PAGE), done)

    @each(language=LANGUAGES)
    def test_decode(self, language):
        done = self.run_it(language, "decode", pki.server("ecdsa").chain_path)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"localhost", done.stdout)
        self.assertIn(b"EC 256", done.stdout)

    @each(language=LANGUAGES)
    def test_decode_what_is_none(self, language):
        done = self.run_it(language, "decode", os.devnull)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertTrue(done.stderr.startswith(b"decode"), done.stderr)

    @each(language=LANGUAGES, name=("fetch", "serve", "decode"))
    def test_no_daemon(self, language, name):
        pair, cpp = (pki.server("ecdsa").chain_path, pki.server("ecdsa").key_path), language == "cpp"
        arguments = {"fetch": ("localhost", "1", "/") if cpp else ("localhost:1",),
                     "serve": pair if cpp else (0, *pair), "decode": (pki.root().path,)}[name]
        done = subprocess.run(self.command(language, name, *arguments), capture_output=True, timeout=timing.PATIENCE,
                              env={**self.environment(), "TLSAGENT_SOCKET": "unix:/nowhere/at/all"})
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(done.stderr.startswith(name.encode()), done.stderr)

    @each(language=LANGUAGES, name=("fetch", "serve", "decode"))
    def test_one_file_of_less_than_a_hundred_lines(self, language, name):
        extension = {"python": ".py", "cpp": ".cc", "ruby": ".rb"}[language]
        with open(os.path.join(EXAMPLES, language, name + extension)) as file:
            self.assertLess(len(file.readlines()), 100)


if __name__ == "__main__":
    unittest.main()
