"""SessionService.Stream: does a session's plaintext go by one call, whole, both ways, and is each end told as what it was?"""

import os
import signal
import socket
import ssl
import struct

import daemon
import grpc_client
import peers
import pki
import session as sessions
import streams
import timing
from e2e import Cases, Code, Daemon, E2ETest, RpcError, each
from session import Background
from streams import WINDOW, GrpcCall, Stream, TtrpcCalls
from tlsagent.v1 import common_pb2, session_pb2
from ttrpc_client import Client, ConnectionLost

METHOD = "SessionService.Stream"
# Which protocol, and by what plaintext goes.
WAYS = {"ttrpc": ("ttrpc", streams.MUCH), "grpc": ("grpc", 0), "grpc_by_credit": ("grpc", streams.MUCH)}
CODECS = ("ttrpc", "grpc")
BULK = (16 << 20) if not timing.SANITIZER else (2 << 20)
CLOSED, FAILED = common_pb2.STATE_CLOSED, common_pb2.STATE_FAILED
TRUNCATED, OS, CLOSED_HERE = common_pb2.ERROR_KIND_TRUNCATED, common_pb2.ERROR_KIND_OS, common_pb2.ERROR_KIND_CLOSED_HERE


def server_context():
    """Python's, but that it tells an end without close_notify from one with it."""
    context = peers.python_context(True, pki.server("ecdsa"))
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


class StreamTest(E2ETest):
    def dial(self, codec, token=None):
        """A connection of this client's."""
        token = token or self.rpc.agent.Hello().token
        client = Client(self.daemon.path, token) if codec == "ttrpc" else grpc_client.Client(self.daemon.path, token)
        self.addCleanup(client.close)
        return client

    def call(self, codec, timeout_nano=0, token=None):
        client = self.dial(codec, token)
        if codec == "ttrpc":
            return TtrpcCalls(client).open(METHOD, timeout_nano)
        call = GrpcCall(client, METHOD, timeout_nano)
        self.addCleanup(call.requests.put, None)
        return call

    def stream(self, way, session, timeout_nano=0, credit=None, **fields):
        codec, usual = WAYS[way]
        return Stream(self.call(codec, timeout_nano), usual if credit is None else credit).begin(session.handle, **fields)

    def connect(self, sock, **settings):
        self.addCleanup(sock.close)
        context = sessions.context(self.rpc, "client", trust=[pki.root()], **settings)
        return sessions.connect(self.rpc, "fd", context, sock)

    def puppet(self, version="tls13"):
        """A session of the daemon's, a client's, and the server that it speaks to, on the test's strings."""
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        puppet = peers.Puppet(far, server_context(), True)
        shaking = Background(puppet.handshake)
        session = self.connect(near, **sessions.only(version))
        near.close()  # the daemon's copy is the last one
        shaking.result()
        return session, puppet

    def begun(self, way, **fields):
        session, puppet = self.puppet()
        return session, puppet, self.stream(way, session, **fields)

    def assertEnd(self, stream, state, kind=None, read=None, written=None):
        end = stream.finish()
        self.assertEqual(end.state, state, end)
        if kind is not None:
            self.assertEqual(end.error.kind, kind, end)
        if read is not None:
            self.assertEqual((end.bytes_read, end.bytes_written), (read, written))
        return end

    def assertCutOff(self, puppet):
        """The peer hears the end of the connection, and no close_notify."""
        with self.assertRaises(ssl.SSLError) as caught:
            while puppet.recv():
                pass
        self.assertEqual(caught.exception.reason, "UNEXPECTED_EOF_WHILE_READING")

    def assertClosed(self, session):
        """The session was closed, and its handle is still there."""
        told = timing.eventually(lambda: self.failure(session), "the session is closed")
        self.assertEqual(told.error.kind, CLOSED_HERE, told)
        session.close()

    def failure(self, session):
        told = session.describe()
        return told if told.state == FAILED else None

    def refused(self, call, code):
        with self.assertRaises(RpcError) as caught:
            while call.next() is not None:
                pass
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception.message


