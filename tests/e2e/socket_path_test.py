"""The socket path: the daemon has the descriptor, or dials; does it do all the rest, and nothing else to the socket?"""

import fcntl
import os
import socket
import struct
import sys
import tempfile

import paths
import peers
import pki
import session as sessions
import timing
from e2e import Code, E2ETest, RpcError, each
from session import Background
from tlsagent.v1 import common_pb2, session_pb2


class SocketHandshakes(paths.HandshakesWithPeers, E2ETest):
    PATH = "fd"


class SocketRefusals(paths.Refusals, E2ETest):
    PATH = "fd"


class SocketNames(paths.Names, E2ETest):
    PATH = "fd"


class SocketStreams(paths.Streams, E2ETest):
    PATH = "fd"


def unix_pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def named_unix_pair():
    """Connected by a file name, as to a local server."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(directory, "s"))
        listener.listen()
        near = socket.socket(socket.AF_UNIX)
        near.connect(os.path.join(directory, "s"))
        far, _ = listener.accept()
    return near, far


def ipv6_pair():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        near = socket.create_connection(listener.getsockname()[:2])
        far, _ = listener.accept()
    return near, far


PAIRS = {"tcp": sessions.tcp_pair, "tcp_over_ipv6": ipv6_pair, "socketpair": unix_pair, "unix_socket": named_unix_pair}


class Sockets(paths.PathTests, E2ETest):
    """Every kind of connected stream socket will do, and stays as it was."""

    PATH = "fd"

    def pair(self, make):
        try:
            return make()
        except OSError as error:
            self.skipTest(f"no such sockets here: {error}")

    @each(make=PAIRS, blocking={"blocking": True, "non_blocking": False}, role=("client", "server"))
    def test_a_socket_is_used_and_its_flags_are_left_alone(self, make, blocking, role):
        near, far = self.pair(make)
        near.setblocking(blocking)
        before = fcntl.fcntl(near, fcntl.F_GETFL)
        self.assertEqual(bool(before & os.O_NONBLOCK), not blocking)
        puppet = self.puppet(far, role == "client", None if role == "client" else pki.HOST, pair=pki.server("rsa"))
        handshake = Background(puppet.handshake)
        if role == "client":
            session = self.connect(self.trusting(), near)
        else:
            session = self.accept(self.context("server", pki.server("rsa")), near)
        handshake.result()
        self.assertEqual(fcntl.fcntl(near, fcntl.F_GETFL), before, "after the handshake")
        self.exchange(session, puppet)
        self.assertEqual(fcntl.fcntl(near, fcntl.F_GETFL), before, "after the exchange")
        session.close()
        self.assertEqual(fcntl.fcntl(near, fcntl.F_GETFL), before, "after the end")

    def exchange(self, session, puppet):
        """More than the socket's buffers hold, so that both sides have to wait."""
        data = os.urandom(3 << 20)
        got = Background(puppet.recv_exactly, len(data))
        session.write(data)
        self.assertEqual(got.result(), data)
        put = Background(puppet.send, data)
        self.assertEqual(session.read_exactly(len(data)), data)
        put.result()

    def test_options_of_the_socket_are_left_alone(self):
        near, far = sessions.tcp_pair()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 77, 0))
        handshake = Background(self.puppet(far, pair=pki.server("ecdsa")).handshake)
        self.connect(self.trusting(), near).close()
        handshake.result()
        self.assertEqual(near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 0)
        self.assertEqual(near.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16), struct.pack("ll", 77, 0))

    def test_the_daemons_copy_is_closed_with_the_session(self):
        """Our own close is then the last one, and the peer sees the end at once."""
        session, puppet = self.established("tls12")
        session.sock.close()
        puppet.sock.setblocking(False)
        self.assertRaises(BlockingIOError, puppet.sock.recv, 1)
        session.close()
        puppet.sock.settimeout(timing.PATIENCE)
        self.assertEqual(puppet.sock.recv(1), b"")

    def test_the_socket_is_still_ours_after_the_session(self):
        session, puppet = self.established()
        session.shutdown(await_peer=False)
        session.close()
        session.sock.sendall(b"in the clear")
        self.assertEqual(puppet.recv(), b"")
        self.assertEqual(puppet.rest() or puppet.sock.recv(100), b"in the clear")

    def test_a_vanished_client_closes_its_sockets(self):
        near, far = sessions.tcp_pair()
        rpc = self.client()
        puppet = self.puppet(far, pair=pki.server("ecdsa"), version="tls12")
        handshake = Background(puppet.handshake)
        sessions.connect(rpc, "fd", sessions.context(rpc, "client", trust=[pki.root()]), near)
        handshake.result()
        near.close()
        rpc.close()
        self.assertEqual(puppet.sock.recv(1), b"")

    def test_a_peer_that_resets_is_an_error_with_its_errno(self):
        session, puppet = self.established()
        puppet.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        puppet.sock.close()
        with self.assertRaises(sessions.TlsFailure) as caught:
            session.read()
        error = caught.exception.error
        self.assertEqual((error.kind, error.os_errno), (common_pb2.ERROR_KIND_OS, 104), error)  # ECONNRESET

    def test_writing_to_a_peer_that_has_gone_is_an_error_and_no_signal(self):
        session, puppet = self.established()
        puppet.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        puppet.sock.close()
        with self.assertRaises(sessions.TlsFailure) as caught:
            for _ in range(100):
                session.write(bytes(1 << 16))
        error = caught.exception.error
        self.assertEqual(error.kind, common_pb2.ERROR_KIND_OS, error)
        self.assertIn(error.os_errno, (32, 104), error)  # EPIPE, ECONNRESET

    def test_bytes_given_with_connect_are_the_first_to_arrive(self):
        near, far = sessions.tcp_pair()
        puppet = self.puppet(far, pair=pki.server("ecdsa"))
        first = Background(lambda: puppet.handshake().recv())
        self.connect(self.trusting(), near, first_write=b"hello at once")
        self.assertEqual(first.result(), b"hello at once")

    @each(version=paths.VERSIONS)
    def test_bulk_goes_both_ways_at_once(self, version):
        """A read and a write in flight on one connection, all the time."""
        session, puppet = self.established(version)
        outgoing, incoming = paths.bulk(1), paths.bulk(2)
        peer = Background(paths.BulkPeer(puppet, incoming).run)
        self.assertEqual(both_ways(self.rpc, session.handle, outgoing, len(incoming)), incoming)
        self.assertEqual(peer.result(), outgoing)

    def test_bulk_goes_both_ways_on_two_connections_of_one_client(self):
        """One thread reads and one writes, each with its own connection."""
        session, puppet = self.established()
        outgoing, incoming = paths.bulk(3), paths.bulk(4)
        other = self.client(self.rpc.agent.Hello().token)
        peer = Background(paths.BulkPeer(puppet, incoming).run)
        reading = Background(session.read_exactly, len(incoming))
        writing = sessions.FdSession(other, session.sock)
        writing.handle = session.handle
        paths.run_threads(lambda: writing.write(outgoing))
        self.assertEqual(reading.result(600), incoming)
        self.assertEqual(peer.result(600), outgoing)


