"""Relays: `tlsagent relay` between real peers, and SessionService.Relay by RPC."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import daemon
import peers
import pki
import relays
import session as sessions
import timing
from e2e import Cases, Code, E2ETest, RpcError, each
from relays import LOOPBACK, Command, Echo, Plain, dial, read_all, tls
from session import Background
from tlsagent.v1 import common_pb2, relay_pb2, session_pb2
from ttrpc_client import ConnectionLost

USAGE, UNREACHABLE, NETWORK, REFUSED, FILES = 1, 2, 6, 7, 9
VERSIONS = ("tls12", "tls13")
MUCH = os.urandom(1 << 16) * 64


class RelayTest(Cases):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tlsagent-relay-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.runtime = os.path.join(self.folder, "runtime")
        os.mkdir(self.runtime)
        pair = pki.server("ecdsa")
        self.identity = ("--cert", pair.chain_path, "--key", pair.key_path)

    def place(self, kind, name):
        return LOOPBACK + ":0" if kind == "tcp" else f"unix:{self.folder}/{name}"

    def environment(self):
        return {**os.environ, "XDG_RUNTIME_DIR": self.runtime, "TLSAGENT_SOCKET": "unix:/nowhere/at/all"}

    def echo(self, kind="tcp", name="back"):
        echo = Echo(self.place(kind, name))
        self.addCleanup(echo.close)
        return echo

    def relay(self, *options, to, listen="tcp", check=True):
        """One that runs until the test is over, and then has to end well."""
        command = Command(*options, to=to, listen=self.place(listen, "front"), runtime=self.runtime, env=self.environment())
        self.addCleanup(command.kill)
        if check:
            self.addCleanup(self.check_end, command)
        return command

    def check_end(self, command):
        if command.process.poll() is None:
            self.assertEqual(command.interrupt(), 0, command.text())

    def server(self, *options, to, **places):
        return self.relay(*self.identity, *options, to=to, **places)

    def plain_listener(self):
        listener, address = relays.listen(LOOPBACK + ":0")
        listener.settimeout(timing.PATIENCE)
        self.addCleanup(listener.close)
        return listener, address

    def refuse(self, *options, code=USAGE):
        """What it says on standard error."""
        done = subprocess.run([relays.CLI, "relay", *options], capture_output=True, text=True, timeout=timing.PATIENCE,
                              env=self.environment(), stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("tlsagent relay: "), done.stderr)
        return done.stderr


class Relayed(RelayTest):
    """Bytes go through, from whomever to whomever."""

    @each(front=("tcp", "unix"), back=("tcp", "unix"))
    def test_a_server_before_a_plaintext_service(self, front, back):
        command = self.server("--verbose", to=self.echo(back).address, listen=front)
        with tls(dial(command.address)) as client:
            client.sendall(b"hello")
            self.assertEqual(client.recv(5), b"hello")
            client.unwrap().close()
        command.wait_for(r"(?m)^(127\.0\.0\.1:\d+|unix) TLSv1\.3 \S+ 5 bytes in, 5 out, \d+\.\d+ s$")
        self.assertEqual(command.interrupt(), 0)
        self.assertIn("1 connections: 1 relayed, 0 handshakes failed, 0 targets not reached, 0 refused", command.text())

    @each(front=("tcp", "unix"), back=("tcp", "unix"))
    def test_a_client_behind_a_plaintext_program(self, front, back):
        """Another relay is the TLS server."""
        command = self.server(to=self.echo(name="far").address, listen=back)
        other = Command("--client", "--cafile", pki.root().path, "--servername", pki.HOST, to=command.address,
                        listen=self.place(front, "outward"), env=self.environment())
        self.addCleanup(other.kill)
        with dial(other.address) as sock:
            sock.sendall(b"hello")
            self.assertEqual(Plain(sock).read_exactly(5), b"hello")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(sock), (b"", False))
        self.assertEqual(other.interrupt(), 0)
        self.assertIn("1 relayed", other.text())

    @each(peer=sorted(peers.CLIENTS), version=VERSIONS)
    def test_clients(self, peer, version):
        listener, address = self.plain_listener()
        command = self.server(to=address)
        port = int(command.address.rpartition(":")[2])

        class Front:
            getsockname = staticmethod(lambda: (LOOPBACK, port))

        with peers.client(peer, Front, version=version) as client:
            sock, _ = listener.accept()
            with sock:
                client.talk(Plain(sock))
                client.finish()

    @each(peer=sorted(peers.SERVERS), version=VERSIONS)
    def test_servers(self, peer, version):
        with peers.server(peer, pki.server("rsa"), version=version) as server:
            command = self.relay("--client", "--cafile", pki.root().path, to=f"{LOOPBACK}:{server.port}")
            with dial(command.address) as sock:
                server.talk(Plain(sock))
            self.assertNotIn("handshake failed", command.text())

    def test_openssl_over_unix_sockets(self):
        command = self.server(to=self.echo("unix").address, listen="unix")
        program = peers.Program("openssl", "s_client", "-unix", command.address.removeprefix("unix:"), "-quiet", "-CAfile",
                                pki.root().path, "-verify_return_error")
        self.addCleanup(program.stop)
        program.say(b"a line\n")
        program.wait_for(b"a line\n")

    @each(version=VERSIONS)
    def test_much_goes_both_ways_at_once(self, version):
        command = self.server("--verbose", to=self.echo().address)
        with tls(dial(command.address), version=version) as client:
            self.assertTrue(relays.exchange(client, MUCH) == MUCH)
            client.unwrap().close()
        command.wait_for(rf"{len(MUCH)} bytes in, {len(MUCH)} out")

    def test_each_direction_ends_by_itself(self):
        listener, address = self.plain_listener()
        command = self.server("--verbose", to=address)
        client = peers.Puppet(dial(command.address), peers.python_context(False, ca=pki.root()), False, pki.HOST).handshake()
        near, _ = listener.accept()
        near.sendall(b"bye")
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(client.recv_exactly(3), b"bye")
        self.assertEqual(client.recv(), b"", "close_notify")
        client.tls.write(b"not yet")
        client.flush()
        self.assertEqual(Plain(near).read_exactly(7), b"not yet")
        client.unwrap()
        self.assertEqual(read_all(near), (b"", False))
        command.wait_for(r"7 bytes in, 3 out")
        near.close()
        client.sock.close()

    def test_names_and_protocols(self):
        listener, address = self.plain_listener()
        command = self.server("--alpn", "h2,http/1.1", "--verbose", to=address)
        context = peers.python_context(False, ca=pki.root(), alpn=(b"http/1.1",))
        with context.wrap_socket(dial(command.address), server_hostname=pki.HOST) as client:
            self.assertEqual(client.selected_alpn_protocol(), "http/1.1")
        with peers.server("python", pki.server("ecdsa"), alpn=(b"h2",)) as server:
            outward = Command("--client", "--cafile", pki.root().path, "--servername", "www.wild.test", "--alpn", "h2",
                              to=f"{LOOPBACK}:{server.port}", env=self.environment())
            self.addCleanup(outward.kill)
            with dial(outward.address) as sock:
                server.talk(Plain(sock))
            self.assertEqual(server.saw[:2], ("www.wild.test", "h2"))
            self.assertEqual(outward.interrupt(), 0)

    def test_client_certificates_are_asked_for(self):
        command = self.server("--client-ca", pki.root().path, to=self.echo().address)
        with tls(dial(command.address), pair=pki.client("rsa")) as client:
            client.sendall(b"hello")
            self.assertEqual(client.recv(5), b"hello")
        with self.assertRaises(ssl.SSLError):
            with tls(dial(command.address)) as client:
                client.recv(1)
        command.wait_for("the handshake failed: .*certificate")

    def test_a_client_shows_its_certificate(self):
        pair = pki.client("ecdsa")
        with peers.server("openssl", pki.server("ecdsa"), client_ca=pki.root()) as server:
            command = self.relay("--client", "--cafile", pki.root().path, "--cert", pair.chain_path, "--key", pair.key_path,
                                 to=f"{LOOPBACK}:{server.port}")
            with dial(command.address) as sock:
                server.talk(Plain(sock))

    def test_a_server_that_does_not_verify_is_not_talked_to(self):
        with peers.server("openssl", pki.stranger("ecdsa")) as server:
            for options, goes in ((("--cafile", pki.root().path), False), (("--insecure",), True)):
                command = self.relay("--client", *options, to=f"{LOOPBACK}:{server.port}")
                with dial(command.address) as sock:
                    if goes:
                        server.talk(Plain(sock))
                    else:
                        self.assertEqual(read_all(sock)[0], b"")
                        command.wait_for(r"the handshake failed: .*\(CERTIFICATE_VERIFY_FAILED\)")

    def test_sessions_are_resumed_unless_they_may_not(self):
        for options, resumed in (((), True), (("--no-tickets",), False)):
            command = self.server(*options, to=self.echo().address)
            context = peers.python_context(False, ca=pki.root())
            kept = None
            for _ in range(2):
                with context.wrap_socket(dial(command.address), server_hostname=pki.HOST, session=kept) as client:
                    client.sendall(b"x")
                    self.assertEqual(client.recv(1), b"x")
                    was_resumed, kept = client.session_reused, client.session
                    client.unwrap().close()
            self.assertEqual(was_resumed, resumed)
            self.check_end(command)


class Proxied(RelayTest):
    """The PROXY protocol, as receivers understand it."""

    def test_the_facts(self):
        listener, address = self.plain_listener()
        command = self.server("--proxy-protocol", "--alpn", "http/1.1", "--client-ca", pki.root().path, "--client-cert",
                              "optional", to=address)
        context = peers.python_context(False, pki.client("ecdsa"), ca=pki.root(), alpn=(b"http/1.1",))
        with context.wrap_socket(dial(command.address), server_hostname=pki.HOST) as client:
            client.sendall(b"first")
            near, _ = listener.accept()
            with near:
                addresses, facts, bits, verify = relays.read_proxy_header(near)
                self.assertEqual(addresses, (client.getsockname(), client.getpeername()))
                self.assertEqual(facts[relays.ALPN], b"http/1.1")
                self.assertEqual(facts[relays.AUTHORITY], pki.HOST.encode())
                self.assertEqual(facts[relays.SSL_VERSION], client.version().encode())
                self.assertEqual(facts[relays.SSL_CIPHER], client.cipher()[0].encode())
                self.assertEqual((bits, verify), (7, 0))
                self.assertIn(relays.SSL_CN, facts)
                self.assertEqual(Plain(near).read_exactly(5), b"first")

    def test_without_addresses_from_a_unix_socket(self):
        listener, address = self.plain_listener()
        command = self.server("--proxy-protocol", to=address, listen="unix")
        with tls(dial(command.address)):
            near, _ = listener.accept()
            with near:
                addresses, facts, bits, verify = relays.read_proxy_header(near)
        self.assertIsNone(addresses)
        self.assertEqual(bits, 1)
        self.assertNotEqual(verify, 0)
        self.assertNotIn(relays.SSL_CN, facts)

    @each(front=("tcp", "unix"))
    def test_nginx_believes_it(self, front):
        nginx = peers.Nginx(f"listen {LOOPBACK}:{{port}} proxy_protocol; location / {{{{ "
                            'return 200 "$proxy_protocol_addr $proxy_protocol_port\\n"; }}')
        self.addCleanup(nginx.stop)
        command = self.server("--proxy-protocol", to=f"{LOOPBACK}:{nginx.port}", listen=front)
        with tls(dial(command.address)) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = read_all(client)[0]
            self.assertRegex(answer, b"^HTTP/1.1 200 ", nginx.log())
            if front == "tcp":
                self.assertIn(" ".join(map(str, client.getsockname())).encode(), answer, nginx.log())

    @unittest.skipUnless(shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"), "there is no haproxy here")
    def test_haproxy_believes_it(self):
        port = peers.free_port()
        config = os.path.join(self.folder, "haproxy.cfg")
        with open(config, "w") as file:
            file.write(f"""