class Peers(StreamTest):
    """Bytes go through, from whomever to whomever."""

    @each(peer=sorted(peers.SERVERS), way=sorted(WAYS), version=("tls12", "tls13"))
    def test_servers(self, peer, way, version):
        with peers.server(peer, pki.server("ecdsa"), version=version) as server:
            stream = self.stream(way, self.connect(server.connect()))
            server.talk(stream)

    @each(peer=sorted(peers.CLIENTS), way=sorted(WAYS))
    def test_clients(self, peer, way):
        with socket.create_server((peers.LOOPBACK, 0)) as listener:
            listener.settimeout(timing.PATIENCE)
            with peers.client(peer, listener) as client:
                sock = listener.accept()[0]
                sock.settimeout(None)
                self.addCleanup(sock.close)
                context = sessions.context(self.rpc, "server", pki.server("ecdsa"))
                session = sessions.accept(self.rpc, "fd", context, sock)
                stream = self.stream(way, session)
                client.talk(stream)
                client.finish()
                session.close()

    @each(way=sorted(WAYS))
    def test_much_both_ways(self, way):
        data = os.urandom(1 << 20) * (BULK >> 20)
        with peers.server("python", pki.server("ecdsa")) as server:
            session = self.connect(server.connect())
            stream = self.stream(way, session)
            stream.write(data)
            self.assertTrue(stream.read_exactly(len(data)) == data, "it was not what came back")
            stream.shutdown()
            self.assertEnd_of(stream, len(data))
            told = session.describe()
            self.assertEqual((told.bytes_read, told.bytes_written), (len(data), len(data)))

    def assertEnd_of(self, stream, count):
        self.assertEqual((stream.end.state, stream.end.bytes_read, stream.end.bytes_written), (CLOSED, count, count))

    @each(way=sorted(WAYS))
    def test_a_byte_at_a_time(self, way):
        session, puppet, stream = self.begun(way)
        for n in range(200):
            stream.write(b"%c" % n)
            self.assertEqual(puppet.recv(), b"%c" % n)
            puppet.send(b"%c" % (255 - n))
            self.assertEqual(stream.read_exactly(1), b"%c" % (255 - n))

    @each(way=sorted(WAYS))
    def test_a_grpc_client_alone(self, way):
        """Who has no descriptors has the daemon dial."""
        if WAYS[way][0] == "ttrpc":
            self.skipTest("it is another's question")
        with peers.server("python", pki.server("ecdsa")) as server:
            client = grpc_client.Client(self.daemon.path)
            self.addCleanup(client.close)
            dial = session_pb2.DialTransport(host=peers.LOOPBACK, port=server.port)
            opened = client.session.Connect(context=sessions.context(client, "client", trust=[pki.root()]),
                                            transport=session_pb2.Transport(dial=dial), server_name=pki.HOST)
            stream = Stream(GrpcCall(client, METHOD), WAYS[way][1]).begin(opened.session, forget=True)
            server.talk(stream)
            stream.shutdown()
            timing.eventually(lambda: self.is_gone(client, opened.session), "it is forgotten")

    def is_gone(self, client, session):
        try:
            client.session.Describe(session=session)
        except RpcError as error:
            return error.code == Code.NOT_FOUND
        return False

    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:*")


