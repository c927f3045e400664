"""tlsagent-load against real servers: what it counts, what they count, and how it ends when they don't answer well."""

import csv
import io
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

import peers
import pki
import timing
from e2e import Cases, Daemon, each

LOAD = os.environ["TLSAGENT_LOAD"]
CLI = os.environ["TLSAGENT_CLI"]

# As `tlsagent-load --help` lists them.
GOOD, NOTHING, USAGE, ASSERTION = range(4)


class Server:
    """Python's ssl, a thread for each connection; knows what came of each."""

    def __init__(self, talk, version=None, pair=None, raw=False, alpn=()):
        self.talk, self.raw = talk, raw
        self.context = peers.python_context(True, pair or pki.server("ecdsa"), version, alpn=alpn)
        self.names = []
        self.context.sni_callback = lambda _sock, name, _context: self.names.append(name)
        self.connections = self.handshakes = self.resumed = self.bytes = self.clean = 0
        self.lock = threading.Lock()
        self.sockets = []

    def __enter__(self):
        self.listener = socket.create_server((peers.LOOPBACK, 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.sockets:
            sock.close()

    @property
    def target(self):
        return f"localhost:{self.port}"

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            if self.raw:
                self.talk(self, sock)
                return
            with self.context.wrap_socket(sock, server_side=True) as tls:
                with self.lock:
                    self.handshakes += 1
                    self.resumed += bool(tls.session_reused)
                self.talk(self, tls)
        except (OSError, ValueError):  # what it came to is counted by then
            sock.close()


def echo(server, tls):
    for part in iter(lambda: tls.recv(1 << 16), b""):
        tls.sendall(part)
    with server.lock:
        server.clean += 1  # recv gives b"" for close_notify, and an error without


def drain(server, tls):
    for part in iter(lambda: tls.recv(1 << 16), b""):
        with server.lock:
            server.bytes += len(part)
    with server.lock:
        server.clean += 1
    tls.unwrap()


def pour(size):
    def talk(_server, tls):
        tls.sendall(bytes(size))
        tls.unwrap()

    return talk


def close_at_once(_server, sock):
    sock.close()


def never_answer(server, sock):
    server.sockets.append(sock)


def speak_unasked(text):
    """In the very segment that ends the handshake."""
    def talk(server, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        with server.context.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(text)
            tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            tls.recv(1000)

    return talk


class Load(Cases):
    def load(self, *args, code=GOOD, trusting=True, **popen):
        """Runs it; CompletedProcess with text once its exit code is as expected."""
        trust = ["--ca", pki.root().path] if trusting else []
        done = subprocess.run([LOAD, *trust, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=3 * timing.PATIENCE, **popen)
        self.assertEqual(done.returncode, code, (done.stdout[-2000:], done.stderr[-2000:]))
        return done

    def report(self, *args, **kwargs):
        """Its JSON."""
        return json.loads(self.load("--quiet", "--json", "-", *args, **kwargs).stdout)

    def assertConsistent(self, report):
        connections = report["connections"]
        self.assertEqual(report["schema"], "tlsagent-load/1")
        self.assertLessEqual(connections["established"] + connections["failed"], connections["opened"])
        self.assertEqual(sum(error["count"] for error in report["errors"]), report["errors_total"])
        self.assertEqual(sum(second["operations"] for second in report["series"]), report["operations"])
        for phase in report["phases"].values():
            order = [phase[name] for name in ("min_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us")]
            self.assertEqual(order, sorted(order))

    def assertErrors(self, report, phase, kind, reason):
        """All errors are of this kind."""
        self.assertEqual(report["operations"], 0)
        self.assertGreater(report["errors_total"], 0)
        for error in report["errors"]:
            self.assertEqual((error["phase"], error["kind"]), (phase, kind), report["errors"])
            self.assertRegex(error["reason"], reason)


class Workloads(Load):
    @each(peer=peers.SERVERS, version=("tls12", "tls13"))
    def test_handshakes_go_through_and_are_counted(self, peer, version):
        with peer(pki.server("ecdsa"), version) as server:
            if peer is peers.PythonServer:  # it serves one at a time
                report = self.report("-n", 20, "-c", 1, f"localhost:{server.port}")
            else:
                report = self.report("-n", 60, "-c", 3, f"localhost:{server.port}")
        self.assertConsistent(report)
        self.assertEqual(report["errors"], [])
        self.assertEqual(report["operations"], report["connections"]["established"])
        self.assertEqual(report["phases"]["handshake"]["count"], report["operations"])
        self.assertEqual(report["agreed"]["version"], {"tls12": "TLSv1.2", "tls13": "TLSv1.3"}[version])

    def test_the_server_counts_the_same(self):
        with Server(drain) as server:
            report = self.report("-n", 40, "-c", 4, server.target)
            timing.eventually(lambda: server.clean == 40, "each ended by close_notify")
        self.assertEqual(report["operations"], 40)
        self.assertEqual((server.handshakes, server.resumed), (40, 0))

    @each(size=(1, 64, 100000, 3 << 20))
    def test_what_is_echoed_is_checked_and_counted(self, size):
        with Server(echo) as server:
            report = self.report("-w", "echo", "--size", size, "-n", 12, "-c", 2, server.target)
            timing.eventually(lambda: server.clean == 2, "each ended by close_notify")
        self.assertConsistent(report)
        self.assertEqual((report["operations"], report["connections"]["established"]), (12, 2))
        self.assertEqual(report["bytes"], {"in": 12 * size, "out": 12 * size})

    def test_what_comes_back_altered_is_an_error(self):
        def reverse(_server, tls):
            tls.sendall(tls.recv(100)[::-1])

        with Server(reverse) as server:
            report = self.report("-w", "echo", "-n", 3, "-c", 1, server.target, code=NOTHING)
        self.assertErrors(report, "transfer", "mismatch", "what was sent")

    def test_an_agent_serves_the_echo(self):
        daemon = Daemon().start()
        self.addCleanup(daemon.stop)
        pair = pki.server("ecdsa")
        serve = peers.Program(CLI, "serve", "--echo", "--listen", "127.0.0.1:0", "--cert", pair.chain_path, "--key", pair.key_path,
                              env={**os.environ, "TLSAGENT_SOCKET": "unix:" + daemon.path})
        self.addCleanup(serve.stop)
        port = int(serve.wait_for(rb"listening on 127\.0\.0\.1:(\d+)")[1])
        report = self.report("-w", "echo", "-n", 200, "-c", 8, f"localhost:{port}")
        self.assertConsistent(report)
        self.assertEqual((report["operations"], report["errors"]), (200, []))

    def test_http_keeps_its_connections(self):
        with peers.NginxServer(pki.server("ecdsa")) as server:
            report = self.report("-w", "http", "--path", "/page", "-n", 60, "-c", 3, f"localhost:{server.port}")
            missing = self.report("-w", "http", "--path", "/none", "-n", 5, "-c", 1, f"localhost:{server.port}", code=NOTHING)
        self.assertEqual((report["operations"], report["errors"]), (60, []))
        self.assertIn(report["connections"]["established"], (1, 2, 3))  # what one is late for the others have done
        self.assertErrors(missing, "transfer", "http", "^status 404$")

    def test_http_of_a_server_that_closes_goes_on_anew(self):
        with Server(lambda _server, tls: (tls.recv(1000), tls.sendall(b"HTTP/1.0 200 OK\r\n\r\nall"), tls.unwrap())) as server:
            report = self.report("-w", "http", "-n", 6, "-c", 1, server.target)
        self.assertEqual((report["operations"], report["errors"]), (6, []))

    def test_raw_requests_are_answered(self):
        with Server(echo) as server:
            report = self.report("-w", "raw", "--send", r"PING\r\n\x00", "--expect-bytes", 7, "-n", 10, "-c", 2, server.target)
        self.assertEqual((report["operations"], report["bytes"]), (10, {"in": 70, "out": 70}))

    def test_downloads_are_read_to_their_end(self):
        with Server(pour(3000000)) as server:
            report = self.report("-w", "down", "-n", 4, "-c", 2, server.target)
        self.assertEqual((report["operations"], report["bytes"]["in"], report["errors"]), (4, 12000000, []))

    def test_downloads_end_when_enough_has_come(self):
        with Server(pour(3000000)) as server:
            report = self.report("-w", "down", "--bytes", "100K", "-n", 4, "-c", 2, server.target)
        self.assertEqual((report["operations"], report["errors"]), (4, []))
        self.assertGreaterEqual(report["bytes"]["in"], 4 * 102400)

    def test_uploads_arrive_whole(self):
        with Server(drain) as server:
            report = self.report("-w", "up", "--bytes", "3M", "-n", 4, "-c", 2, server.target)
        self.assertEqual((report["operations"], report["bytes"]["out"], report["errors"]), (4, 12 << 20, []))
        self.assertEqual((server.bytes, server.clean), (12 << 20, 4))

    def test_idle_connections_are_held(self):
        with Server(drain) as server:
            duration = "8s" if timing.SANITIZER else "2s"  # all have to be there before its end
            report = self.report("-w", "idle", "-c", 30, "-d", duration, server.target)
            timing.eventually(lambda: server.clean == 30, "each ended by close_notify")
        self.assertEqual((report["operations"], report["connections"]["opened"], report["errors"]), (30, 30, []))
        self.assertEqual(report["series"][-1]["connections"], 30)

    def test_a_unix_socket_is_a_target(self):
        with tempfile.TemporaryDirectory() as directory, Server(echo) as server:
            path = os.path.join(directory, "socket")
            forward = peers.Program("socat", f"UNIX-LISTEN:{path},fork", f"TCP:127.0.0.1:{server.port}")
            self.addCleanup(forward.stop)
            timing.eventually(lambda: os.path.exists(path), "socat listens")
            report = self.report("-w", "echo", "-n", 10, "-c", 2, "--sni", "localhost", f"unix:{path}")
        self.assertEqual((report["operations"], report["errors"]), (10, []))

    def test_more_connections_than_one_address_has_room_for_in_time_wait(self):
        with Server(drain) as server:
            self.report("-n", 30, "-c", 3, server.target)
            report = self.report("-n", 30, "-c", 3, "--reset", "--no-shutdown", server.target)
        self.assertEqual((report["operations"], report["errors"]), (30, []))


class Tls(Load):
    @each(version=("tls12", "tls13"))
    def test_resumption_is_what_the_server_saw(self, version):
        with Server(drain, version) as server:
            report = self.report("-n", 40, "-c", 2, "--workers", 1, "--resume", 75, server.target)
            timing.eventually(lambda: server.clean == 41, "all have ended")
        self.assertEqual(report["operations"], 40)
        self.assertEqual(report["connections"]["resumed"], 30)
        self.assertEqual((server.handshakes, server.resumed), (41, 30))  # the first fetched the session, and isn't counted

    def test_all_are_resumed_if_asked(self):
        with Server(drain) as server:
            report = self.report("-n", 30, "-c", 3, "--resume", 100, server.target)
        self.assertEqual(report["connections"]["resumed"], 30)

    def test_a_server_without_tickets_is_shaken_hands_with_in_full(self):
        with Server(drain, "tls13") as server:
            server.context.num_tickets = 0
            done = self.load("-n", 5, "-c", 1, "--workers", 1, "--resume", 50, server.target)
        self.assertIn("gave nothing to resume", done.stdout)

    def test_names_are_asked_for_in_turn(self):
        with Server(drain) as server:
            self.report("-n", 9, "-c", 1, "--insecure", "--sni", "one.test,two.test,three.test", server.target, trusting=False)
        self.assertEqual(sorted(server.names), ["one.test"] * 3 + ["three.test"] * 3 + ["two.test"] * 3)

    def test_alpn_groups_and_suites_are_as_asked(self):
        with Server(drain, alpn=[b"h3", b"two"]) as server:
            report = self.report("-n", 2, "-c", 1, "--alpn", "one,two", "--groups", "P-384", "--ciphersuites",
                                 "TLS_CHACHA20_POLY1305_SHA256", server.target)
        self.assertEqual((report["agreed"]["alpn"], report["agreed"]["cipher"]), ("two", "TLS_CHACHA20_POLY1305_SHA256"))
        self.assertIn("384", report["agreed"]["group"])

    def test_a_client_certificate_is_shown(self):
        client = pki.client("ecdsa")
        with peers.OpensslServer(pki.server("ecdsa"), client_ca=pki.root()) as server:
            report = self.report("-n", 3, "-c", 1, "--tls-max", "1.2", "--cert", client.chain_path, "--key", client.key_path,
                                 f"localhost:{server.port}")
            self.assertEqual((report["operations"], report["errors"]), (3, []))
            without = self.report("-n", 3, "-c", 1, "--tls-max", "1.2", f"localhost:{server.port}", code=NOTHING)
        self.assertErrors(without, "handshake", "tls", "alert")


class Via(Load):
    """The same by RPC: a daemon does the TLS."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.via = "--via=unix:" + cls.daemon.path

    @each(version=("tls12", "tls13"))
    def test_handshakes_are_counted_by_all_three(self, version):
        before = self.daemon.counters()["handshakes_done"]
        with Server(drain, version) as server:
            report = self.report(self.via, "-n", 40, "-c", 5, server.target)
            timing.eventually(lambda: server.clean == 40, "each ended by close_notify")
        self.assertConsistent(report)
        self.assertEqual((report["operations"], report["errors"]), (40, []))
        self.assertEqual(self.daemon.counters()["handshakes_done"] - before, 40)
        self.assertEqual(report["engine"], "tlsagentd, by RPC")
        self.daemon.wait_idle()

    @each(workload={"echo": ["echo", "--size", "300000"], "down": ["down", "--bytes", "100000"], "up": ["up", "--bytes", "1M"]})
    def test_data_goes_through(self, workload):
        with Server({"echo": echo, "down": pour(100000), "up": drain}[workload[0]]) as server:
            report = self.report(self.via, "-w", *workload, "-n", 6, "-c", 2, server.target)
        self.assertConsistent(report)
        self.assertEqual((report["operations"], report["errors"]), (6, []))
        self.daemon.wait_idle()

    def test_many_connections_are_held(self):
        with Server(drain) as server:
            report = self.report(self.via, "-w", "idle", "-c", 80, "-d", "8s" if timing.SANITIZER else "2s", server.target)
        self.assertEqual((report["operations"], report["errors"]), (80, []))
        self.daemon.wait_idle()

    def test_reasons_come_along(self):
        with Server(drain, pair=pki.stranger("ecdsa")) as server:
            report = self.report(self.via, "-n", 3, "-c", 1, server.target, code=NOTHING)
        self.assertErrors(report, "handshake", "verify", "CERTIFICATE_VERIFY_FAILED")
        with Server(never_answer, raw=True) as server:
            report = self.report(self.via, "-n", 4, "-c", 2, "--timeout", "300ms", server.target, code=NOTHING)
        self.assertErrors(report, "handshake", "timeout", "in time")
        self.daemon.wait_idle()

    def test_a_daemon_that_goes_away_is_an_error_of_each_connection(self):
        daemon = Daemon().start()
        self.addCleanup(daemon.kill)
        with Server(drain) as server:
            process = subprocess.Popen([LOAD, "-k", "--via=unix:" + daemon.path, "-c", "4", "-d", "3s", "--json", "-", server.target],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            process.stderr.readline()  # the first second has passed
            daemon.kill()
            out, _ = process.communicate(timeout=timing.PATIENCE)
        report = json.loads(out)
        self.assertGreater(report["operations"], 0)
        self.assertGreater(report["errors_total"], 0)
        self.assertIn("the daemon: ", report["errors"][0]["reason"])

    def test_no_daemon_is_said(self):
        done = self.load("--via=unix:/nonexistent", "localhost:1", code=NOTHING)
        self.assertRegex(done.stderr, r"\Atlsagent-load: cannot reach tlsagentd .+\n\Z")


class OpenLoop(Load):
    def test_the_rate_is_kept_and_both_latencies_told(self):
        with Server(echo) as server:
            report = self.report("-w", "echo", "-r", 200, "-d", "2s", "-c", 10, server.target)
        self.assertConsistent(report)
        self.assertEqual(report["operations"] + report["missed"] + report["errors_total"], 400)
        self.assertEqual(report["phases"]["operation_corrected"]["count"], report["operations"])

    def test_what_a_slow_server_keeps_waiting_is_told(self):
        """One connection, each answer takes 100 ms: of 50 a second 10 are done, and the raw latency knows nothing of it."""
        def slow(_server, tls):
            for part in iter(lambda: tls.recv(100), b""):
                threading.Event().wait(0.1)
                tls.sendall(part)

        with Server(slow) as server:
            report = self.report("-w", "echo", "-r", 50, "-d", "2s", "-c", 1, server.target)
        self.assertGreater(report["late"], 50)
        self.assertGreater(report["missed"], 50)
        phases = report["phases"]
        self.assertGreater(phases["operation_corrected"]["p90_us"], 3 * phases["operation"]["p50_us"])

    def test_only_what_was_to_be_done_is_missed(self):
        """Not what is due beyond -n, nor what came due in the warm-up."""
        def delay(seconds):
            def talk(_server, tls):
                for part in iter(lambda: tls.recv(100), b""):
                    threading.Event().wait(seconds)
                    tls.sendall(part)

            return talk

        with Server(delay(0.05)) as server:
            report = self.report("-w", "echo", "-r", 1000, "-n", 5, "-c", 1, server.target)
        self.assertEqual((report["operations"], report["missed"]), (5, 0))
        with Server(delay(0.7)) as server:
            report = self.report("-w", "echo", "-r", 100, "--warmup", "300ms", "-d", "200ms", "-c", 1, server.target, code=NOTHING)
        self.assertEqual((report["operations"], report["missed"]), (0, 20))

    def test_what_is_waited_for_lowers_no_rate(self):
        """All of a server's answers take 1.7 s once: they count for the second they were asked in."""
        stalled = threading.Event()

        def stall(_server, tls):
            for part in iter(lambda: tls.recv(100), b""):
                stalled.wait(1.7)
                stalled.set()
                tls.sendall(part)

        with Server(stall) as server:
            report = self.report("-w", "echo", "-r", 40, "-d", "500ms", "-c", 100, server.target)
        self.assertConsistent(report)
        self.assertGreater(report["operations"], 0)
        self.assertEqual((report["rate"], report["seconds"]), (2 * report["operations"], 0.5))
        self.assertGreater(report["drain_seconds"], 0.2)
        self.assertLess(max(second["seconds"] for second in report["series"]), 1.1)

    def test_handshakes_have_a_rate_too(self):
        with Server(drain) as server:
            report = self.report("-r", 50, "-d", "1s", "--warmup", "500ms", "--ramp", "500ms", server.target)
        self.assertConsistent(report)
        self.assertEqual(report["operations"], 50)


class Errors(Load):
    def test_a_target_that_refuses(self):
        port = peers.free_port()
        report = self.report("-d", "500ms", "-c", 4, f"localhost:{port}", code=NOTHING)
        self.assertErrors(report, "connect", "refused", "refused")
        self.assertLess(report["errors_total"], 1000)  # it doesn't spin
        done = self.load("-n", 5, "-c", 1, f"localhost:{port}", code=NOTHING)
        self.assertIn("5 errors:", done.stdout)
        self.assertIn("not one operation was done", done.stderr)

    @each(args={"closed": ["-w", "echo"], "open": ["-w", "http", "-r", 1000], "many": ["-w", "raw", "--send", "x", "--expect-bytes", 1]})
    def test_what_never_connects_is_counted_as_well(self, args):
        """A connection that comes to nothing is one of -n, or this would never end."""
        report = self.report(*args, "-n", 6, "-c", 2, f"localhost:{peers.free_port()}", code=NOTHING)
        self.assertErrors(report, "connect", "refused", "refused")
        self.assertEqual((report["errors_total"], report["connections"]["failed"]), (6, 6))

    def test_what_fails_counts_by_when_it_began(self):
        """In the warm-up, and so not at all: as if it had gone well."""
        def fail_first(server, tls):
            if server.connections == 1:
                tls.recv(1)
                threading.Event().wait(0.4)
                return
            echo(server, tls)

        with Server(fail_first) as server:
            report = self.report("-w", "echo", "-n", 1, "-c", 1, "--warmup", "200ms", server.target)
        self.assertEqual((report["operations"], report["errors"]), (1, []))

    def test_what_is_given_up_is_told(self):
        with Server(drain) as server:
            done = self.load("-w", "echo", "-c", 3, "-d", "3s" if timing.SANITIZER else "700ms", "--json", "-", server.target, code=NOTHING)
        report = json.loads(done.stdout)
        self.assertEqual((report["operations"], report["errors_total"], report["given_up"]), (0, 0, 3))
        self.assertIn("\n3 under way at the end were given up\n", done.stderr)
        with Server(drain) as server:
            self.load("-c", 1, "-n", 1, "--assert", "given_up==0", server.target)

    def test_a_certificate_of_nobody_we_trust(self):
        with Server(drain, pair=pki.stranger("ecdsa")) as server:
            report = self.report("-n", 3, "-c", 1, server.target, code=NOTHING)
            self.assertErrors(report, "handshake", "verify", "CERTIFICATE_VERIFY_FAILED")
            report = self.report("-n", 3, "-c", 1, "--insecure", server.target, trusting=False)
        self.assertEqual((report["operations"], report["errors"]), (3, []))

    def test_a_certificate_of_another_name(self):
        with Server(drain, pair=pki.wrong_host("ecdsa")) as server:
            report = self.report("-n", 3, "-c", 1, server.target, code=NOTHING)
        self.assertErrors(report, "handshake", "verify", "localhost")

    def test_a_handshake_that_fails_says_why(self):
        with Server(drain, "tls12") as server:
            report = self.report("-n", 3, "-c", 1, "--tls-min", "1.3", server.target, code=NOTHING)
        self.assertErrors(report, "handshake", "tls", "ALERT_PROTOCOL_VERSION")

    @each(version=("tls12", "tls13"))
    def test_a_server_that_refuses_who_we_are(self, version):
        """In TLS 1.3 it says so when our handshake is over: a workload that reads hears it."""
        with Server(echo, version) as server:
            server.context.load_verify_locations(pki.root().path)
            server.context.verify_mode = ssl.CERT_REQUIRED
            report = self.report("-w", "echo", "-n", 2, "-c", 1, server.target, code=NOTHING)
        self.assertEqual(report["errors_total"], 2)
        for error in report["errors"]:
            self.assertEqual(error["phase"], {"tls12": "handshake", "tls13": "first_byte"}[version], report["errors"])

    def test_a_peer_that_closes_at_once(self):
        with Server(close_at_once, raw=True) as server:
            report = self.report("-n", 6, "-c", 2, server.target, code=NOTHING)
        self.assertEqual(report["errors_total"], 6)
        self.assertLessEqual({error["kind"] for error in report["errors"]}, {"truncated", "reset", "tls"}, report["errors"])

    def test_a_peer_that_never_answers(self):
        with Server(never_answer, raw=True) as server:
            report = self.report("-n", 4, "-c", 2, "--timeout", "300ms", server.target, code=NOTHING)
        self.assertErrors(report, "handshake", "timeout", "in time")

    def test_a_peer_that_is_no_tls(self):
        with Server(lambda _server, sock: (sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10), sock.recv(1000)), raw=True) as server:
            report = self.report("-n", 2, "-c", 1, server.target, code=NOTHING)
        self.assertErrors(report, "handshake", "tls", "WRONG_VERSION_NUMBER")

    def test_a_peer_that_speaks_before_it_is_asked(self):
        with Server(speak_unasked(b"hello"), "tls12", raw=True) as server:
            report = self.report("-w", "echo", "-n", 4, "-c", 2, server.target, code=NOTHING)
        self.assertErrors(report, "transfer", "mismatch", "isn't what was sent")

    @each(end=(b"", b"Connection: close\r\n"))
    def test_an_answer_that_comes_before_its_request(self, end):
        text = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + end + b"\r\n"
        with Server(speak_unasked(text), "tls12", raw=True) as server:
            self.load("-w", "http", "-d", "1s", "-c", 2, server.target)

    def test_a_stream_that_is_cut(self):
        def cut(_server, tls):
            tls.sendall(bytes(1000))
            tls.recv(1)
            tls.detach()

        with Server(cut) as server:
            done = self.report("-w", "raw", "--send", "x", "--expect-bytes", 2000, "-n", 2, "-c", 1, "--timeout", "1s",
                               server.target, code=NOTHING)
        self.assertEqual(done["errors_total"], 2)
        self.assertTrue(all(error["phase"] == "transfer" for error in done["errors"]), done["errors"])

    def test_more_connections_than_descriptors_are_refused_at_the_start(self):
        done = self.load("-w", "idle", "-c", 1000, "localhost:1", code=NOTHING,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500)))
        self.assertRegex(done.stderr, "only 500 descriptors are allowed")

    def test_some_errors_end_nothing(self):
        def every_other(server, sock):
            if server.connections % 2 == 0:
                sock.close()
                return
            with server.context.wrap_socket(sock, server_side=True) as tls:
                drain(server, tls)

        with Server(every_other, raw=True) as server:
            report = self.report("-n", 20, "-c", 1, server.target)
        self.assertConsistent(report)
        self.assertEqual((report["operations"], report["errors_total"]), (10, 10))

    def test_a_held_connection_that_the_peer_closes_is_an_error_and_made_anew(self):
        with Server(lambda _server, tls: (threading.Event().wait(0.2), tls.unwrap())) as server:
            report = self.report("-w", "idle", "-c", 1, "-d", "1s", server.target)
        self.assertGreater(report["connections"]["established"], 1)
        self.assertEqual(report["errors"][0]["reason"], "the peer closed an idle connection")

    @each(args={"no_target": [], "no_port": ["localhost"], "no_path": ["unix:"], "port_0": ["localhost:0"],
                "port_that_wraps": ["localhost:66001"], "no_address": ["::1:443"], "no_group": ["--groups", "P-1", "localhost:1"],
                "no_cipher": ["--ciphers", "nope", "localhost:1"], "no_suite": ["--ciphersuites", "nope", "localhost:1"],
                "no_alpn": ["--alpn", ",,", "localhost:1"], "no_escape": ["--send", "\\q", "localhost:1"]})
    def test_what_makes_no_sense_is_said(self, args):
        done = self.load(*args, code=USAGE)
        self.assertRegex(done.stderr, r"\Atlsagent-load: .+\n\Z")
        self.assertIn(args[0] if len(args) > 1 else "", done.stderr)
        self.assertNotIn("settings.", done.stderr)

    @each(args={"no_name": ["no.such.name.invalid:443"],
                "no_file": ["--ca", "/nonexistent", "localhost:1"], "no_certificate": ["--ca", "/dev/null", "localhost:1"]})
    def test_what_can_not_be_had_is_said(self, args):
        done = self.load(*args, code=NOTHING, trusting=False)
        self.assertRegex(done.stderr, r"\Atlsagent-load: .+\n\Z")


class Reports(Load):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(echo).__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def start(self, *args):
        return subprocess.Popen([LOAD, "--ca", pki.root().path, *map(str, args)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @each(number=(signal.SIGINT, signal.SIGTERM))
    def test_a_signal_gives_the_report_so_far(self, number):
        process = self.start("-w", "echo", "-c", 2, "-d", "10m", "--json", "-", self.server.target)
        process.stderr.readline()  # the first second has passed
        process.send_signal(number)
        out, _ = process.communicate(timeout=timing.PATIENCE)
        report = json.loads(out)
        self.assertEqual(process.returncode, GOOD)
        self.assertTrue(report["interrupted"])
        self.assertGreater(report["operations"], 0)
        self.assertConsistent(report)

    def test_a_run_lasts_until_the_signal(self):
        def answer_once(_server, tls):
            tls.sendall(tls.recv(100))
            tls.recv(100)
            threading.Event().wait(timing.PATIENCE)

        with Server(answer_once) as server:
            process = self.start("-w", "echo", "-c", 1, "-d", "10m", "--json", "-", server.target)
            process.stderr.readline()  # the first second has passed, of which nearly nothing was needed
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=timing.PATIENCE)
        report = json.loads(out)
        self.assertEqual(report["operations"], 1)
        self.assertGreaterEqual(report["seconds"], 1)

    def test_a_signal_while_a_session_is_fetched_gives_a_report(self):
        with Server(never_answer, raw=True) as server:
            process = self.start("-c", 2, "-d", "10m", "--resume", 50, server.target)
            timing.eventually(lambda: server.connections > 0, "it connects")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=timing.PATIENCE)
        self.assertEqual(process.returncode, NOTHING)
        self.assertIn("\nInterrupted. 0 operations in 0.00 s", out)

    def test_a_signal_before_and_after_a_run_ends_the_process(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "daemon")
            with socket.socket(socket.AF_UNIX) as daemon:
                daemon.bind(path)
                daemon.listen()
                process = self.start("--via=unix:" + path, self.server.target)
                taken, _ = daemon.accept()
                process.terminate()
                process.communicate(timeout=timing.PATIENCE)
                taken.close()
            self.assertEqual(process.returncode, -signal.SIGTERM)
            path = os.path.join(directory, "fifo")
            os.mkfifo(path)
            process = self.start("-w", "echo", "-n", 1, "-c", 1, "--json", path, self.server.target)
            for line in process.stdout:
                if line == "no errors\n":  # what follows is the report that nobody reads
                    break
            process.terminate()
            process.communicate(timeout=timing.PATIENCE)
            self.assertEqual(process.returncode, -signal.SIGTERM)

    def test_a_line_a_second_where_nobody_rewrites(self):
        done = self.load("-w", "echo", "-c", 1, "-d", "2s", "-r", 20, self.server.target)
        lines = re.findall(r"^\ds: [\d.]+/s, p50 .+, p99 .+, 1 connections, 0 errors", done.stderr, re.M)
        self.assertEqual(len(lines), 2, done.stderr)
        self.assertNotIn("\033", done.stderr)

    def test_a_warm_up_shows_no_rate(self):
        done = self.load("-w", "echo", "-c", 1, "--warmup", "100ms", "-d", "500ms", self.server.target)
        self.assertRegex(done.stderr, r"\A-?0s: warming up, [01] connections\n")

    def test_a_block_that_is_rewritten_on_a_terminal(self):
        done = subprocess.run(["script", "-qec", f"{LOAD} -k -w echo -c 1 -d 3s -r 20 {self.server.target}", "/dev/null"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timing.PATIENCE)
        self.assertEqual(done.returncode, GOOD, done)
        self.assertRegex(done.stdout, r"\[#+\.+\] 1 of 3 s")
        self.assertIn("\033[5A", done.stdout)

    def test_assertions_decide_the_exit_code(self):
        run = ["-w", "echo", "-n", 5, "-c", 1, self.server.target]
        self.load("--assert", "errors==0", "--assert", "operation.p99<1h", *run)
        done = self.load("--assert", "errors==0", "--assert", "operation.p50<1ns", "--assert", "operations>5", *run, code=ASSERTION)
        self.assertIn("assertion failed: operation.p50<1ns: it is ", done.stderr)
        self.assertIn("assertion failed: operations>5: it is 5", done.stderr)
        self.load("--assert", "errors", *run, code=USAGE)
        done = self.load("--assert", "transfer.p99<1s", "-n", 2, "-c", 1, self.server.target, code=ASSERTION)
        self.assertIn("assertion failed: transfer.p99<1s: there was none", done.stderr)

    def test_every_report_can_be_had(self):
        with tempfile.TemporaryDirectory() as directory:
            def path(name):
                return os.path.join(directory, name)

            done = self.load("-w", "echo", "-c", 2, "-d", "2s", "--json", path("json"), "--csv", path("csv"), "--html",
                             path("html"), "--hdr", path("hdr"), "--title", "A <title>", self.server.target)
            self.assertIn("no errors", done.stdout)
            with open(path("json")) as file:
                report = json.load(file)
            with open(path("csv")) as file:
                rows = list(csv.DictReader(io.StringIO(file.read())))
            with open(path("html")) as file:
                page = file.read()
            with open(path("hdr.operation.hdr")) as file:
                percentiles = file.read()
        self.assertConsistent(report)
        self.assertEqual([int(row["operations"]) for row in rows], [second["operations"] for second in report["series"]])
        self.assertIn("A &lt;title&gt;", page)
        self.assertEqual(page.count("<svg"), 4)
        self.assertIn(f"Total count    = {report['operations']:12d}]", percentiles)

    def test_reports_can_be_compared(self):
        with tempfile.TemporaryDirectory() as directory:
            files = [os.path.join(directory, name) for name in ("a.json", "b.json")]
            for file in files:
                self.load("-w", "echo", "-c", 1, "-d", "1s", "--quiet", "--json", file, self.server.target)
            done = subprocess.run([LOAD, "compare", *files], capture_output=True, text=True, timeout=timing.PATIENCE)
            self.assertEqual(done.returncode, GOOD, done)
            self.assertRegex(done.stdout, r"operations a second .* too few seconds to tell")
            done = subprocess.run([LOAD, "compare", files[0], __file__], capture_output=True, text=True, timeout=timing.PATIENCE)
            self.assertEqual(done.returncode, NOTHING, done)
        self.assertEqual(subprocess.run([LOAD, "compare", "one"], capture_output=True, timeout=timing.PATIENCE).returncode, USAGE)
        explained = subprocess.run([LOAD, "compare", "--help"], capture_output=True, text=True, timeout=timing.PATIENCE)
        self.assertIn("permutation", explained.stdout)

    def test_a_report_that_can_not_be_written_is_told(self):
        done = self.load("-w", "echo", "-n", 1, "-c", 1, "--html", "/nonexistent/page", self.server.target, code=NOTHING)
        self.assertIn("/nonexistent/page: No such file", done.stderr)

    @each(args={"text": [], "json": ["--quiet", "--json", "-"], "help": ["--help"], "compare": ["compare"],
                "compare_help": ["compare", "--help"]})
    def test_output_that_goes_nowhere_is_told(self, args):
        with tempfile.TemporaryDirectory() as directory, open("/dev/full", "w") as full:
            if args == ["compare"]:
                path = os.path.join(directory, "json")
                self.load("-w", "echo", "-n", 1, "-c", 1, "--quiet", "--json", path, self.server.target)
                args = [*args, path, path]
            if "compare" not in args:
                args = [*args, "-k", "-w", "echo", "-n", "1", "-c", "1", self.server.target]
            done = subprocess.run([LOAD, *args], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=timing.PATIENCE)
        self.assertEqual(done.returncode, NOTHING, done.stderr)
        self.assertIn("tlsagent-load: standard output: No space left", done.stderr)

    def test_the_histogram_is_as_gos(self):
        def output(*command):
            return subprocess.run(command, capture_output=True, text=True, timeout=timing.PATIENCE, check=True).stdout

        ours = output(os.path.join(os.environ["TLSAGENT_C_DIR"], "histogram"))
        self.assertEqual(ours, output(os.path.join(os.environ["TLSAGENT_GO_DIR"], "hdr")))
        self.assertEqual(len(ours.splitlines()), 15)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
