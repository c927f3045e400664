"""TCP: who may come by it, who he is then, and what he can't do; with stock gRPC, ttrpc, and peers that mean harm."""

import functools
import os
import shutil
import signal
import socket
import ssl
import subprocess

import grpc
import grpc_client
import peers
import pki
import session as sessions
import timing
import ttrpc_client
from daemon import program
from e2e import Cases, Code, Daemon, E2ETest, each
from tlsagent.v1 import context_pb2, session_pb2

CLIENT = ("basicConstraints=CA:false", "keyUsage=critical,digitalSignature", "extendedKeyUsage=clientAuth")


@functools.lru_cache(None)
def caller(name, san=None, subject=None, issuer=pki.root):
    """A client's certificate, and who he is by it."""
    return pki.issue(f"caller-{name}", issuer(), extensions=(*CLIENT, f"subjectAltName={san}") if san else CLIENT,
                     subject=subject)


def alice():
    return caller("alice", "URI:spiffe://example.test/alice,DNS:alice.test")


def bob():
    return caller("bob", "DNS:bob.test")


def listen_tls(**other):
    pair = pki.server("ecdsa")
    files = {"cert": pair.chain_path, "key": pair.key_path, "client-ca": pki.root().path, **other}
    return ("--listen-tls", ",".join(f"{name}={path}" for name, path in files.items()))


def publish(rpc, name):
    """A context that others of the same owner can open."""
    return rpc.context.Create(context_pb2.CreateContextRequest(kind=context_pb2.CONTEXT_KIND_CLIENT, name=name)).context


class TcpTest(E2ETest):
    @classmethod
    def setUpClass(cls):
        cls.port = peers.free_port()
        cls.DAEMON_ARGS = ("--listen", f"tcp:127.0.0.1:{cls.port}", "--allow-dial", "localhost:*", *cls.more_args())
        super().setUpClass()

    @classmethod
    def more_args(cls):
        return ()

    def dial(self):
        sock = socket.create_connection((peers.LOOPBACK, self.port), timing.PATIENCE)
        self.addCleanup(sock.close)
        return sock

    def by_grpc(self, **options):
        client = grpc_client.Client(f"ipv4:{peers.LOOPBACK}:{self.port}", **options)
        self.addCleanup(client.close)
        return client

    def fetches(self, rpc):
        """Has the daemon fetch something by TLS."""
        with peers.server("python", pki.server("ecdsa")) as server:
            context = sessions.context(rpc, "client", trust=[pki.root()])
            request = session_pb2.ConnectRequest(context=context, first_write=b"hello")
            request.transport.dial.host, request.transport.dial.port = "localhost", server.port
            answer = rpc.session.Connect(request)
            self.assertFalse(answer.progress.HasField("error"), answer)
            self.assertEqual(rpc.session.Read(session=answer.session).data, b"hello")
            rpc.session.Close(session=answer.session)
            rpc.context.Release(context=context)