class Ends(StreamTest):
    @each(way=sorted(WAYS))
    def test_the_client_ends_first(self, way):
        session, puppet, stream = self.begun(way)
        stream.write(b"question")
        stream.call.half_close()
        self.assertEqual(puppet.recv_exactly(8), b"question")
        self.assertEqual(puppet.recv(), b"", "close_notify has come")
        puppet.send(b"answer")
        self.assertEqual(stream.read_exactly(6), b"answer")
        puppet.unwrap()
        self.assertEqual(stream.read_all(), b"")
        self.assertTrue(stream.peer_ended)
        self.assertEnd(stream, CLOSED, read=6, written=8)

    @each(way=sorted(WAYS))
    def test_the_peer_ends_first(self, way):
        session, puppet, stream = self.begun(way)
        puppet.send(b"all")
        try:
            puppet.tls.unwrap()
        except ssl.SSLWantReadError:
            puppet.flush()
        self.assertEqual(stream.read_all(), b"all")
        self.assertTrue(stream.peer_ended)
        stream.write(b"and something more")
        self.assertEqual(puppet.recv_exactly(18), b"and something more")
        stream.call.half_close()
        self.assertEqual(puppet.recv(), b"")
        self.assertEnd(stream, CLOSED, read=3, written=18)
        self.assertEqual(session.describe().state, CLOSED)

    @each(way=sorted(WAYS))
    def test_after_it_the_session_is_as_others(self, way):
        session, puppet, stream = self.begun(way)
        stream.call.half_close()
        self.assertEqual(puppet.recv(), b"")
        puppet.unwrap()
        puppet.sock.sendall(b"clear text")
        self.assertEnd(stream, CLOSED)
        response = session.shutdown()
        self.assertTrue(response.sent and response.received)
        trailing = response.trailing
        self.assertIn(trailing, (b"clear text", b""))  # it may come later than the end
        session.close()

    @each(way=sorted(WAYS))
    def test_the_peer_is_cut_off(self, way):
        session, puppet, stream = self.begun(way)
        puppet.send(b"not all")
        puppet.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(stream.read_exactly(7), b"not all")
        self.assertEnd(stream, FAILED, TRUNCATED, read=7, written=0)
        self.assertFalse(stream.peer_ended)

    @each(way=sorted(WAYS))
    def test_the_peer_resets(self, way):
        session, puppet, stream = self.begun(way)
        puppet.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        puppet.sock.close()
        self.assertEnd(stream, FAILED, OS)

    @each(way=sorted(WAYS))
    def test_the_peer_goes_while_the_client_sends(self, way):
        """What it said before is heard."""
        session, puppet, stream = self.begun(way)
        puppet.send(b"too large, goodbye")
        stream.call.send(data=bytes(WINDOW))
        puppet.sock.close()
        self.assertEqual(stream.call.next().data, b"too large, goodbye")
        self.assertEnd(stream, FAILED)

    @each(way=sorted(WAYS))
    def test_the_peer_sends_rubbish(self, way):
        session, puppet, stream = self.begun(way)
        puppet.sock.sendall(b"\x17\x03\x03\x00\x20" + os.urandom(32))
        end = self.assertEnd(stream, FAILED, common_pb2.ERROR_KIND_TLS)
        self.assertTrue(end.error.text)
        with self.assertRaises(ssl.SSLError):  # the alert
            puppet.recv()

    @each(way=sorted(WAYS))
    def test_the_session_is_closed(self, way):
        session, puppet, stream = self.begun(way)
        session.close()
        self.assertEnd(stream, FAILED, CLOSED_HERE)
        self.assertCutOff(puppet)

    def test_the_session_is_closed_while_nothing_may_be_sent(self):
        session, puppet, stream = self.begun("ttrpc", credit=1)
        puppet.send(b"ab")
        stream.step(grants=False)
        session.close()
        self.assertEnd(stream, FAILED, CLOSED_HERE)

    @each(way=sorted(WAYS), how=("cancel", "vanish"))
    def test_the_client_gives_up(self, way, how):
        session, puppet, stream = self.begun(way)
        stream.write(b"some")
        self.assertEqual(puppet.recv_exactly(4), b"some")
        getattr(stream.call, how)()
        self.assertCutOff(puppet)
        self.assertClosed(session)

    @each(way=sorted(WAYS))
    def test_its_deadline_passes(self, way):
        session, puppet, stream = self.begun(way, timeout_nano=300_000_000)
        self.refused(stream.call, Code.DEADLINE_EXCEEDED)
        self.assertCutOff(puppet)
        self.assertClosed(session)

    @each(way=sorted(WAYS), how=("well", "cancelled"))
    def test_one_that_is_to_be_forgotten(self, way, how):
        session, puppet, stream = self.begun(way, forget=True)
        if how == "well":
            stream.call.half_close()
            puppet.unwrap()
            self.assertEnd(stream, CLOSED)
        else:
            stream.call.cancel()
        self.assertCode(Code.NOT_FOUND, self.describe_until_gone, session)

    def describe_until_gone(self, session):
        timing.eventually(lambda: session.describe() is None, "the handle is gone")