defaults
  mode http
  timeout connect 10s
  timeout client 10s
  timeout server 10s
frontend it
  bind {LOOPBACK}:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[fc_pp_authority]"
""")
        program = peers.Program("haproxy", "-db", "-f", config, env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        self.addCleanup(program.stop)
        timing.eventually(lambda: self.takes(port), "haproxy listens")
        command = self.server("--proxy-protocol", to=f"{LOOPBACK}:{port}")
        with tls(dial(command.address)) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = read_all(client)[0]
            self.assertRegex(answer, b"^HTTP/1.[01] 200 ", program.output)
            self.assertIn(" ".join(map(str, client.getsockname())).encode(), answer)
            self.assertTrue(answer.endswith(b" " + pki.HOST.encode()), answer)

    @staticmethod
    def takes(port):
        try:
            socket.create_connection((LOOPBACK, port), 1).close()
        except OSError:
            return False
        return True


class Life(RelayTest):
    """How it begins and ends, and what it says."""

    def is_gone(self, command, pids):
        self.assertEqual([pid for pid in pids if os.path.exists(f"/proc/{pid}/fd") and
                          open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"], [])
        self.assertEqual(os.listdir(self.runtime), [])
        if command.address.startswith("unix:"):
            self.assertFalse(os.path.exists(command.address.removeprefix("unix:")))
        with self.assertRaises(OSError):
            dial(command.address)

    @each(number={"interrupt": signal.SIGINT, "terminate": signal.SIGTERM}, front=("tcp", "unix"))
    def test_it_leaves_nothing(self, number, front):
        command = self.server(to=self.echo().address, listen=front)
        pids = command.daemon_pids()
        self.assertTrue(pids)
        with dial(command.address) as silent, tls(dial(command.address)) as client:  # accepted in that order
            client.sendall(b"hello")
            self.assertEqual(client.recv(5), b"hello")
            self.assertEqual(command.interrupt(number), 0)
            self.assertEqual(read_all(silent)[0], b"")
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                client.recv(1)
        timing.eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "all processes are gone")
        self.is_gone(command, pids)
        self.assertIn("2 connections: 1 relayed", command.text())

    def test_killed_it_takes_its_daemon_along(self):
        command = self.server(to=self.echo().address, check=False)
        pids = command.daemon_pids()
        client = tls(dial(command.address))
        command.kill()
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            client.recv(1)
        client.close()
        timing.eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "all processes are gone")
        timing.eventually(lambda: not os.listdir(self.runtime), "the private folder is gone")

    def test_it_ends_when_its_daemon_has_gone(self):
        command = self.server(to=self.echo().address, check=False)
        for pid in command.daemon_pids():
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(command.wait(), UNREACHABLE, command.text())
        self.assertIn("tlsagent relay: ", command.text())

    def test_a_back_end_may_go_and_come_again(self):
        listener, address = relays.listen(LOOPBACK + ":0")
        listener.close()
        command = self.server(to=address)
        with tls(dial(command.address)) as client:
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                client.recv(1)
        command.wait_for(r"(?m)^127\.0\.0\.1:\d+ TLSv1\.3 \S+ the target can't be reached: connect: Connection refused$")
        echo = Echo(address)
        self.addCleanup(echo.close)
        with tls(dial(command.address)) as client:
            client.sendall(b"hello")
            self.assertEqual(client.recv(5), b"hello")

    def test_no_more_connections_than_asked_for(self):
        command = self.server("--max-connections", "1", "--workers", "1", to=self.echo().address)
        first = tls(dial(command.address))
        first.sendall(b"x")
        self.assertEqual(first.recv(1), b"x")
        waiting = dial(command.address)
        context = peers.python_context(False, ca=pki.root())
        second = Background(context.wrap_socket, waiting, server_hostname=pki.HOST)
        time.sleep(0.2)
        self.assertTrue(second.thread.is_alive(), "it waits")
        first.unwrap().close()
        with second.result() as client:
            client.sendall(b"y")
            self.assertEqual(client.recv(1), b"y")
        self.check_end(command)
        self.assertIn("2 connections: 2 relayed", command.text())

    def test_what_failed_is_told_and_what_went_well_only_if_asked(self):
        for options, good, bad in (((), False, True), (("--verbose",), True, True), (("--quiet",), False, False)):
            command = self.server(*options, to=self.echo().address)
            with tls(dial(command.address)) as client:
                client.unwrap().close()
            with dial(command.address) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                read_all(sock)
            self.check_end(command)
            said = command.text()
            self.assertEqual("bytes in" in said, good, said)
            self.assertEqual("the handshake failed: " in said, bad, said)
            self.assertEqual("2 connections: " in said, bad, said)

    def test_a_cut_off_connection_is_told(self):
        command = self.server(to=self.echo().address)
        client = tls(dial(command.address))
        client.sendall(b"x")
        self.assertEqual(client.recv(1), b"x")
        client.close()
        command.wait_for(r"1 bytes in, 1 out, \S+ s ended: unexpected eof")

    @each(which=("idle", "total"))
    def test_time_ends_a_connection(self, which):
        command = self.server(f"--{which}-timeout", "1", to=self.echo().address)
        with tls(dial(command.address)) as client:
            self.assertEqual(client.recv(1), b"", "close_notify")
        command.wait_for(f"ended: the relay .* {which} time")

    def test_time_ends_a_handshake(self):
        command = self.server("--handshake-timeout", "1", to=self.echo().address)
        with dial(command.address) as sock:
            self.assertEqual(read_all(sock)[0], b"")
        command.wait_for("the handshake failed: the handshake took too long")

    def test_a_peers_words_do_no_harm_on_a_terminal(self):
        """The server name is the client's to choose."""
        command = self.server("--verbose", to=self.echo().address)
        with tls(dial(command.address)) as client:
            client.unwrap().close()
        command.wait_for("0 bytes in")
        self.assertTrue(all(c.isprintable() or c == "\n" for c in command.text()))