class Plain(TcpTest):
    """Of this machine alone, and all of them one owner."""

    def by_ttrpc(self):
        return ttrpc_client.Client(self.dial())

    def test_stock_grpc_is_served(self):
        self.fetches(self.by_grpc())

    def test_ttrpc_is_served(self):
        self.fetches(self.by_ttrpc())

    def test_they_are_all_the_same_owner(self):
        hello = self.by_grpc().agent.Hello()
        self.assertEqual((hello.identity, hello.uid), ("tcp", 0))
        self.assertEqual(self.by_ttrpc().agent.Hello().identity, "tcp")
        user = self.rpc.agent.Hello()
        self.assertEqual((user.identity, user.uid), ("", os.geteuid()))

    def test_large_messages_both_ways(self):
        payload = os.urandom(3_000_000)
        for rpc in (self.by_grpc(), self.by_ttrpc()):
            self.assertEqual(rpc.agent.Ping(payload=payload).payload, payload)

    def test_a_client_of_a_unix_socket_can_not_be_joined(self):
        token = self.rpc.agent.Hello().token
        stranger = self.by_grpc(token=token)
        self.assertCode(Code.UNAUTHENTICATED, stranger.agent.Ping)

    def test_nor_one_of_tcp_from_there(self):
        mine = self.by_grpc()
        self.assertCode(Code.UNAUTHENTICATED, self.client(mine.agent.Hello().token).agent.Ping)
        self.assertEqual(self.by_grpc(token=mine.agent.Hello().token).agent.Hello().token, mine.agent.Hello().token)

    def test_names_are_not_shared_with_users(self):
        publish(self.rpc, "of-a-user")
        self.addCleanup(self.rpc.context.Forget, name="of-a-user")
        self.assertCode(Code.NOT_FOUND, self.by_grpc().context.Open, name="of-a-user")

    def test_descriptors_neither_come_nor_go(self):
        rpc = self.by_ttrpc()
        context = sessions.context(rpc, "client")
        request = session_pb2.ConnectRequest(context=context)
        request.transport.fd.fd = 0
        self.assertIn("Unix sockets", self.assertCode(Code.FAILED_PRECONDITION, rpc.session.Connect, request))
        with peers.server("python", pki.server("ecdsa")) as server:
            request = session_pb2.ConnectRequest(context=context, relay=session_pb2.RelayOptions())
            request.transport.dial.host, request.transport.dial.port = "localhost", server.port
            self.assertIn("Unix socket", self.assertCode(Code.FAILED_PRECONDITION, rpc.session.Connect, request))

    def test_nor_by_token(self):
        """None is made for who came so, and a user's is no use here."""
        remote = self.by_grpc()
        self.assertIn("Unix sockets only", self.assertCode(Code.FAILED_PRECONDITION, remote.session.DescriptorToken))
        context = sessions.context(remote, "client", trust=[pki.root()])
        users = self.rpc.session.DescriptorToken().token
        transport = session_pb2.Transport(fd=session_pb2.FdTransport(token=users))
        self.assertCode(Code.NOT_FOUND, remote.session.Connect, context=context, transport=transport, server_name=pki.HOST)
        with peers.server("python", pki.server("ecdsa")) as server:
            dial = session_pb2.DialTransport(host="localhost", port=server.port)
            self.assertCode(Code.FAILED_PRECONDITION, remote.session.Connect, context=context, server_name=pki.HOST,
                            transport=session_pb2.Transport(dial=dial), relay=session_pb2.RelayOptions(by_token=True))
        for verb in (b"put", b"get"):
            with self.dial() as sock:
                sock.sendall(b"TOKEN %s %s\n" % (verb, users.hex().encode()))
                self.assertRegex(sock.makefile("rb").read(), rb"^ERR .*Unix sockets only\n$")

    def test_what_it_made_goes_with_its_connection(self):
        with self.by_ttrpc() as rpc:
            sessions.context(rpc, "client")
        self.rpc.close()
        self.daemon.wait_idle()


class TlsTest(TcpTest):
    @classmethod
    def more_args(cls):
        return listen_tls()

    def credentials(self, pair):
        return grpc.ssl_channel_credentials(pki.root().pem, pair.key if pair else None, pair.chain if pair else None)

    def by_grpc(self, pair=None, **options):
        return super().by_grpc(credentials=self.credentials(pair),
                               **{"grpc.ssl_target_name_override": "localhost"}, **options)

    def tls(self, pair, sock=None, version=None, alpn=()):
        context = peers.python_context(False, pair, version, ca=pki.root(), alpn=alpn)
        return context.wrap_socket(sock or self.dial(), server_hostname="localhost")

    def is_refused(self, pair):
        with self.assertRaises(OSError):
            with self.tls(pair) as tls:
                tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                if not tls.recv(1):
                    raise ConnectionError("closed")