class Flow(StreamTest):
    """Who doesn't read stops who writes, and memory has a bound."""

    @each(way=sorted(WAYS))
    def test_a_client_that_does_not_read(self, way):
        session, puppet, stream = self.begun(way, credit=(1 << 40) if WAYS[way][1] else 0)
        data = os.urandom(1 << 20) * 16
        sending = Background(lambda: puppet.send(data))
        self.assertLess(daemon.settled(lambda: session.describe().bytes_read), 8 << 20)  # gRPC's own window is 4 MiB
        self.assertTrue(sending.thread.is_alive(), "all of it was taken")
        self.assertTrue(stream.read_exactly(len(data)) == data, "it was not what was sent")
        sending.result()

    @each(codec=CODECS)
    def test_a_client_that_grants_little(self, codec):
        way = "ttrpc" if codec == "ttrpc" else "grpc_by_credit"
        session, puppet, stream = self.begun(way, credit=1000)
        puppet.send(bytes(range(250)) * 8)
        while len(stream.data) < 1000:
            stream.step(grants=False)
        stream.write(b"on")  # which shows that it lives
        self.assertEqual(puppet.recv(), b"on")
        self.assertEqual(session.describe().bytes_read, 1000)
        stream.call.send(credit=1)
        stream.step(grants=False)
        self.assertEqual(len(stream.data), 1001)
        stream.call.send(credit=999)
        self.assertEqual(stream.read_exactly(2000), bytes(range(250)) * 8)

    def test_credit_has_no_end(self):
        session, puppet, stream = self.begun("ttrpc", credit=2**64 - 1)
        stream.call.send(credit=2**64 - 1)
        puppet.send(b"still")
        self.assertEqual(stream.read_exactly(5), b"still")

    @each(way=sorted(WAYS))
    def test_a_peer_that_does_not_read(self, way):
        session, puppet, stream = self.begun(way)
        data = os.urandom(1 << 20) * 16
        writing = Background(stream.write, data)
        self.assertLess(daemon.settled(lambda: session.describe().bytes_written), 14 << 20)  # TCP's own buffers are large
        self.assertEqual(writing.thread.is_alive(), stream.credit > 0)  # grpcio keeps it for us
        self.assertTrue(self.receive(puppet, len(data)) == data, "it was not what was sent")
        writing.result()

    def receive(self, puppet, count):
        got = bytearray()
        while len(got) < count:
            part = puppet.recv()
            self.assertTrue(part, "the stream ended")
            got += part
        return bytes(got)

    @each(codec=CODECS)
    def test_who_overruns_his_credit(self, codec):
        session, puppet, stream = self.begun("ttrpc" if codec == "ttrpc" else "grpc_by_credit")
        for _ in range(64):
            stream.call.send(data=bytes(WINDOW))
        self.assertRegex(self.refused(stream.call, Code.RESOURCE_EXHAUSTED), "credit|faster than they are taken")
        self.assertCutOff(puppet)
        self.assertClosed(session)

    @each(way=sorted(WAYS))
    def test_too_large_a_message(self, way):
        session, puppet, stream = self.begun(way)
        stream.call.send(data=bytes(WINDOW + 1))
        self.assertIn("131072", self.refused(stream.call, Code.RESOURCE_EXHAUSTED))
        self.assertClosed(session)

    @each(way=sorted(WAYS))
    def test_the_largest_message(self, way):
        session, puppet, stream = self.begun(way)
        data = os.urandom(WINDOW)
        stream.call.send(data=data)
        self.assertTrue(puppet.recv_exactly(WINDOW) == data)

    def test_many_on_one_connection_that_is_not_read(self):
        """None of them is lost, though each may send all that it has."""
        calls = TtrpcCalls(self.dial("ttrpc"))
        data = os.urandom(1 << 18)
        begun = []
        for _ in range(60):
            session, puppet = self.puppet()
            stream = Stream(calls.open(METHOD), 1 << 20).begin(session.handle)
            begun.append((stream, Background(lambda puppet=puppet: puppet.send(data)), puppet))
        for _, sending, _ in begun:
            sending.thread.join(0.05)
        for stream, sending, _ in begun:
            self.assertTrue(stream.read_exactly(len(data)) == data)
            sending.result()

    @each(way=sorted(WAYS))
    def test_both_ways_at_once_and_nobody_waits_for_the_other(self, way):
        session, puppet, stream = self.begun(way)
        data = os.urandom(1 << 20) * (BULK >> 21)

        def talk():
            puppet.send(data)
            return self.receive(puppet, len(data)) == data

        talking = Background(talk)
        stream.write(data)
        self.assertTrue(stream.read_exactly(len(data)) == data)
        self.assertTrue(talking.result())