class Refused(RelayTest):
    """Command lines that make no sense, and what is said of them."""

    def whole(self, *options):
        return ("--listen", LOOPBACK + ":0", "--to", LOOPBACK + ":9", *self.identity, *options)

    def test_both_addresses_are_needed(self):
        for options in ((), ("--listen", ":0"), ("--to", "127.0.0.1:9")):
            self.assertIn("--listen ADDRESS and --to ADDRESS are needed", self.refuse(*options))

    @each(address={"nothing": "", "no_path": "unix:", "no_port": "127.0.0.1:", "words": "one two"})
    def test_addresses_that_are_none(self, address):
        self.assertIn("--listen takes", self.refuse("--listen", address, "--to", "127.0.0.1:9"))
        self.assertIn("--to", self.refuse("--listen", ":0", "--to", address))

    @each(address={"a_relative_path": "unix:here", "no_host": ":9", "port_0": "127.0.0.1:0", "a_large_port": "127.0.0.1:65536"})
    def test_targets_that_are_none(self, address):
        self.assertIn("--to", self.refuse("--listen", ":0", "--to", address))

    @each(options={"client_ca": ("--client-ca", "x"), "proxy": ("--proxy-protocol",), "tickets": ("--no-tickets",)})
    def test_servers_options_are_not_clients(self, options):
        self.assertIn("for servers", self.refuse(*self.whole("--client", *options)))

    @each(options={"cafile": ("--cafile", "x"), "insecure": ("--insecure",), "system": ("--system",),
                   "servername": ("--servername", "x")})
    def test_clients_options_are_not_servers(self, options):
        self.assertIn("need --client", self.refuse(*self.whole(*options)))

    @each(options={"json": ("--json",), "many": ("--max-connections", "500001"), "words": ("--idle-timeout", "soon"),
                   "an_argument": ("more",), "unknown": ("--no-such-option",)})
    def test_other_nonsense(self, options):
        self.refuse(*self.whole(*options))

    def test_workers_are_of_its_own_daemon(self):
        self.assertIn("--workers", self.refuse("--socket", "unix:/nowhere", *self.whole("--workers", "2")))

    def test_a_daemon_that_is_not_there(self):
        self.refuse("--socket", "unix:/nowhere/at/all", *self.whole(), code=UNREACHABLE)

    def test_files_that_are_none(self):
        self.refuse("--listen", ":0", "--to", LOOPBACK + ":9", "--cert", "/nowhere", code=FILES)
        self.assertEqual(os.listdir(self.runtime), [])

    def test_a_server_needs_a_certificate(self):
        said = self.refuse("--listen", LOOPBACK + ":0", "--to", LOOPBACK + ":9")
        self.assertIn("--cert", said)

    def test_an_address_in_use(self):
        with socket.create_server((LOOPBACK, 0)) as taken:
            self.refuse(*self.identity, "--listen", f"{LOOPBACK}:{taken.getsockname()[1]}", "--to", LOOPBACK + ":9",
                        code=NETWORK)
        self.assertEqual(os.listdir(self.runtime), [])

    def test_a_daemon_that_may_not_dial(self):
        agent = daemon.Daemon().start()
        self.addCleanup(agent.stop)
        said = self.refuse("--socket", "unix:" + agent.path, *self.whole(), code=REFUSED)
        self.assertIn("--allow-dial", said)
        agent.wait_idle()


