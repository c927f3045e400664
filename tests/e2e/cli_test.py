"""The tlsagent command against real peers: what it prints, and the exit codes that scripts rely on."""

import hashlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import peers
import pki
import timing
from e2e import Daemon, E2ETest, each

CLI = os.environ["TLSAGENT_CLI"]

# As `tlsagent --help` lists them.
DONE, USAGE, UNREACHABLE, FAILED, UNVERIFIED, TRUNCATED, NETWORK, REFUSED, TIMEOUT, FILES = range(10)

COMMANDS = ("connect", "serve", "exec", "decode", "verify", "ping", "info", "limits", "counters")


class CliTest(E2ETest):
    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:*", "--allow-dial", "localhost:*")

    def environment(self, **more):
        return {**os.environ, "TLSAGENT_SOCKET": "unix:" + self.daemon.path, **more}

    def run_cli(self, *args, stdin=b"", code=DONE, **env):
        """Runs the command; CompletedProcess in bytes, once its exit code is as expected."""
        done = subprocess.run([CLI, *map(str, args)], input=stdin, capture_output=True, timeout=timing.PATIENCE,
                              env=self.environment(**env))
        self.assertEqual(done.returncode, code, (done.stdout[-2000:], done.stderr[-2000:]))
        if code != DONE:
            self.assertTrue(done.stderr.strip() or done.stdout.strip(), "it failed without a word")
        return done

    def json(self, *args, **options):
        """Its standard output as JSON."""
        return json.loads(self.run_cli(*args, "--json", **options).stdout)

    def trusting(self):
        return ["--cafile", pki.root().path]


class Usage(CliTest):
    def test_help_tells_every_command_and_exit_code(self):
        done = self.run_cli("--help")
        for word in (*COMMANDS, *map(str, range(10)), "--socket", "--json"):
            self.assertIn(word, done.stdout.decode())
        self.assertEqual(done.stderr, b"")

    @each(command=COMMANDS)
    def test_every_command_has_help_with_examples(self, command):
        done = self.run_cli(command, "--help").stdout.decode()
        self.assertIn(f"tlsagent {command}", done)
        self.assertIn("Exit codes:", done)

    def test_version(self):
        self.assertRegex(self.run_cli("--version").stdout.decode(), r"^tlsagent \d+\.\d+\.\d+")

    @each(args={"nothing": [], "an_unknown_command": ["conect"], "an_unknown_option": ["ping", "--loud"], "a_missing_value": ["ping", "--count"],
                "a_count_in_words": ["ping", "--count", "many"], "no_target": ["connect"], "two_targets": ["connect", "a:1", "b:2"],
                "a_port_too_large": ["connect", "localhost:65536"], "a_serve_in_json": ["serve", "--json", "--cert", "x"],
                "an_empty_host": ["connect", ":443"], "no_file": ["decode"], "an_unknown_path": ["connect", "--path", "pigeon", "localhost:1"],
                "a_serve_without_certificate": ["serve"], "an_unknown_version": ["connect", "--min-version", "1.4", "localhost:1"],
                "a_timeout_of_nothing": ["ping", "--timeout", "0"], "a_port_of_nothing": ["connect", "localhost:0"],
                "a_host_that_is_empty": ["verify", "--host", "", "/dev/null"], "ciphers_that_are_empty": ["connect", "--ciphers=", "localhost:1"],
                "a_name_that_is_empty": ["connect", "--servername", "", "localhost:1"], "a_socket_that_is_empty": ["ping", "--socket="]})
    def test_a_command_line_that_makes_no_sense(self, args):
        done = self.run_cli(*args, code=USAGE)
        self.assertEqual(done.stdout, b"")

    def test_a_typing_error_is_understood(self):
        self.assertIn(b"--check", self.run_cli("connect", "--chek", "localhost:1", code=USAGE).stderr)

    @each(command={"ping": ["ping"], "info": ["info"], "limits": ["limits"], "counters": ["counters"],
                   "decode": ["decode", "/dev/null"], "connect": ["connect", "--insecure", "localhost:1"]})
    def test_no_daemon_is_said_so(self, command):
        done = self.run_cli(*command, code=UNREACHABLE, TLSAGENT_SOCKET="unix:/nowhere/at/all")
        self.assertIn(b"/nowhere/at/all", done.stderr)
        self.assertIn(b"TLSAGENT_SOCKET", done.stderr)

    @each(form=("unix:{}", "{}"))
    def test_the_socket_can_be_named(self, form):
        self.run_cli("ping", "--socket", form.format(self.daemon.path), TLSAGENT_SOCKET="unix:/nowhere/at/all")

    @each(stream=("stdout",))
    def test_output_that_cannot_be_written_is_an_error(self, stream):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([CLI, "info"], stdin=subprocess.DEVNULL, env=self.environment(), timeout=timing.PATIENCE,
                                  stderr=subprocess.PIPE, **{stream: full})
        self.assertEqual(done.returncode, FILES, done)