class WithTls(TlsTest):
    """From anywhere, and each the owner that his certificate names."""

    @each(pair={"uri": (alice, "uri:spiffe://example.test/alice"), "dns": (bob, "dns:bob.test"),
                "cn": (lambda: caller("carol", subject="/O=tlsagent tests/CN=carol"), "cn:carol")})
    def test_the_certificate_says_who_it_is(self, pair):
        make, identity = pair
        hello = self.by_grpc(make()).agent.Hello()
        self.assertEqual((hello.identity, hello.uid), (identity, 0))

    def test_stock_grpc_is_served(self):
        self.fetches(self.by_grpc(alice()))

    def test_ttrpc_is_served(self):
        class Plain(ttrpc_client.Client):
            """Of an ssl.SSLSocket, which knows no descriptors."""

            def send(self, data, fds=()):
                self.sock.sendall(data)

            def receive_exactly(self, count):
                data = b""
                while len(data) < count:
                    part = self.sock.recv(count - len(data))
                    if not part:
                        raise ttrpc_client.ConnectionLost
                    data += part
                return data, []

        rpc = Plain(self.tls(bob()))
        self.assertEqual(rpc.agent.Hello().identity, "dns:bob.test")
        payload = os.urandom(3_000_000)
        self.assertEqual(rpc.agent.Ping(payload=payload).payload, payload)

    def test_large_messages_both_ways(self):
        payload = os.urandom(3_000_000)
        self.assertEqual(self.by_grpc(alice()).agent.Ping(payload=payload).payload, payload)

    def test_two_identities_see_nothing_of_each_other(self):
        one, other = self.by_grpc(alice()), self.by_grpc(bob())
        context = publish(one, "of-alice")
        self.assertCode(Code.NOT_FOUND, other.context.Describe, context=context)
        self.assertCode(Code.NOT_FOUND, other.context.Open, name="of-alice")
        self.assertCode(Code.UNAUTHENTICATED, self.by_grpc(bob(), token=one.agent.Hello().token).agent.Ping)
        again = self.by_grpc(alice())
        self.assertTrue(again.context.Open(name="of-alice").context)
        again.context.Forget(name="of-alice")

    def assertRefused(self, pair, word):
        """The peer hears of it, nobody is disturbed, and the log says why: a line in a second, and so maybe not at once."""
        before = len(self.daemon.log())

        def logged():
            self.is_refused(pair)
            return word in self.daemon.log()[before:]

        timing.eventually(logged, f"the log says {word}")
        self.assertUndisturbed(self.rpc)

    def test_without_a_certificate(self):
        self.assertRefused(None, "peer did not return a certificate")

    def test_with_one_of_another_ca(self):
        self.assertRefused(caller("stranger", "DNS:alice.test", issuer=pki.other_root), "certificate")

    def test_with_an_expired_one(self):
        pair = pki.issue("caller-expired", pki.root(), extensions=CLIENT, not_before=pki.LONG_AGO, not_after=pki.PAST)
        self.assertRefused(pair, "expired")

    def test_with_a_servers(self):
        self.assertRefused(pki.issue("caller-server", pki.root(), extensions=(*CLIENT[:2], "extendedKeyUsage=serverAuth")),
                           "purpose")

    def test_with_one_that_names_nobody(self):
        self.assertRefused(caller("nobody", "IP:127.0.0.1", subject="/O=tlsagent tests"), "has no URI, DNS name")

    @each(subject=("/CN=alice/CN=bob", "/CN=alice/O=tlsagent tests/CN=alice"))
    def test_with_several_common_names(self, subject):
        self.assertRefused(caller("several" + subject.replace("/", "-"), subject=subject), "single common name")

    def test_with_a_name_that_a_nul_is_in(self):
        """DER by hand: [6] IA5String "spiffe://example.test/alice\\0x"."""
        uri = b"spiffe://example.test/alice\0x"
        names = bytes([0x30, len(uri) + 2, 0x86, len(uri)]) + uri
        self.assertRefused(caller("nul", "DER:" + names.hex(":"), subject="/CN=alice"), "has no URI, DNS name")

    def test_with_a_name_that_is_no_plain_text(self):
        self.assertRefused(caller("accent", subject="/O=tlsagent tests/CN=Zo\u00eb"), "has no URI, DNS name")

    def test_with_too_long_a_name(self):
        self.assertRefused(caller("long", "URI:spiffe://example.test/" + "a" * 300), "has no URI, DNS name")

    def test_with_tls_1_2(self):
        with self.assertRaises(ssl.SSLError):
            self.tls(alice(), version="tls12")
        self.assertUndisturbed(self.rpc)

    def test_without_tls(self):
        sock = self.dial()
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        while sock.recv(100):  # an alert, and the end
            pass
        self.assertUndisturbed(self.rpc)

    def test_sessions_are_not_resumed(self):
        """A certificate that was revoked since, or whose CA isn't trusted any more, would go on to be good."""
        context = peers.python_context(False, alice(), ca=pki.root())
        with context.wrap_socket(self.dial(), server_hostname="localhost") as first:
            first.sendall(ttrpc_client.frame(ttrpc_client.request_bytes("AgentService.Ping")))
            self.assertTrue(first.recv(1))  # tickets would have come before
            session = first.session
        self.assertFalse(session.has_ticket)
        with context.wrap_socket(self.dial(), server_hostname="localhost", session=session) as second:
            self.assertFalse(second.session_reused)

    def test_http2_is_agreed_by_alpn(self):
        self.assertEqual(self.tls(alice(), alpn=[b"h2"]).selected_alpn_protocol(), "h2")
        self.assertIsNone(self.tls(alice(), alpn=[b"http/1.1"]).selected_alpn_protocol())

    def test_handshakes_that_never_end_keep_nobody_out(self):
        half = [self.dial() for _ in range(200)]
        for sock in half[:100]:
            sock.sendall(b"\x16\x03\x01")
        self.assertEqual(self.by_grpc(alice()).agent.Ping(payload=b"on").payload, b"on")
        self.assertUndisturbed(self.rpc)

    def test_ends_at_any_byte_of_a_conversation(self):
        for cut in range(0, 60, 3):
            with self.tls(alice()) as tls:
                tls.sendall((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40))[:cut] or b"\0")
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0" if cut % 2 else bytes(8))
        self.assertEqual(self.by_grpc(alice()).agent.Ping(payload=b"on").payload, b"on")

    def test_openssl_is_served(self):
        pair = alice()
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"{peers.LOOPBACK}:{self.port}", "-servername", "localhost",
             "-verify_return_error", "-CAfile", pki.root().path, "-cert", pair.path, "-key", pair.key_path, "-alpn", "h2"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timing.PATIENCE)
        self.assertIn("Verify return code: 0 (ok)", done.stdout)
        self.assertIn("ALPN protocol: h2", done.stdout)