class Refusals(StreamTest):
    """FAILED_PRECONDITION and the like; the session is what it was."""

    def refuse(self, codec, code, session=0, first=None):
        call = self.call(codec)
        call.send(**(first or {"begin": session_pb2.StreamBegin(session=session), "credit": 1000}))
        return self.refused(call, code)

    @each(codec=CODECS)
    def test_no_session_of_ones_own(self, codec):
        session, _ = self.puppet()
        self.refuse(codec, Code.NOT_FOUND, 0)
        self.refuse(codec, Code.NOT_FOUND, session.handle ^ 1)
        call = self.call(codec, token=self.client().agent.Hello().token)
        call.send(begin=session_pb2.StreamBegin(session=session.handle), credit=1)
        self.refused(call, Code.NOT_FOUND)

    @each(codec=CODECS)
    def test_a_session_on_the_memory_path(self, codec):
        with peers.server("python", pki.server("ecdsa")) as server:
            session = sessions.MemorySession(self.rpc, server.connect())
            self.addCleanup(session.sock.close)
            session.start("Connect", context=sessions.context(self.rpc, "client", trust=[pki.root()]), server_name=pki.HOST)
            self.refuse(codec, Code.FAILED_PRECONDITION, session.handle)
            server.talk(session)

    @each(codec=CODECS)
    def test_a_session_that_shakes_hands_still(self, codec):
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        session = sessions.FdSession(self.rpc, near)
        opened = self.rpc.session.Connect(
            context=sessions.context(self.rpc, "client", trust=[pki.root()]), server_name=pki.HOST, fds=[near.fileno()],
            transport=session_pb2.Transport(fd=session_pb2.FdTransport()), wait=session_pb2.Wait(milliseconds=1))
        self.assertEqual(opened.progress.state, common_pb2.STATE_WANT_READ)
        self.refuse(codec, Code.FAILED_PRECONDITION, opened.session)

    @each(codec=CODECS)
    def test_one_that_is_a_relay(self, codec):
        session, puppet = self.puppet()
        pending = self.rpc.submit("SessionService.Relay", session_pb2.RelayRequest(session=session.handle))
        self.rpc.wait(pending)
        with socket.socket(fileno=pending.fds[0]) as plain:
            self.refuse(codec, Code.FAILED_PRECONDITION, session.handle)
            plain.sendall(b"as before")
            self.assertEqual(puppet.recv_exactly(9), b"as before")

    @each(codec=CODECS)
    def test_one_that_is_read(self, codec):
        session, puppet = self.puppet()
        reading = self.rpc.submit("SessionService.Read", session_pb2.ReadRequest(session=session.handle))
        hello = self.rpc.submit("AgentService.Hello")
        call = self.call(codec, token=self.rpc.wait(hello).token)
        call.send(begin=session_pb2.StreamBegin(session=session.handle), credit=1)
        self.refused(call, Code.FAILED_PRECONDITION)
        puppet.send(b"for the read")
        self.assertEqual(self.rpc.wait(reading).data, b"for the read")

    @each(way=sorted(WAYS))
    def test_one_that_is_streamed(self, way):
        session, puppet, stream = self.begun(way)
        self.refuse(WAYS[way][0], Code.FAILED_PRECONDITION, session.handle)
        for method, fields in (("Read", {}), ("Write", {"data": b"x"}), ("Shutdown", {}), ("Handshake", {}),
                               ("UpdateKeys", {}), ("RequestClientCertificate", {}), ("Relay", {})):
            self.assertCode(Code.FAILED_PRECONDITION, getattr(self.rpc.session, method), session=session.handle, **fields)
        self.assertEqual(session.describe().state, common_pb2.STATE_DONE)
        self.assertTrue(self.rpc.session.PeerCertificate(session=session.handle).peer.der)
        self.assertEqual(len(self.rpc.session.ExportKeyingMaterial(session=session.handle, label="EXPORTER-x", length=9).data), 9)
        stream.write(b"undisturbed")
        self.assertEqual(puppet.recv(), b"undisturbed")

    @each(codec=CODECS)
    def test_a_first_message_that_makes_no_sense(self, codec):
        session, puppet = self.puppet()
        begin = session_pb2.StreamBegin(session=session.handle)
        for first in ({"credit": 1}, {"begin": begin, "credit": 1, "data": b"x"}, {"data": b"x"}):
            self.refuse(codec, Code.INVALID_ARGUMENT, first=first)
        if codec == "ttrpc":
            self.assertIn("credit", self.refuse(codec, Code.INVALID_ARGUMENT, first={"begin": begin}))
        self.assertEqual(session.describe().state, common_pb2.STATE_DONE)

    @each(codec=CODECS)
    def test_no_message_at_all(self, codec):
        call = self.call(codec)
        call.half_close()
        self.refused(call, Code.INVALID_ARGUMENT)

    @each(codec=CODECS)
    def test_a_first_message_that_is_none(self, codec):
        call = self.call(codec)
        call.send_bytes(b"\xff\xff")
        self.refused(call, Code.INVALID_ARGUMENT)

    @each(way=sorted(WAYS), kind=("none", "begin", "credit"))
    def test_a_later_message_that_makes_no_sense(self, way, kind):
        if kind == "credit" and WAYS[way][1]:
            self.skipTest("it makes sense")
        session, puppet, stream = self.begun(way)
        if kind == "none":
            stream.call.send_bytes(b"\xff\xff")
        else:
            stream.call.send(**{"begin": {"begin": session_pb2.StreamBegin()}, "credit": {"credit": 1}}[kind])
        self.refused(stream.call, Code.INVALID_ARGUMENT)
        self.assertCutOff(puppet)
        self.assertClosed(session)

    def test_it_is_no_unary_call(self):
        self.assertCode(Code.INVALID_ARGUMENT, self.rpc.session.Stream, begin=session_pb2.StreamBegin(session=1))