class Asking(CliTest):
    def test_ping_tells_how_fast(self):
        self.assertRegex(self.run_cli("ping").stdout.decode(), r"3 pings of 0 bytes.*\nmin .* microseconds\n$")
        told = self.json("ping", "-c", "20", "-s", "1000")
        self.assertEqual((told["count"], told["size"]), (20, 1000))
        self.assertLessEqual(told["min_us"], told["p50_us"])
        self.assertLessEqual(told["p50_us"], told["max_us"])

    def test_info_tells_what_the_daemon_tells(self):
        info = self.rpc.agent.Info()
        told = self.json("info")
        self.assertIn(info.openssl_version, json.dumps(told))
        self.assertIn(info.openssl_version, self.run_cli("info").stdout.decode())
        self.assertIn("SSL_OP_NO_TICKET", self.run_cli("info", "--constants").stdout.decode())

    def test_limits_and_counters(self):
        limits = self.rpc.agent.Limits().limits
        text = self.run_cli("limits").stdout.decode()
        for limit in limits:
            self.assertRegex(text, rf"(?m)^{limit.name} +{limit.value} ")
        self.assertIn("sessions", json.dumps(self.json("limits")))
        counters = self.json("counters")
        self.assertEqual(set(counters), {c.name for c in self.rpc.agent.Counters().counters})
        self.assertIn("handshakes_done", self.run_cli("counters").stdout.decode())