def both_ways(rpc, handle, data, count):
    """Writes data and reads count bytes at the same time on one connection."""
    unsent, received = memoryview(data), bytearray()
    reading = writing = None
    while len(received) < count or unsent:
        if writing is None and unsent:
            writing = rpc.submit("SessionService.Write", session_pb2.WriteRequest(session=handle, data=bytes(unsent[:1 << 20])))
        if reading is None and len(received) < count:
            reading = rpc.submit("SessionService.Read", session_pb2.ReadRequest(session=handle, max_bytes=1 << 20))
        answered = rpc.wait_any()
        if writing is not None and answered == writing.stream_id:
            response, writing = rpc.wait(writing), None
            unsent = unsent[response.accepted:]
        else:
            response, reading = rpc.wait(reading), None
            received += response.data
        assert response.progress.state == common_pb2.STATE_DONE, response.progress
    return bytes(received)


class BadDescriptors(paths.PathTests, E2ETest):
    """What is no connected stream socket is refused, clearly, and nothing is left open."""

    PATH = "fd"

    def start(self, fds, index=0, method="Connect"):
        transport = session_pb2.Transport(fd=session_pb2.FdTransport(fd=index))
        if method == "Connect":
            return self.rpc.session.Connect(context=self.trusting(), transport=transport, server_name="localhost", fds=fds)
        return self.rpc.session.Accept(context=self.context("server", pki.server("ecdsa")), transport=transport, fds=fds)

    def refused(self, fds, index=0):
        """By a status, or by an answer that names the errno; either way there is no session."""
        for method in ("Connect", "Accept"):
            try:
                response = self.start(fds, index, method)
            except RpcError as error:
                self.assertIn(error.code, (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION), error)
            else:
                self.assertEqual(response.progress.state, common_pb2.STATE_FAILED, response)
                self.assertIn(response.progress.error.kind, (common_pb2.ERROR_KIND_OS, common_pb2.ERROR_KIND_INVALID))
                self.assertEqual(response.session, 0)
        self.assertUndisturbed(self.rpc)

    def test_no_descriptor_at_all(self):
        self.assertCode(Code.INVALID_ARGUMENT, self.start, [])

    def test_an_index_beyond_those_passed(self):
        near, far = sessions.tcp_pair()
        with near, far:
            self.assertCode(Code.INVALID_ARGUMENT, self.start, [near.fileno()], 1)
            self.assertCode(Code.INVALID_ARGUMENT, self.start, [near.fileno()], 0xFFFFFFFF)

    def test_a_file(self):
        with tempfile.TemporaryFile() as file:
            self.refused([file.fileno()])

    def test_a_directory(self):
        fd = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.refused([fd])

    def test_either_end_of_a_pipe(self):
        for fd in os.pipe():
            self.addCleanup(os.close, fd)
            self.refused([fd])

    def test_a_path_only_descriptor(self):
        fd = os.open("/", os.O_PATH)
        self.addCleanup(os.close, fd)
        self.refused([fd])

    @each(family={"tcp": socket.AF_INET, "unix": socket.AF_UNIX})
    def test_a_socket_that_is_not_connected(self, family):
        with socket.socket(family) as sock:
            self.refused([sock.fileno()])

    def test_a_listening_socket(self):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.refused([sock.fileno()])

    @each(kind={"udp": (socket.AF_INET, socket.SOCK_DGRAM), "unix_datagrams": (socket.AF_UNIX, socket.SOCK_DGRAM),
                "unix_packets": (socket.AF_UNIX, socket.SOCK_SEQPACKET)})
    def test_a_socket_that_is_no_stream(self, kind):
        with socket.socket(*kind) as sock:
            self.refused([sock.fileno()])

    def test_one_descriptor_used_by_two_sessions(self):
        """Nobody can make sense of it, but it harms nobody else."""
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        wait = session_pb2.Wait(milliseconds=0)
        transport = session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))
        context = self.trusting()
        made = [self.rpc.session.Connect(context=context, transport=transport, server_name="localhost", wait=wait,
                                         fds=[near.fileno()]).session for _ in range(2)]
        self.assertNotEqual(made[0], made[1])
        for handle in made:
            self.rpc.session.Close(session=handle)
        self.assertUndisturbed(self.rpc)

    def test_the_rpc_connection_itself(self):
        """A client that hands the daemon its own RPC connection only harms itself."""
        rpc = self.client()
        wait = session_pb2.Wait(milliseconds=0)
        transport = session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))
        context = sessions.context(rpc, "client", trust=[pki.root()])
        rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(
            context=context, transport=transport, server_name="localhost", wait=wait), fds=[rpc.sock.fileno()])
        self.assertUndisturbed(self.rpc)
        rpc.close()
        self.assertUndisturbed(self.client())