class Endings(Cases):
    """Daemons of their own, for they end."""

    def begin(self, codec, *args):
        self.daemon = Daemon(*args).start()
        self.addCleanup(self.daemon.kill)
        self.rpc = self.daemon.client()
        self.addCleanup(self.rpc.close)
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        self.puppet = peers.Puppet(far, server_context(), True)
        shaking = Background(self.puppet.handshake)
        session = sessions.connect(self.rpc, "fd", sessions.context(self.rpc, "client", trust=[pki.root()]), near)
        near.close()
        shaking.result()
        token = self.rpc.agent.Hello().token
        if codec == "ttrpc":
            client = self.daemon.client(token)
            self.addCleanup(client.close)
            call = TtrpcCalls(client).open(METHOD)
        else:
            client = grpc_client.Client(self.daemon.path, token)
            self.addCleanup(client.close)
            call = GrpcCall(client, METHOD)
            self.addCleanup(call.requests.put, None)
        self.session = session
        return call

    def stop(self):
        """Asks it to, and waits until it does: it takes no new calls."""
        def refuses():
            try:
                self.rpc.agent.Ping()
            except RpcError as error:
                return error.code == Code.UNAVAILABLE
            except (OSError, ConnectionLost):
                return True
            return False

        self.daemon.send_signal(signal.SIGTERM)
        timing.eventually(refuses, "it takes no new calls")

    @each(codec=CODECS)
    def test_a_daemon_that_stops_lets_it_go_on(self, codec):
        stream = Stream(self.begin(codec), streams.MUCH).begin(self.session.handle)
        self.stop()
        stream.write(b"still here")
        self.assertEqual(self.puppet.recv(), b"still here")
        self.puppet.send(b"so am I")
        self.assertEqual(stream.read_exactly(7), b"so am I")
        stream.call.half_close()
        self.puppet.unwrap()
        self.assertEqual(stream.finish().state, CLOSED)
        self.assertEqual(self.daemon.wait(), 0)

    @each(codec=CODECS)
    def test_but_not_for_ever(self, codec):
        stream = Stream(self.begin(codec, "--drain-timeout", "1"), streams.MUCH).begin(self.session.handle)
        self.stop()
        with self.assertRaises((RpcError, ConnectionLost)):
            stream.finish()
        self.assertEqual(self.daemon.wait(), 0)

    def test_one_that_has_not_begun_is_not_waited_for(self):
        call = self.begin("ttrpc")
        call.calls.take(call.calls.begin("AgentService.Ping"))  # so that the daemon has seen both
        self.daemon.send_signal(signal.SIGTERM)
        with self.assertRaises(RpcError) as caught:
            call.next()
        self.assertEqual(caught.exception.code, Code.UNAVAILABLE)
        self.assertEqual(self.daemon.wait(), 0)