# --- By RPC -----------------------------------------------------------------------------------------------------------


class RpcTest(E2ETest):
    @classmethod
    def setUpClass(cls):
        pki.server("ecdsa")  # made here, and not by two threads at once
        super().setUpClass()

    def listen(self, rpc, to, **fields):
        listener, address = relays.listen(LOOPBACK + ":0")
        host, _, port = to.rpartition(":")
        target = relay_pb2.RelayTarget(tcp=session_pb2.DialTransport(host=host, port=int(port)))
        context = sessions.context(rpc, "server", pki.server("ecdsa"))
        with listener:
            return rpc.relay.Listen(context=context, role=common_pb2.ROLE_SERVER, fd=0, to=target, fds=[listener.fileno()],
                                    **fields).listener, address

    @staticmethod
    def refused(address):
        try:
            dial(address).close()
        except OSError:
            return True
        return False

    def relayed(self, rpc=None, version=None, **options):
        """(handle, the plaintext end, a TLS client's end) of a session that was accepted as a relay."""
        rpc = rpc or self.rpc
        ours, far = sessions.tcp_pair()
        client = Background(tls, far, version=version)
        context = sessions.context(rpc, "server", pki.server("ecdsa"))
        pending = rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(
            context=context, transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0)),
            relay=session_pb2.RelayOptions(**options)), [ours.fileno()])
        response = rpc.wait(pending)
        ours.close()
        self.assertEqual(response.progress.state, common_pb2.STATE_DONE, response)
        near = self.take(pending)
        peer = client.result()
        self.addCleanup(peer.close)
        return response.session, near, peer

    def take(self, pending):
        """The one descriptor that came with an answer, as a socket."""
        self.assertEqual(len(pending.fds), 1)
        near = socket.socket(fileno=pending.fds[0])
        self.addCleanup(near.close)
        self.assertTrue(near.getblocking())
        near.settimeout(timing.PATIENCE)
        return near

    def talk(self, near, peer):
        near.sendall(b"down")
        self.assertEqual(Plain(peer).read_exactly(4), b"down")
        peer.sendall(b"up")
        self.assertEqual(Plain(near).read_exactly(2), b"up")

    def part(self, near, peer):
        near.shutdown(socket.SHUT_WR)
        peer.unwrap()
        self.assertEqual(read_all(near), (b"", False))


