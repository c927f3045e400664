"""Do README.md and docs/ tell the truth? The examples are taken out of the page and run; what the pages name exists."""

import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

import daemon
import grpc_client
import peers
import pki
import relays
import session as sessions
import timing
from e2e import E2ETest
from tlsagent.v1 import session_pb2

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
README = "README.md"
PAGES = [README, "docs/ARCHITECTURE.md", "docs/GRPC.md", "docs/LOAD.md", "docs/PRINCIPLES.md", "docs/THREAT_MODEL.md"]

# What the rules say for any folder and any file.
ANY = ("server/d/x.c", "tests/unit/d/x_test.cc")

# What the examples say for a server somewhere, and for a program installed somewhere.
PUBLIC_HOST, PUBLIC_PORT, PREFIX = "www.example.org", "443", "PREFIX"

LANGUAGES = {".c": "c", ".py": "python"}


@functools.lru_cache(None)
def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def blocks(language):
    """The fenced blocks in a language, of the README and of what it sends readers of other protocols to."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(README) + read("docs/GRPC.md"), re.S | re.M)


def program(name):
    """The block that begins with a comment naming the file."""
    found = [block for block in blocks(LANGUAGES[os.path.splitext(name)[1]])
             if re.match(rf"(//|#) {re.escape(name)}: ", block)]
    assert len(found) == 1, f"{README} has {len(found)} programs called {name}"
    return found[0]


def script(beginning):
    """The shell block that begins so."""
    found = [block for block in blocks("sh") if block.startswith(beginning)]
    assert len(found) == 1, f"{README} has {len(found)} shell blocks beginning with '{beginning}'"
    return found[0]


def prose(path):
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", read(path), flags=re.S | re.M)


class WwwServer(peers.ServerPeer):
    """A page at /, by openssl s_server."""

    def start(self):
        self.program = peers.Program("openssl", "s_server", "-accept", f"{peers.LOOPBACK}:0", "-www", "-cert",
                                     self.pair.path, "-key", self.pair.key_path, "-cert_chain", self.pair.chain_path)
        self.port = int(self.program.wait_for(rb"ACCEPT 127\.0\.0\.1:(\d+)")[1])

    def stop(self):
        self.program.stop()


class Installed:
    """What tools/install PREFIX lays out, in a directory of its own, with the commands on PATH."""

    def __init__(self, test):
        self.prefix = tempfile.mkdtemp(prefix="tlsagent-readme-")
        test.addCleanup(shutil.rmtree, self.prefix)
        library = os.environ["LIBTLSAGENT"]
        self.put("bin/tlsagentd", os.environ["TLSAGENTD"])
        self.put("bin/tlsagent", os.environ["TLSAGENT_CLI"])
        self.put("lib/tlsagent/python/_ssl.abi3.so", os.path.join(os.environ["TLSAGENT_PYTHON_DIR"], "_ssl.abi3.so"))
        self.put("lib/libtlsagent.so", library)
        self.put("lib/libtlsagent.so.0", library)
        self.put("include/tlsagent.h", os.path.join(ROOT, "client/c/tlsagent.h"))
        for folder in ("ttrpc", "tlsagent/v1"):
            for name in os.listdir(os.path.join(ROOT, "proto", folder)):
                if name.endswith(".proto"):
                    path = f"{folder}/{name}"
                    self.put(f"share/tlsagent/proto/{path}", os.path.join(ROOT, "proto", path))
        self.write("lib/pkgconfig/tlsagent.pc",
                   f"Name: tlsagent\nDescription: -\nVersion: 0\nLibs: -L{self.prefix}/lib -ltlsagent\n"
                   f"Cflags: -I{self.prefix}/include\n")
        self.put("tlsagent.sock", test.daemon.path)
        self.environment = {
            **os.environ,
            "PATH": f"{self.prefix}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "PKG_CONFIG_PATH": f"{self.prefix}/lib/pkgconfig",
            "LD_LIBRARY_PATH": f"{self.prefix}/lib",
            "TLSAGENT_SOCKET": test.daemon.path,
            "XDG_RUNTIME_DIR": self.prefix,
            "no_proxy": pki.HOST,
        }
        del self.environment["PYTHONPATH"]  # the reader has none

    def path(self, name):
        return os.path.join(self.prefix, name)

    def put(self, name, source):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        os.symlink(os.path.realpath(source), self.path(name))

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)

    def run(self, text):
        """Runs a shell block in the directory. CompletedProcess with text."""
        text = text.replace(PREFIX, self.prefix)
        return subprocess.run(["bash", "-euc", text], cwd=self.prefix, env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=3 * timing.PATIENCE)


class Examples(E2ETest):
    """The programs of the README, against a server whose CA is the daemon's system trust."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = daemon.Daemon("--allow-dial", pki.HOST + ":*", env={**os.environ, "SSL_CERT_FILE": pki.root().path}).start()

    def setUp(self):
        super().setUp()
        self.installed = Installed(self)

    def run_against(self, pair, text):
        """Runs a block with a server of this pair in the place of the public one."""
        with WwwServer(pair) as server:
            for public in (f"{PUBLIC_HOST} {PUBLIC_PORT}", f"{PUBLIC_HOST}:{PUBLIC_PORT}"):
                separator = public[len(PUBLIC_HOST)]
                text = text.replace(public, f"{pki.HOST}{separator}{server.port}")
            self.assertNotIn(PUBLIC_HOST, text)
            return self.installed.run(text)

    def check_page(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("HTTP/1.0 200 ok", done.stdout)
        self.assertIn("TLSv1.3 TLS_", done.stderr)

    def check_refused(self, done):
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        self.assertIn("Hostname mismatch", done.stderr)

    def each_outcome(self, text):
        self.check_page(self.run_against(pki.server("ecdsa"), text))
        self.check_refused(self.run_against(pki.wrong_host("ecdsa"), text))

    @unittest.skipIf(timing.SANITIZER, "the library needs the sanitizer's runtime in the program")
    def test_c(self):
        self.installed.write("fetch.c", program("fetch.c"))
        self.each_outcome(script("cc fetch.c"))
        linked = self.installed.run("readelf --dynamic --wide fetch lib/libtlsagent.so").stdout
        self.assertIn("libtlsagent.so.0", linked)
        self.assertNotRegex(linked, r"NEEDED.*lib(ssl|crypto)")

    def test_python(self):
        self.installed.write("fetch.py", program("fetch.py"))
        self.each_outcome(script("P=PREFIX"))

    def test_grpc(self):
        self.installed.write("fetch_grpc.py", program("fetch_grpc.py"))
        self.each_outcome(script("G=PREFIX"))

    def test_descriptors_beside_grpc(self):
        """The block that passes one, and fetches a relay's end, with what a client around it would have."""
        block, = (block for block in blocks("python") if block.startswith("def say("))
        with peers.server("python", pki.server("ecdsa")) as server, grpc_client.Client(self.daemon.path) as client, \
                server.connect() as sock:
            request = session_pb2.ConnectRequest(context=sessions.context(client, "client", trust=[pki.root()]), server_name=pki.HOST)
            token = client.session.DescriptorToken().token
            request.transport.fd.token, request.relay.by_token = token, True
            names = {"socket": socket, "sys": sys, "path": self.daemon.path, "token": token, "sock": sock, "request": request,
                     "sessions": client.session}
            exec(compile(block, "docs/GRPC.md", "exec"), names)
            with names["plain"] as plain:
                plain.settimeout(timing.PATIENCE)
                server.talk(relays.Plain(plain))

    def test_shell(self):
        for name, content in (("cert.pem", pki.server("ecdsa").chain), ("key.pem", pki.server("ecdsa").key)):
            self.installed.write(name, content.decode())
        self.installed.write("app.py", "import ssl, _ssl\nssl.create_default_context()\nprint(_ssl.__file__)\n")
        for line in script("tlsagent ping").rstrip("\n").split("\n"):
            if "app.py" in line and timing.SANITIZER:
                continue  # the module needs the sanitizer's runtime in Python
            with self.subTest(line):
                checks = {"socat": self.check_inetd, "tlsagent serve": self.check_server, "tlsagent relay": self.check_relay}
                next((check for word, check in checks.items() if word in line), self.check_command)(line)

    def check_command(self, line):
        done = self.run_against(pki.server("ecdsa"), line)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(done.stdout.strip())
        if "app.py" in line:
            self.assertIn("abi3", done.stdout)

    def check_server(self, line):
        """On a free port and for one connection, so that it ends; a browser's part is played by curl."""
        command = line.split("  #")[0].rstrip() + " --listen 127.0.0.1:0 --once"
        server = peers.Program("bash", "-c", "exec " + command, cwd=self.installed.prefix, env=self.installed.environment)
        self.addCleanup(server.stop)
        port = server.wait_for(rb"listening on 127\.0\.0\.1:(\d+)")[1].decode()
        page = self.installed.run(f"curl --silent --show-error --cacert {pki.root().path} https://{pki.HOST}:{port}/")
        self.assertEqual(page.returncode, 0, page.stderr)
        self.assertIn("TLSv1.3", page.stdout)
        self.assertEqual(server.wait(), 0, server.text())

    def check_relay(self, line):
        """On a free port; Ctrl-C ends it."""
        command = re.sub(r"--listen \S+", "--listen 127.0.0.1:0", line.split("  #")[0])
        relay = peers.Program("bash", "-c", "exec " + command, cwd=self.installed.prefix, env=self.installed.environment)
        self.addCleanup(relay.stop)
        relay.wait_for(rb"relaying 127\.0\.0\.1:\d+ to ")
        relay.process.send_signal(signal.SIGINT)
        self.assertEqual(relay.wait(), 0, relay.text())

    def check_inetd(self, line):
        """Its command tells the year, on a free port, and knows nothing of TLS."""
        port = peers.free_port()
        command = line.split("  #")[0].replace("socat ", "socat -d -d ").replace("8443", str(port))
        server = peers.Program("bash", "-c", "exec " + command, cwd=self.installed.prefix, env=self.installed.environment)
        self.addCleanup(server.stop)
        server.wait_for(rb"listening on")
        with relays.tls(relays.dial(f"{relays.LOOPBACK}:{port}")) as sock:
            self.assertRegex(relays.read_all(sock)[0], rb"20\d\d")
            sock.unwrap().close()


class Pages(unittest.TestCase):
    """What the pages name is there."""

    def each_page(self, pattern):
        for page in PAGES:
            for match in re.finditer(pattern, prose(page)):
                yield page, match

    def test_readme_is_short(self):
        self.assertLess(len(read(README).split("\n")), 270)

    def test_files_exist(self):
        """`server/x.c`, or relative to server/ and tests/; unit/d/x_test.cc by the rule that tests/tidy checks."""
        for page, match in self.each_page(r"`((?:[\w.*{},-]+/)+[\w.*{},-]*)`"):
            path = match.group(1)
            if path in ANY or path.startswith(("bin/", "lib/", "share/")):
                continue  # share/ and the like are installed
            choices = re.search(r"\{(.*?)\}", path)
            names = [path.replace(choices.group(), one) for one in choices.group(1).split(",")] if choices else [path]
            for name in names:
                with self.subTest(page=page, name=name):
                    self.assertTrue(any(self.exists(folder, name) for folder in ("", "server", "tests", "docs")))

    def exists(self, folder, name):
        base = os.path.join(ROOT, folder, name.rstrip("/"))
        if "*" in name:
            return os.path.isdir(os.path.dirname(base))
        return any(os.path.exists(base + suffix) for suffix in ("", ".h", ".c"))

    def sources(self, folder):
        found = []
        for here, _, names in os.walk(os.path.join(ROOT, folder)):
            found += [os.path.join(here, name) for name in names if name.endswith((".c", ".h"))]
        return found

    @functools.lru_cache(None)
    def text_of(self, folder):
        return "\n".join(read(os.path.relpath(path, ROOT)) for path in self.sources(folder))

    def defines(self, folder, name):
        return re.search(rf"(?m)^[A-Za-z].*\b{name}\(", self.text_of(folder)) is not None

    def test_life_of_a_byte(self):
        """Each row names functions of its folder; `name` (x) is a function of server/x."""
        section = read(README).split("## The life of one byte")[1].split("\n## ")[0]
        rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", section, re.M)[1:]
        self.assertGreater(len(rows), 5)
        for where, functions in rows:
            for name, other in re.findall(r"`(\w+)`(?: \((\w+)\))?", functions):
                folder = f"server/{other}" if other else where.strip("`") if where.startswith("`") else "server"
                with self.subTest(folder=folder, name=name):
                    self.assertTrue(self.defines(folder, name))

    def test_functions_exist(self):
        for page, match in self.each_page(r"`(\w+)(?:\(\))?`"):
            name = match.group(1)
            if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name) and not name.startswith("io_uring_"):
                with self.subTest(page=page, name=name):
                    self.assertIsNotNone(re.search(rf"\b{name}\b", self.text_of("server") + self.text_of("client")))

    def test_unit_tests_exist(self):
        for page, match in self.each_page(r"\b(?:unit|e2e|fuzz)/[\w/]+\.(?:py|cc)"):
            if "tests/" + match.group() in ANY:
                continue
            with self.subTest(page=page, name=match.group()):
                self.assertTrue(os.path.exists(os.path.join(ROOT, "tests", match.group())))