class Limits(TlsTest):
    """What one identity uses up is no other's."""

    @classmethod
    def more_args(cls):
        return (*listen_tls(), "--limit", "connections_per_owner=6", "--limit", "sessions_per_owner=8")

    def linger(self):
        """The daemon ends its connection, which doesn't answer: for some seconds only its TLS is left."""
        tls = self.tls(alice())
        self.addCleanup(tls.close)
        tls.sendall(b"\xffno frame")

    def lingering(self):
        left = self.daemon.leftovers()
        return left.get("session", 0) - left.get("connection", 0)

    def test_connections_that_linger_keep_nobody_else_out(self):
        while self.lingering() < 8:
            try:
                self.linger()
            except OSError:
                break  # she has no more: her limit is reached
        self.assertEqual(self.by_grpc(bob()).agent.Ping(payload=b"on").payload, b"on")


class Ending(Cases):
    """SIGTERM."""

    def test_nothing_waits_for_connections_that_idle(self):
        port = peers.free_port()
        daemon = Daemon("--listen", f"tcp:{peers.LOOPBACK}:{port}", *listen_tls()).start()
        self.addCleanup(daemon.kill)
        credentials = grpc.ssl_channel_credentials(pki.root().pem, alice().key, alice().chain)
        with grpc_client.Client(f"ipv4:{peers.LOOPBACK}:{port}", credentials=credentials,
                                **{"grpc.ssl_target_name_override": "localhost"}) as rpc:
            rpc.agent.Ping()  # and idles
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(), 0)  # long before --drain-timeout's 30 seconds, or this raises
        daemon.stop()