class ByRpc(RpcTest):
    @each(version=VERSIONS)
    def test_accept_in_one_call(self, version):
        handle, near, peer = self.relayed(version=version)
        self.talk(near, peer)
        self.part(near, peer)
        end = self.rpc.session.WaitEnd(session=handle)
        self.assertEqual((end.state, end.bytes_read, end.bytes_written), (common_pb2.STATE_CLOSED, 2, 4))
        self.rpc.session.Close(session=handle)

    def test_connect_in_one_call(self):
        with peers.server("python", pki.server("ecdsa")) as server:
            with server.connect() as sock:
                context = sessions.context(self.rpc, "client", trust=[pki.root()])
                pending = self.rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(
                    context=context, server_name=pki.HOST, first_write=b"first", relay=session_pb2.RelayOptions(),
                    transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))), [sock.fileno()])
                response = self.rpc.wait(pending)
            near = self.take(pending)
            self.assertEqual(Plain(near).read_exactly(5), b"first")
            near.sendall(MUCH[:100000])
            self.assertEqual(Plain(near).read_exactly(100000), MUCH[:100000])
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(near), (b"", False))
            self.assertEqual(self.rpc.session.WaitEnd(session=response.session).state, common_pb2.STATE_CLOSED)

    def test_a_dialled_one(self):
        agent = daemon.Daemon("--allow-dial", "127.0.0.1:*").start()
        self.addCleanup(agent.stop)
        with peers.server("openssl", pki.server("ecdsa")) as server, agent.client() as rpc:
            context = sessions.context(rpc, "client", trust=[pki.root()])
            pending = rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(
                context=context, server_name=pki.HOST, relay=session_pb2.RelayOptions(forget=True),
                transport=session_pb2.Transport(dial=session_pb2.DialTransport(host=LOOPBACK, port=server.port))))
            rpc.wait(pending)
            near = self.take(pending)
            server.talk(Plain(near))

    def test_after_reads_and_writes(self):
        near, far = sessions.tcp_pair()
        peer = Background(tls, far)
        session = sessions.accept(self.rpc, "fd", sessions.context(self.rpc, "server", pki.server("ecdsa")), near)
        near.close()
        client = peer.result()
        self.addCleanup(client.close)
        client.sendall(b"one two three")
        self.assertEqual(session.read(4), b"one ")
        session.write(b"four")
        self.assertEqual(client.recv(4), b"four")
        pending = self.rpc.submit("SessionService.Relay", session_pb2.RelayRequest(session=session.handle))
        self.rpc.wait(pending)
        near = self.take(pending)
        self.assertEqual(Plain(near).read_exactly(9), b"two three")
        self.talk(near, client)
        self.assertCode(Code.FAILED_PRECONDITION, self.rpc.session.Read, session=session.handle)
        self.assertCode(Code.FAILED_PRECONDITION, self.rpc.session.Relay, session=session.handle)
        self.part(near, client)
        end = self.rpc.session.WaitEnd(session=session.handle)
        self.assertEqual((end.bytes_read, end.bytes_written), (15, 8))

    def test_the_end_may_be_awaited_before_and_after(self):
        handle, near, peer = self.relayed()
        waiting = [self.rpc.submit("SessionService.WaitEnd", session_pb2.WaitEndRequest(session=handle)) for _ in range(3)]
        self.assertCode(Code.DEADLINE_EXCEEDED, self.rpc.session.WaitEnd, session=handle, timeout_nano=10 ** 7)
        self.rpc.agent.Cancel(stream_id=waiting[0].stream_id)
        self.assertCode(Code.CANCELLED, self.rpc.wait, waiting[0])
        self.talk(near, peer)
        peer.close()
        self.assertEqual(read_all(near)[0], b"")
        for pending in waiting[1:]:
            self.assertEqual(self.rpc.wait(pending).error.kind, common_pb2.ERROR_KIND_TRUNCATED)
        end = self.rpc.session.WaitEnd(session=handle)
        self.assertEqual(end.error.kind, common_pb2.ERROR_KIND_TRUNCATED)
        self.assertEqual(self.rpc.session.Describe(session=handle).bytes_read, 2)

    def test_one_to_be_forgotten_goes_by_itself(self):
        handle, near, peer = self.relayed(forget=True)
        self.talk(near, peer)
        self.part(near, peer)

        def gone():
            try:
                self.rpc.session.Describe(session=handle)
            except RpcError as error:
                return error.code == Code.NOT_FOUND
            return False

        timing.eventually(gone, "the handle is gone")

    @each(forget=(True, False))
    def test_a_client_that_vanishes_takes_its_relays_along(self, forget):
        rpc = self.client()
        _, near, peer = self.relayed(rpc, forget=forget)
        self.talk(near, peer)
        rpc.close()
        self.assertEqual(read_all(near)[0], b"")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            peer.recv(1)
        self.assertUndisturbed(self.rpc)

    def test_a_plaintext_end_that_nobody_holds(self):
        handle, near, peer = self.relayed()
        self.talk(near, peer)
        near.close()
        self.assertEqual(peer.recv(1), b"", "close_notify")
        peer.unwrap()
        self.assertEqual(self.rpc.session.WaitEnd(session=handle).state, common_pb2.STATE_CLOSED)

    def test_a_program_gets_it_as_its_standard_input(self):
        """What a relay is for: inetd's way, and the program knows of nothing."""
        handle, near, peer = self.relayed()
        near.setblocking(True)  # the flag is the socket's, and so the program's
        process = subprocess.Popen(["sh", "-c", "read line; echo you said $line"], stdin=near, stdout=near)
        near.close()
        peer.sendall(b"hello\n")
        self.assertEqual(Plain(peer).read_exactly(15), b"you said hello\n")
        self.assertEqual(peer.recv(1), b"")
        peer.unwrap()
        self.assertEqual(process.wait(timing.PATIENCE), 0)
        self.assertEqual(self.rpc.session.WaitEnd(session=handle).state, common_pb2.STATE_CLOSED)