class Options(unittest.TestCase):
    """Flags are those that the programs have."""

    def help_of(self, *command):
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=timing.PATIENCE, check=True)
        return set(re.findall(r"(?<![\w-])--[a-z][\w.-]*[a-z0-9]", done.stdout))

    def daemon_options(self):
        return self.help_of(os.environ["TLSAGENTD"])

    def commands(self):
        done = subprocess.run([os.environ["TLSAGENT_CLI"], "--help"], capture_output=True, text=True, timeout=timing.PATIENCE, check=True)
        commands = re.findall(r"^  ([a-z]+)  ", done.stdout.split("Commands:")[1].split("Options")[0], re.M)
        self.assertIn("connect", commands)
        return commands

    def command_options(self):
        return set().union(*(self.help_of(os.environ["TLSAGENT_CLI"], command) for command in self.commands()))

    def load_options(self):
        return self.help_of(os.environ["TLSAGENT_LOAD"])

    def test_pages_name_no_option_that_is_not(self):
        known = self.daemon_options() | self.command_options() | self.load_options() | {"--version", "--help"}
        for tool in os.listdir(os.path.join(ROOT, "tools")):
            if os.path.isfile(os.path.join(ROOT, "tools", tool)):
                known |= set(re.findall(r"--[a-z][\w-]*", read(os.path.join("tools", tool))))
        for page in PAGES:
            named = set(re.findall(r"`[^`\n]*?(--[a-z][\w.-]*[a-z0-9])", prose(page)))
            self.assertEqual(named - known, set(), page)

    def test_manual_has_every_option(self):
        manual = read("docs/man/tlsagentd.8").replace("\\-", "-")
        section = manual.split(".SH OPTIONS")[1].split(".SH ")[0]
        documented = set(re.findall(r"^\.B[RI]? (--[\w-]+)", section, re.M))
        self.assertEqual(documented, self.daemon_options())

    def entries(self, text):
        """The options that a manual's section explains: those at the head of a paragraph."""
        heads = re.findall(r"^\.T[PQ]\n\.B[RI]? (.*)$", text, re.M)
        return {name for head in heads for name in re.findall(r"--[a-z][\w.-]*", head)}

    def rows_of(self, command):
        """The options that a command's help lists."""
        done = subprocess.run([os.environ["TLSAGENT_CLI"], command, "--help"], capture_output=True, text=True,
                              timeout=timing.PATIENCE, check=True)
        return set(re.findall(r"^ +(?:-\w, )?(--[a-z][\w.-]*)", done.stdout, re.M))

    def test_manual_of_the_command_has_every_option(self):
        manual = read("docs/man/tlsagent.1").replace("\\-", "-")
        common = self.entries(manual.split(".SH OPTIONS OF EVERY COMMAND")[1].split(".SH EXIT")[0])
        sections = manual.split(".SH COMMANDS")[1].split(".SH OPTIONS")[0].split(".SS tlsagent ")
        documented = {section.split()[0]: self.entries(section) for section in sections[1:]}
        self.assertEqual(set(documented), set(self.commands()))
        for command, options in documented.items():
            with self.subTest(command=command):
                self.assertEqual(options, self.rows_of(command) - common)
        named = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*[a-z0-9]", manual))
        self.assertEqual(named - self.command_options() - self.daemon_options() - {"--version", "--cflags", "--libs"}, set())

    def test_manual_of_the_load_generator_has_every_option(self):
        manual = re.sub(r"\\f[BIRP]", "", read("docs/man/tlsagent-load.1").replace("\\-", "-"))
        documented = set(re.findall(r"^\.TP\n.*?(--[a-z][\w-]*)", manual, re.M))
        self.assertEqual(documented | {"--assert"}, self.load_options())

    def test_manual_of_the_library_names_what_the_header_has(self):
        named = set(re.findall(r"\.BR? \"?(?:struct )?(tlsagent_\w+)", read("docs/man/libtlsagent.3")))
        self.assertGreater(len(named), 10)
        header = read("client/c/tlsagent.h")
        self.assertEqual({name for name in named if name not in header}, set())

    def test_units_start_it_with_options_it_has(self):
        unit = read("server/daemon/tlsagentd.service.in")
        named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", unit))
        self.assertEqual(named - self.daemon_options(), set())