class Starting(Cases):
    """What is refused before anybody is served."""

    def refused(self, *args):
        directory = Daemon().directory
        self.addCleanup(shutil.rmtree, directory)
        done = subprocess.run([program(), "--listen", f"unix:{directory}/s", *args], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timing.PATIENCE)
        self.assertEqual(os.listdir(directory), [])
        return done.returncode, done.stderr

    @each(host=("0.0.0.0", "[::]", "*", "192.0.2.1", "[2001:db8::1]"))
    def test_plain_tcp_beyond_loopback(self, host):
        code, said = self.refused("--listen", f"tcp:{host}:0")
        self.assertEqual(code, 1)
        self.assertIn("--listen-tls", said)
        self.assertIn("127.0.0.1", said)

    @each(address=("tcp:", "tcp:1", "tcp:localhost", "tcp:localhost:", "tcp:localhost:65536", "tcp:example.org:1",
                   "tcp:::1:80", "tcp:[::1:80", "tcp:127.0.0.1:-1", "udp:127.0.0.1:1", "tcp:[]:1", "tcp::1"))
    def test_what_is_no_address(self, address):
        code, said = self.refused("--listen", address)
        self.assertEqual(code, 2)
        self.assertIn("tcp:HOST:PORT", said)

    @each(value=("", "cert=a", "cert=a,key=b", "cert=a,key=b,client-ca=", "cert=a,key=b,client-ca=c,what=d", "key"))
    def test_what_is_no_triple(self, value):
        code, said = self.refused("--listen", "tcp:127.0.0.1:0", "--listen-tls", value)
        self.assertEqual(code, 2)
        self.assertIn("cert=FILE,key=FILE,client-ca=FILE", said)

    def test_tls_for_nothing(self):
        code, said = self.refused(*listen_tls())
        self.assertEqual(code, 1)
        self.assertIn("--listen tcp:", said)

    @each(file=("cert", "key", "client-ca"))
    def test_files_that_are_not_there(self, file):
        code, said = self.refused("--listen", "tcp:127.0.0.1:0", *listen_tls(**{file: "/nowhere/x.pem"}))
        self.assertEqual(code, 1)
        self.assertIn("/nowhere/x.pem: No such file", said)

    @each(file=("cert", "key", "client-ca"))
    def test_files_that_are_something_else(self, file):
        path = pki.write("nonsense.pem", b"nonsense\n")
        os.chmod(path, 0o600)
        code, said = self.refused("--listen", "tcp:127.0.0.1:0", *listen_tls(**{file: path}))
        self.assertEqual(code, 1)
        self.assertIn("nonsense.pem: ", said)

    def test_a_key_of_another_certificate(self):
        code, said = self.refused("--listen", "tcp:127.0.0.1:0", *listen_tls(key=pki.client("ecdsa").key_path))
        self.assertEqual(code, 1)
        self.assertIn(pki.client("ecdsa").key_path, said)

    def test_a_key_that_everybody_may_read(self):
        path = pki.write("open.key", pki.server("ecdsa").key)
        os.chmod(path, 0o644)
        code, said = self.refused("--listen", "tcp:127.0.0.1:0", *listen_tls(key=path))
        self.assertEqual(code, 1)
        self.assertIn("chmod", said)

    def test_a_port_that_is_taken(self):
        with socket.create_server((peers.LOOPBACK, 0)) as server:
            code, said = self.refused("--listen", f"tcp:127.0.0.1:{server.getsockname()[1]}")
        self.assertEqual(code, 1)
        self.assertIn("Address already in use", said)