class Listeners(RpcTest):
    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:*")

    def test_a_listener_ends_with_its_client(self):
        echo = Echo()
        self.addCleanup(echo.close)
        rpc = self.client()
        _, address = self.listen(rpc, echo.address)
        with tls(dial(address)) as client:
            rpc.close()
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                client.recv(1)
        timing.eventually(lambda: self.refused(address), "nobody listens")

    def test_a_listener_that_is_closed(self):
        echo = Echo()
        self.addCleanup(echo.close)
        handle, address = self.listen(self.rpc, echo.address, keep_ends=True)
        pending = self.rpc.submit("RelayService.Next", relay_pb2.NextEndsRequest(listener=handle))
        self.rpc.relay.Close(listener=handle)
        self.assertCode(Code.NOT_FOUND, self.rpc.wait, pending)
        self.assertCode(Code.NOT_FOUND, self.rpc.relay.Describe, listener=handle)
        timing.eventually(lambda: self.refused(address), "nobody listens")


class KernelTls(RpcTest):
    """The wish that the kernel does the records. tests/ktls has a kernel that does; here it may, or may not."""

    def accept(self, rpc, wish):
        """(response, the pending call, a TLS client's end)"""
        ours, far = sessions.tcp_pair()
        client = Background(tls, far, version="tls13")
        pending = rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(
            context=sessions.context(rpc, "server", pki.server("ecdsa")),
            transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0)),
            relay=session_pb2.RelayOptions(kernel_tls=wish)), [ours.fileno()])
        ours.close()
        response = rpc.wait(pending)
        peer = client.result()
        self.addCleanup(peer.close)
        return response, pending, peer

    def refusal(self, rpc):
        ours, far = sessions.tcp_pair()
        with far, self.assertRaises(RpcError) as caught:
            pending = rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(
                context=sessions.context(rpc, "server", pki.server("ecdsa")),
                transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0)),
                relay=session_pb2.RelayOptions(kernel_tls=session_pb2.KERNEL_TLS_REQUIRED)), [ours.fileno()])
            ours.close()
            rpc.wait(pending)
        self.assertEqual(caught.exception.code, Code.FAILED_PRECONDITION)
        return str(caught.exception)

    def test_without_the_option_a_relay_serves_and_says_why(self):
        response, pending, peer = self.accept(self.rpc, session_pb2.KERNEL_TLS_IF_POSSIBLE)
        self.assertFalse(response.relay.kernel_tls)
        self.assertRegex(response.relay.kernel_tls_why, "^this kernel has (no TLS, or|TLS, but .* --kernel-tls)")
        near = self.take(pending)
        self.talk(near, peer)
        self.part(near, peer)

    def test_without_the_option_who_requires_it_is_refused(self):
        self.assertRegex(self.refusal(self.rpc), "this kernel has (no TLS, or|TLS, but .* --kernel-tls)")

    def test_without_the_wish_nothing_is_said(self):
        response, pending, peer = self.accept(self.rpc, session_pb2.KERNEL_TLS_NEVER)
        self.assertEqual((response.relay.kernel_tls, response.relay.kernel_tls_why), (False, ""))
        self.talk(self.take(pending), peer)

    def test_with_the_option_the_answer_is_what_the_kernel_can(self):
        agent = daemon.Daemon("--kernel-tls").start()
        self.addCleanup(agent.kill)
        rpc = agent.client()
        ktls, = [c for c in rpc.agent.Info().capabilities if c.name == "ktls"]
        response, pending, peer = self.accept(rpc, session_pb2.KERNEL_TLS_IF_POSSIBLE)
        self.assertEqual(response.relay.kernel_tls, ktls.available, response)
        self.assertEqual(response.relay.kernel_tls_why, "" if ktls.available else ktls.detail)
        self.talk(self.take(pending), peer)
        if ktls.available:
            self.assertTrue(self.accept(rpc, session_pb2.KERNEL_TLS_REQUIRED)[0].relay.kernel_tls)
            self.assertEqual(rpc.session.WaitEnd(session=response.session).state, common_pb2.STATE_DONE)
        else:
            self.assertIn(ktls.detail, self.refusal(rpc))
            self.assertIn("--kernel-tls: this kernel has no TLS", agent.log())
        rpc.close()