class Dialling(paths.PathTests, E2ETest):
    """The daemon dials only where --allow-dial lets it."""

    PATH = "fd"
    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:*", "--allow-dial", "localhost:*", "--allow-dial", "[::1]:*",
                   "--allow-dial", "a*:*")

    def dial(self, host, port, **fields):
        transport = session_pb2.Transport(dial=session_pb2.DialTransport(host=host, port=port))
        fields.setdefault("context", self.trusting())
        return self.rpc.session.Connect(transport=transport, **fields)

    @each(peer=peers.SERVERS, version=paths.VERSIONS)
    def test_it_dials(self, peer, version):
        with peer(pki.server("ecdsa"), version) as server:
            response = self.dial("127.0.0.1", server.port, context=self.trusting(version))
            self.assertEqual(response.progress.state, common_pb2.STATE_DONE, response.progress)
            self.assertEqual(response.peer.verify_code, 0)
            session = sessions.FdSession(self.rpc, None)
            session.handle = response.session
            server.talk(session)
            self.assertEqual(session.describe().transport, "dial")
            session.close()

    def test_a_dialled_name_is_the_server_name(self):
        with peers.server("python", pki.server("ecdsa")) as server:
            response = self.dial("localhost", server.port)
            self.assertEqual(response.progress.state, common_pb2.STATE_DONE, response.progress)
            self.assertEqual(response.negotiated.server_name, "localhost")

    def test_a_dialled_address_is_checked_too(self):
        with peers.server("python", pki.wrong_host("ecdsa")) as server:
            response = self.dial("127.0.0.1", server.port)
            self.assertEqual(response.progress.error.verify_code, paths.V_IP_MISMATCH)

    def test_a_server_name_beside_the_dialled_address(self):
        with peers.server("python", pki.server("ecdsa")) as server:
            response = self.dial("127.0.0.1", server.port, server_name="x.wild.test")
            self.assertEqual(response.negotiated.server_name, "x.wild.test")

    def test_nobody_there_is_an_error_with_its_errno(self):
        response = self.dial("127.0.0.1", peers.free_port())
        self.assertEqual(response.progress.state, common_pb2.STATE_FAILED)
        error = response.progress.error
        self.assertEqual((error.kind, error.os_errno), (common_pb2.ERROR_KIND_OS, 111), error)  # ECONNREFUSED
        self.assertEqual(response.session, 0)

    def test_a_name_that_does_not_resolve_is_said_so(self):
        """Too long for a label, so that no name server is asked."""
        response = self.dial("a" * 70, 443)
        self.assertEqual(response.progress.state, common_pb2.STATE_FAILED)
        self.assertEqual(response.progress.error.kind, common_pb2.ERROR_KIND_RESOLVE)
        self.assertTrue(response.progress.error.text)

    @each(target={"another_host": ("192.0.2.1", 443), "another_loopback": ("127.0.0.2", 443), "a_number": ("2130706433", 443),
                  "another_form": ("127.1", 443), "a_longer_name": ("localhost.test", 443)})
    def test_what_is_not_allowed_is_denied(self, target):
        self.assertCode(Code.PERMISSION_DENIED, self.dial, *target)

    @each(target={"no_host": ("", 443), "no_port": ("127.0.0.1", 0), "a_large_port": ("127.0.0.1", 65536),
                  "a_very_large_port": ("127.0.0.1", 0xFFFFFFFF), "a_nul": ("localhost\0.test", 443)})
    def test_what_is_no_target_is_refused(self, target):
        with self.assertRaises(RpcError) as caught:
            self.dial(*target)
        self.assertIn(caught.exception.code, (Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED))

    def test_a_server_does_not_dial(self):
        transport = session_pb2.Transport(dial=session_pb2.DialTransport(host="127.0.0.1", port=443))
        self.assertCode(Code.INVALID_ARGUMENT, self.rpc.session.Accept, transport=transport,
                        context=self.context("server", pki.server("ecdsa")))

    def test_a_dial_that_hangs_ends_with_the_deadline(self):
        """A listener whose queue is full answers no more SYNs."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        self.assertCode(Code.DEADLINE_EXCEEDED, self.dial, "127.0.0.1", listener.getsockname()[1], timeout_nano=200_000_000)


class DiallingForbidden(paths.PathTests, E2ETest):
    """Without --allow-dial nothing is dialled."""

    PATH = "fd"

    def test_the_loopback_is_denied_too(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport = session_pb2.Transport(
                dial=session_pb2.DialTransport(host="127.0.0.1", port=listener.getsockname()[1]))
            message = self.assertCode(Code.PERMISSION_DENIED, self.rpc.session.Connect, context=self.trusting(),
                                      transport=transport)
            self.assertIn("--allow-dial", message)
            listener.setblocking(False)
            self.assertRaises(BlockingIOError, listener.accept)

    def test_info_says_so(self):
        capabilities = {c.name: c for c in self.rpc.agent.Info().capabilities}
        self.assertFalse(capabilities["dial"].available)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