class Certificates(CliTest):
    def test_decode_tells_every_certificate(self):
        text = self.run_cli("decode", pki.server("rsa").chain_path).stdout.decode()
        for word in ("Certificate 1 of 2", "Certificate 2 of 2", "CN=server-rsa", "CN=intermediate", "RSA, 2048 bits", "DNS localhost",
                     "prime256v1"):
            self.assertIn(word, text)
        fingerprint = hashlib.sha256(pki.server("rsa").der).hexdigest().upper()
        self.assertIn(fingerprint, text.replace(":", ""))

    def test_decode_in_json(self):
        told = self.json("decode", pki.server("ecdsa").chain_path)
        self.assertEqual([one["subject"] for one in told], ["CN=server-ecdsa,O=tlsagent tests", "CN=intermediate,O=tlsagent tests"])
        self.assertEqual([name["value"] for name in told[0]["subject_alt_names"]][:2], ["localhost", "*.wild.test"])

    def test_decode_reads_der_and_standard_input(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(pki.server("rsa").der)
            file.flush()
            from_file = self.run_cli("decode", file.name).stdout
        self.assertEqual(from_file, self.run_cli("decode", "-", stdin=pki.server("rsa").pem).stdout)

    def test_decode_gives_pem_back(self):
        self.assertIn(pki.server("rsa").pem.strip(), self.run_cli("decode", "--pem", "-", stdin=pki.server("rsa").der).stdout)

    def test_json_stays_json_whatever_a_name_holds(self):
        nasty = pki.issue("nasty-name", subject='/O=quote" back\\\\slash/CN=Ünï \U0001F511', extensions=("subjectAltName=DNS:a.test",))
        told = json.loads(self.run_cli("decode", "--json", "-", stdin=nasty.pem).stdout)
        self.assertIn('quote"', json.dumps(told[0]["subject_attributes"], ensure_ascii=False).replace('\\"', '"'))

    @each(what={"a_missing_file": ("/nowhere/at/all", FILES), "a_directory": ("/", FILES)})
    def test_decode_without_a_file(self, what):
        self.run_cli("decode", what[0], code=what[1])

    @each(command=("decode", "verify"))
    def test_a_file_without_a_certificate(self, command):
        done = self.run_cli(command, "-", stdin=b"just words", code=FILES)
        self.assertIn(b"certificate", done.stderr)

    def test_verify_with_no_certificate_to_trust_in_the_file(self):
        self.run_cli("verify", "--cafile", "-", pki.server("rsa").chain_path, stdin=b"just words", code=FILES)

    @each(case={"good": (pki.server, "localhost", DONE, b"OK"), "expired": (pki.expired, "localhost", UNVERIFIED, b"expired"),
                "wrong_host": (pki.wrong_host, "localhost", UNVERIFIED, b"mismatch"),
                "unknown_ca": (pki.stranger, "localhost", UNVERIFIED, b"issuer"),
                "self_signed": (pki.self_signed, "localhost", UNVERIFIED, b"self")})
    def test_verify_says_what_fails(self, case):
        make, host, code, word = case
        done = self.run_cli("verify", *self.trusting(), "--host", host, make("rsa").chain_path, code=code)
        self.assertIn(word.lower(), (done.stdout + done.stderr).lower())

    def test_verify_in_json_tells_every_depth(self):
        told = self.json("verify", *self.trusting(), "--host", "nope.test", pki.expired("rsa").chain_path, code=UNVERIFIED)
        self.assertFalse(told["ok"])
        self.assertEqual({f["code"] for f in told["depths"][0]["failures"]}, {10, 62})
        self.assertFalse(any(depth["failures"] for depth in told["depths"][1:]))

    def test_verify_for_a_client_and_against_a_list(self):
        self.run_cli("verify", *self.trusting(), "--purpose", "client", pki.client("rsa").chain_path)
        self.run_cli("verify", *self.trusting(), "--purpose", "server", pki.client("rsa").chain_path, code=UNVERIFIED)
        crl = pki.write("for-cli.crl", pki.crl())
        self.run_cli("verify", *self.trusting(), "--crlfile", crl, pki.revoked("rsa").path, code=UNVERIFIED)

    def test_verify_trusts_the_system_by_default(self):
        self.run_cli("verify", pki.server("rsa").chain_path, code=UNVERIFIED)


PATHS = ("fd", "memory", "dial")


class Connecting(CliTest):
    def target(self, server):
        return f"localhost:{server.port}"

    @each(peer=peers.SERVERS, path=PATHS, version=("tls1.2", "tls1.3"))
    def test_check_tells_what_was_agreed(self, peer, path, version):
        with peer(pki.server("rsa")) as server:
            told = self.json("connect", "--check", "--path", path, f"--{version}", *self.trusting(), self.target(server))
        self.assertEqual(told["negotiated"]["version"].lower(), version.replace("tls", "tlsv"))
        self.assertEqual((told["path"], told["verify_code"]), (path, 0))
        self.assertEqual(told["certificates"][0]["subject"], "CN=server-rsa,O=tlsagent tests")

    @each(path=PATHS)
    def test_get_prints_a_page(self, path):
        with peers.server("nginx", pki.server("ecdsa")) as server:
            done = self.run_cli("connect", *self.trusting(), "--path", path, "--get", "/page", self.target(server))
            self.assertEqual(done.stdout, peers.PAGE)
            self.assertIn(b"Verification: ok", done.stderr)
            quiet = self.run_cli("connect", *self.trusting(), "--path", path, "--get", "/page", "-i", "-q", self.target(server))
            self.assertTrue(quiet.stdout.startswith(b"HTTP/1.1 200 OK\r\n"))
            self.assertEqual(quiet.stderr, b"")

    @each(peer={name: peers.SERVERS[name] for name in ("openssl", "gnutls", "python")}, path=PATHS)
    def test_standard_input_and_output_go_through_tls(self, peer, path):
        with peer(pki.server("ecdsa")) as server:
            command = subprocess.Popen([CLI, "connect", *self.trusting(), "--path", path, "--quiet", self.target(server)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment())
            self.addCleanup(command.stdout.close)
            self.addCleanup(command.kill)
            command.stdin.write(peers.QUESTION)
            command.stdin.flush()
            self.assertEqual(os.read(command.stdout.fileno(), 100), server.ANSWER)
            command.stdin.close()
            self.assertEqual(command.wait(timing.PATIENCE), DONE)

    @each(path=PATHS)
    def test_a_lot_goes_both_ways(self, path):
        data = random.Random(9).randbytes(8 << 20 if not timing.SANITIZER else 1 << 20)
        with peers.server("python", pki.server("ecdsa")) as server:
            done = self.run_cli("connect", *self.trusting(), "--path", path, "--quiet", self.target(server), stdin=data)
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())

    @each(case={"expired": (pki.expired, b"expired"), "wrong_host": (pki.wrong_host, b"localhost"), "unknown_ca": (pki.stranger, b"issuer"),
                "self_signed": (pki.self_signed, b"self")}, path=PATHS)
    def test_verification_is_on_by_default(self, case, path):
        make, word = case
        with peers.server("openssl", make("rsa")) as server:
            done = self.run_cli("connect", "--check", *self.trusting(), "--path", path, self.target(server), code=UNVERIFIED)
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stdout, b"")

    def test_without_cafile_the_system_is_trusted_and_ours_is_not(self):
        with peers.server("openssl", pki.server("rsa")) as server:
            self.run_cli("connect", "--check", self.target(server), code=UNVERIFIED)

    def test_insecure_takes_anybody_and_says_so(self):
        with peers.server("openssl", pki.self_signed("rsa")) as server:
            told = self.json("connect", "--check", "--insecure", self.target(server))
            self.assertFalse(told["verification_required"])
            self.assertEqual(told["verify_code"], 18)

    def test_another_name_can_be_asked_for_and_checked(self):
        with peers.server("python", pki.server("rsa")) as server:
            told = self.json("connect", "--check", *self.trusting(), "--servername", "x.wild.test", f"127.0.0.1:{server.port}")
            self.assertEqual(told["negotiated"]["server_name"], "x.wild.test")

    def test_own_certificate_and_alpn(self):
        key = pki.write("cli-client.key", pki.encrypted_key("rsa", "pass phrase"))
        password = pki.write("cli-password", b"pass phrase\nand another line\n")
        own = pki.issue("cli-client", pki.root(), "rsa", extensions=("extendedKeyUsage=clientAuth",))
        with peers.server("openssl", pki.server("ecdsa"), client_ca=pki.root(), alpn=(b"one", b"two")) as server:
            told = self.json("connect", "--check", *self.trusting(), "--cert", own.path, "--key", key, "--password-file", password,
                             "--alpn", "two,three", self.target(server))
        self.assertEqual(told["negotiated"]["alpn"], "two")

    def test_show_certs_can_be_piped_into_decode(self):
        with peers.server("openssl", pki.server("rsa")) as server:
            shown = self.run_cli("connect", "--check", "--show-certs", *self.trusting(), self.target(server)).stdout
        text = self.run_cli("decode", "-", stdin=shown).stdout.decode()
        self.assertIn("Certificate 2 of 2", text)

    def test_versions_that_do_not_meet(self):
        with peers.server("openssl", pki.server("rsa"), "tls12") as server:
            self.run_cli("connect", "--check", "--tls1.3", *self.trusting(), self.target(server), code=FAILED)

    def test_a_server_that_speaks_no_tls(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        answer = peers.Background(self.answer_in_clear, listener)
        done = self.run_cli("connect", "--check", *self.trusting(), f"127.0.0.1:{listener.getsockname()[1]}", code=FAILED)
        self.assertTrue(done.stderr)
        answer.result()

    def answer_in_clear(self, listener):
        sock, _ = listener.accept()
        with sock:
            sock.recv(1000)
            sock.sendall(b"220 hello\r\n")
            sock.recv(1000)

    @each(path=PATHS, ask={"check": ["--check"], "get": ["--get", "/"], "stream": []})
    def test_a_close_instead_of_a_handshake_is_no_success(self, path, ask):
        """Anybody on the way can send it: there are no keys yet."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        answer = peers.Background(self.close_at_once, listener)
        done = self.run_cli("connect", "-q", *ask, *self.trusting(), "--path", path, f"localhost:{listener.getsockname()[1]}", code=FAILED)
        self.assertIn(b"close_notify", done.stderr)
        answer.result()

    def close_at_once(self, listener):
        sock, _ = listener.accept()
        with sock:
            sock.recv(1000)
            sock.sendall(b"\x15\x03\x03\x00\x02\x01\x00")
            sock.recv(1000)

    @each(path=("fd", "memory"))
    def test_a_daemon_that_goes_is_noticed_while_nobody_speaks(self, path):
        agent = Daemon().start()
        self.addCleanup(agent.kill)
        with peers.server("python", pki.server("ecdsa")) as server:
            program = peers.Program(CLI, "connect", *self.trusting(), "--path", path, self.target(server),
                                    env=self.environment(TLSAGENT_SOCKET="unix:" + agent.path))
            self.addCleanup(program.stop)
            program.say(b"echo this")
            program.wait_for(rb"echo this")
            time.sleep(0.1)  # and then nobody speaks
            agent.kill()
            self.assertEqual(program.process.wait(timing.PATIENCE), UNREACHABLE)

    @each(path=PATHS)
    def test_a_truncated_stream_has_an_exit_code(self, path):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        cut = peers.Background(self.send_and_cut, listener)
        done = self.run_cli("connect", *self.trusting(), "--path", path, "--ignore-eof", f"localhost:{listener.getsockname()[1]}", code=TRUNCATED)
        self.assertEqual(done.stdout, b"half a")
        cut.result()

    def send_and_cut(self, listener):
        sock, _ = listener.accept()
        with sock:
            peer = peers.Puppet(sock, peers.python_context(True, pki.server("ecdsa"), "tls12"), True).handshake()
            peer.send(b"half a")
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1000):
                pass

    @each(path=PATHS)
    def test_nobody_there(self, path):
        self.run_cli("connect", "--check", *self.trusting(), "--path", path, f"127.0.0.1:{peers.free_port()}", code=NETWORK)

    @each(path=("fd", "memory"))
    def test_no_such_host(self, path):
        """A label too long for the DNS: no name server is asked."""
        self.run_cli("connect", "--check", *self.trusting(), "--path", path, "a" * 70 + ":443", code=NETWORK)

    def test_a_dial_that_is_not_allowed(self):
        done = self.run_cli("connect", "--check", "--dial", *self.trusting(), "127.0.0.2:443", code=REFUSED)
        self.assertIn(b"--allow-dial", done.stderr)

    @each(path=PATHS)
    def test_a_silent_server_is_given_up(self, path):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.run_cli("connect", "--check", "--timeout", "0.2", *self.trusting(), "--path", path,
                     f"127.0.0.1:{listener.getsockname()[1]}", code=TIMEOUT)

    @each(option=("--cafile", "--cert", "--key", "--password-file"))
    def test_a_file_that_is_not_there(self, option):
        args = ["--cert", pki.client("rsa").chain_path] if option in ("--key", "--password-file") else []
        done = self.run_cli("connect", "--check", *args, option, "/nowhere/at/all", "localhost:1", code=FILES)
        self.assertIn(b"/nowhere/at/all", done.stderr)

    def test_a_wrong_password_is_said_so_and_not_shown(self):
        key, password = pki.write("wp.key", pki.encrypted_key("rsa", "right")), pki.write("wp", b"terribly wrong\n")
        done = subprocess.run([CLI, "connect", "--check", "--cert", pki.server("rsa").path, "--key", key, "--password-file", password,
                               "localhost:1"], capture_output=True, env=self.environment(), timeout=timing.PATIENCE)
        self.assertNotEqual(done.returncode, DONE)
        self.assertIn(b"password", done.stderr)
        self.assertNotIn(b"terribly", done.stderr)

    def test_a_reader_that_goes_away_ends_it(self):
        with peers.server("python", pki.server("ecdsa")) as server:
            shell = f'head -c 3000000 /dev/zero | "$0" connect -q --cafile {pki.root().path} localhost:{server.port} | head -c 10 | wc -c'
            done = subprocess.run(["sh", "-c", shell, CLI], capture_output=True, env=self.environment(), timeout=timing.PATIENCE)
        self.assertEqual(done.stdout.strip(), b"10")


class LittleRoom(CliTest):
    """A daemon that takes less ciphertext at a time than the command has plaintext."""

    DAEMON_ARGS = ("--limit", "session_output_bytes=65536")

    @each(path=("fd", "memory"))
    def test_a_lot_goes_both_ways(self, path):
        data = random.Random(8).randbytes(1 << 20)
        with peers.server("python", pki.server("ecdsa")) as server:
            done = self.run_cli("connect", *self.trusting(), "--path", path, "--quiet", f"localhost:{server.port}", stdin=data)
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())


class Serving(CliTest):
    def serve(self, *args, kind="rsa"):
        """`tlsagent serve` on a free port; the port."""
        pair = pki.server(kind)
        program = peers.Program(CLI, "serve", "--listen", "127.0.0.1:0", "--cert", pair.chain_path, "--key", pair.key_path, *args,
                                env=self.environment())
        self.addCleanup(program.stop)
        self.program = program
        match = program.wait_for(rb"127\.0\.0\.1:(\d+)")
        self.assertNotEqual(int(match[1]), 0)
        return int(match[1])

    def curl(self, port, *options):
        done = subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", pki.root().path, *options,
                               f"https://localhost:{port}/"], capture_output=True, timeout=timing.PATIENCE)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def talk(self, port, version=None, **options):
        """A TLS connection by Python to the port."""
        raw = socket.create_connection(("127.0.0.1", port), timing.PATIENCE)
        self.addCleanup(raw.close)
        made = peers.python_context(False, version=version, ca=pki.root(), **options)
        tls = made.wrap_socket(raw, server_hostname="localhost")
        self.addCleanup(tls.close)
        return tls

    @each(version=("--tlsv1.3", "--tls-max=1.2"), kind=pki.KINDS)
    def test_curl_gets_a_text(self, version, kind):
        port = self.serve("--text", "hello from tlsagent\n", kind=kind)
        options = ["--tls-max", "1.2"] if "max" in version else [version]
        self.assertEqual(self.curl(port, *options), b"hello from tlsagent\n")
        self.assertEqual(self.curl(port, *options), b"hello from tlsagent\n", "again and again")

    def test_curl_gets_a_page_by_default(self):
        self.assertTrue(self.curl(self.serve()))

    def test_curl_gets_a_file(self):
        content = os.urandom(1 << 20)
        path = pki.write("served-file", content)
        self.assertEqual(self.curl(self.serve("--file", path)), content)

    @each(version=("tls12", "tls13"))
    def test_echo(self, version):
        tls = self.talk(self.serve("--echo"), version)
        for line in (b"one\n", b"two\n", os.urandom(100_000)):
            tls.sendall(line)
            got = b""
            while len(got) < len(line):
                got += tls.recv(1 << 16)
            self.assertEqual(got, line)

    @each(name=("openssl", "gnutls", "curl", "python"))
    def test_every_client_is_served(self, name):
        port = self.serve("--exec", "read -r line; printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 7\\r\\nConnection: close\\r\\n\\r\\nanswer\\n'")
        with peers.client(name, AlreadyListening(port)) as client:
            client.finish()

    def test_exec_has_the_connection_for_its_input_and_output(self):
        tls = self.talk(self.serve("--exec", 'while read -r line; do echo "got $line"; done; echo bye'))
        tls.sendall(b"one\n")
        self.assertEqual(tls.recv(100), b"got one\n")
        tls.sendall(b"two\n")
        self.assertEqual(tls.recv(100), b"got two\n")

    def test_forwarding_to_a_plain_server(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = self.serve("--to", f"127.0.0.1:{listener.getsockname()[1]}")
        tls = self.talk(port)
        tls.sendall(b"in the clear behind\n")
        plain, _ = listener.accept()
        self.addCleanup(plain.close)
        self.assertEqual(plain.recv(100), b"in the clear behind\n")
        plain.sendall(b"and back\n")
        plain.shutdown(socket.SHUT_WR)
        self.assertEqual(tls.recv(100), b"and back\n")
        self.assertEqual(tls.recv(100), b"")

    @each(need=("required", "optional"))
    def test_client_certificates(self, need):
        port = self.serve("--echo", "--client-ca", pki.root().path, "--client-cert", need)
        good = self.talk(port, pair=pki.client("ecdsa"))
        good.sendall(b"let in")
        self.assertEqual(good.recv(100), b"let in")
        with self.assertRaises(OSError) if need == "required" else self.subTest():
            bad = self.talk(port, "tls12")
            bad.sendall(b"let in?")
            self.assertEqual(bad.recv(100), b"let in?")

    def test_once_serves_one_and_ends(self):
        port = self.serve("--once", "--text", "once")
        self.assertEqual(self.curl(port), b"once")
        self.assertEqual(self.program.wait(), DONE)

    def test_many_at_a_time(self):
        port = self.serve("--echo")
        crowd = [self.talk(port) for _ in range(20)]
        for number, tls in enumerate(crowd):
            tls.sendall(b"%d" % number)
        for number, tls in reversed(list(enumerate(crowd))):
            self.assertEqual(tls.recv(100), b"%d" % number)

    @each(number={"term": signal.SIGTERM, "int": signal.SIGINT}, options={"one_at_a_time": ["--max-connections", "1"], "once": ["--once"]})
    def test_a_signal_ends_it_while_it_is_busy(self, number, options):
        port = self.serve("--echo", *options)
        self.talk(port)
        waiting = socket.create_connection(("127.0.0.1", port), timing.PATIENCE)
        self.addCleanup(waiting.close)
        time.sleep(0.1)  # for it to be taken, if it is that greedy
        self.program.process.send_signal(number)
        self.assertEqual(self.program.wait(), DONE)

    def test_who_comes_too_many_waits_for_room(self):
        port = self.serve("--echo", "--max-connections", "1")
        first = self.talk(port)
        waiting = socket.create_connection(("127.0.0.1", port), timing.PATIENCE)
        self.addCleanup(waiting.close)
        first.sendall(b"first")
        self.assertEqual(first.recv(100), b"first")
        first.close()
        second = peers.python_context(False, ca=pki.root()).wrap_socket(waiting, server_hostname="localhost")
        self.addCleanup(second.close)
        second.sendall(b"second")
        self.assertEqual(second.recv(100), b"second")

    def test_a_bad_client_disturbs_nobody(self):
        port = self.serve("--echo")
        good = self.talk(port)
        for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(1000), b"\x16\x03\x01\x02\x00\x01"):
            with socket.create_connection(("127.0.0.1", port)) as bad:
                bad.sendall(noise)
        good.sendall(b"as ever")
        self.assertEqual(good.recv(100), b"as ever")

    def test_its_own_connect_talks_with_it(self):
        port = self.serve("--text", "round trip\n", "--alpn", "http/1.1")
        done = self.run_cli("connect", "-q", *self.trusting(), "--alpn", "http/1.1", "--get", "/", f"localhost:{port}")
        self.assertEqual(done.stdout, b"round trip\n")

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = self.run_cli("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--cert", pki.server("rsa").chain_path,
                                "--key", pki.server("rsa").key_path, code=NETWORK)
        self.assertTrue(re.search(rb"in use", done.stderr), done.stderr)

    def test_a_key_that_does_not_fit(self):
        done = subprocess.run([CLI, "serve", "--listen", "127.0.0.1:0", "--cert", pki.server("rsa").chain_path, "--key",
                               pki.server("ecdsa").key_path], capture_output=True, env=self.environment(), timeout=timing.PATIENCE)
        self.assertNotEqual(done.returncode, DONE)
        self.assertIn(b"key", done.stderr)


class AlreadyListening:
    """Stands in for a listener of ours: somebody else listens at that port."""

    def __init__(self, port):
        self.port = port

    def getsockname(self):
        return ("127.0.0.1", self.port)


class NoLibssl(CliTest):
    """Neither the command nor the library has a TLS of its own."""

    @each(variable=("TLSAGENT_CLI", "LIBTLSAGENT"))
    def test_it_links_no_libssl(self, variable):
        dynamic = subprocess.run(["readelf", "--dynamic", os.environ[variable]], capture_output=True, text=True, check=True).stdout
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
        self.assertTrue(needed)
        self.assertFalse([name for name in needed if re.match(r"lib(ssl|crypto|gnutls|nss|mbed)", name)], needed)

    def test_the_library_exports_its_own_names_only(self):
        symbols = subprocess.run(["nm", "--dynamic", "--defined-only", os.environ["LIBTLSAGENT"]], capture_output=True, text=True, check=True)
        names = [line.split()[-1] for line in symbols.stdout.splitlines()]
        self.assertTrue(names)
        foreign = [n for n in names if not n.startswith("tlsagent_") and n not in ("__bss_start", "_edata", "_end", "_init", "_fini")]
        self.assertFalse(foreign if not timing.SANITIZER else [], "only what tlsagent.h declares")


if __name__ == "__main__":
    sys.exit("run me with runner.py")