class Draining(RpcTest):
    """SIGTERM with relays under way."""

    def drain(self, seconds):
        agent = daemon.Daemon("--allow-dial", "127.0.0.1:*", "--drain-timeout", str(seconds)).start()
        self.addCleanup(agent.kill)
        return agent, agent.client()

    def test_relays_end_when_nobody_waits_for_them(self):
        agent, rpc = self.drain(600)
        _, near, peer = self.relayed(rpc)
        self.talk(near, peer)
        agent.stop()
        self.assertEqual(read_all(near)[0], b"")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            peer.recv(1)

    def test_a_wait_for_its_end_keeps_a_relay_until_the_drain_is_over(self):
        agent, rpc = self.drain(600)
        handle, near, peer = self.relayed(rpc)
        pending = rpc.submit("SessionService.WaitEnd", session_pb2.WaitEndRequest(session=handle))
        rpc.agent.Ping()
        agent.send_signal(signal.SIGTERM)
        self.talk(near, peer)
        self.part(near, peer)
        self.assertEqual(rpc.wait(pending).state, common_pb2.STATE_CLOSED)
        self.assertEqual(agent.wait(), 0)

    def test_a_drain_that_is_over_ends_all(self):
        agent, rpc = self.drain(0)
        handle, near, _ = self.relayed(rpc)
        pending = rpc.submit("SessionService.WaitEnd", session_pb2.WaitEndRequest(session=handle))
        rpc.agent.Ping()
        agent.stop()
        self.assertEqual(read_all(near)[0], b"")
        with self.assertRaises((RpcError, ConnectionLost, ConnectionError)):
            rpc.wait(pending)

    def drain_listener(self, seconds):
        echo = Echo()
        self.addCleanup(echo.close)
        agent, rpc = self.drain(seconds)
        self.addCleanup(rpc.close)  # which would end the listener
        _, address = self.listen(rpc, echo.address)
        return agent, address

    def test_connections_of_a_listener_go_on_and_no_more_come(self):
        agent, address = self.drain_listener(600)
        with tls(dial(address)) as client:
            client.sendall(b"before")
            self.assertEqual(client.recv(6), b"before")
            agent.send_signal(signal.SIGTERM)
            timing.eventually(lambda: self.refused(address), "nobody listens")
            client.sendall(b"after")
            self.assertEqual(client.recv(5), b"after")
            self.assertTrue(agent.alive())
        self.assertEqual(agent.wait(), 0)

    def test_a_listener_without_connections_holds_nothing_up(self):
        agent, address = self.drain_listener(600)
        agent.stop()
        self.assertTrue(self.refused(address))

    def test_a_drain_that_is_over_cuts_a_listeners_connections(self):
        agent, address = self.drain_listener(0)
        with tls(dial(address)) as client:
            client.sendall(b"x")
            self.assertEqual(client.recv(1), b"x")
            agent.send_signal(signal.SIGTERM)
            self.assertEqual(agent.wait(), 0)
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                client.recv(1)
        self.assertIn("1 listeners had connections", agent.log())

    def test_who_waits_for_a_listeners_ends_is_told(self):
        echo = Echo()
        self.addCleanup(echo.close)
        agent, rpc = self.drain(600)
        handle, _ = self.listen(rpc, echo.address, keep_ends=True)
        pending = rpc.submit("RelayService.Next", relay_pb2.NextEndsRequest(listener=handle))
        rpc.agent.Ping()
        agent.send_signal(signal.SIGTERM)
        self.assertCode(Code.UNAVAILABLE, rpc.wait, pending)
        self.assertEqual(agent.wait(), 0)

    def test_the_command_says_that_its_daemon_is_stopping(self):
        echo = Echo()
        self.addCleanup(echo.close)
        agent, _ = self.drain(600)
        pair = pki.server("ecdsa")
        command = relays.Command("--socket", "unix:" + agent.path, "--cert", pair.chain_path, "--key", pair.key_path,
                                 to=echo.address)
        self.addCleanup(command.kill)
        first, second = tls(dial(command.address)), tls(dial(command.address))
        for client in (first, second):
            client.sendall(b"x")
            self.assertEqual(client.recv(1), b"x")
        agent.send_signal(signal.SIGTERM)
        timing.eventually(lambda: not os.path.exists(agent.path), "it is draining")
        first.close()
        command.wait_for("tlsagentd is stopping")
        second.sendall(b"y")
        self.assertEqual(second.recv(1), b"y")
        second.close()
        self.assertEqual(agent.wait(), 0)
        self.assertEqual(command.wait(), UNREACHABLE, command.text())


if __name__ == "__main__":
    sys.exit("run me with runner.py")
