"""The memory path: the test carries the ciphertext; does the daemon do the rest?"""

import os
import select
import sys

import paths
import pki
import timing
from e2e import Code, E2ETest, RpcError, each
from session import Background
from tlsagent.v1 import common_pb2, session_pb2


class MemoryHandshakes(paths.HandshakesWithPeers, E2ETest):
    PATH = "memory"


class MemoryRefusals(paths.Refusals, E2ETest):
    PATH = "memory"


class MemoryNames(paths.Names, E2ETest):
    PATH = "memory"


class MemoryStreams(paths.Streams, E2ETest):
    PATH = "memory"


class MemoryOnly(paths.PathTests, E2ETest):
    """What only the memory path can be asked."""

    PATH = "memory"

    def memory(self, data=b"", eof=False):
        return session_pb2.Transport(memory=session_pb2.MemoryTransport(feed=session_pb2.Feed(data=data, eof=eof)))

    def test_connect_answers_with_the_client_hello(self):
        response = self.rpc.session.Connect(context=self.trusting(), transport=self.memory(), server_name="localhost")
        self.assertEqual(response.progress.state, common_pb2.STATE_WANT_READ)
        self.assertNotEqual(response.session, 0)
        self.assertEqual(response.progress.output[:2], b"\x16\x03", "a handshake record")
        self.assertIn(b"localhost", response.progress.output, "with its server name")
        self.assertFalse(response.HasField("negotiated"))

    def test_accept_without_input_wants_some(self):
        context = self.context("server", pki.server("ecdsa"))
        response = self.rpc.session.Accept(context=context, transport=self.memory())
        self.assertEqual(response.progress.state, common_pb2.STATE_WANT_READ)
        self.assertEqual(response.progress.output, b"")
        self.assertNotEqual(response.session, 0)

    def test_accept_with_the_whole_client_hello_answers_in_one_round_trip(self):
        hello = self.rpc.session.Connect(context=self.trusting(), transport=self.memory(), server_name="localhost")
        context = self.context("server", pki.server("ecdsa"))
        response = self.rpc.session.Accept(context=context, transport=self.memory(hello.progress.output))
        self.assertEqual(response.progress.input_consumed, len(hello.progress.output))
        self.assertEqual(response.progress.state, common_pb2.STATE_WANT_READ)
        self.assertEqual(response.progress.output[:2], b"\x16\x03")

    def handshake(self, client, server):
        """Two sessions of the daemon, shaken hands; gives what is left for the client to take."""
        to_client = b""
        near = self.rpc.session.Connect(context=client, transport=self.memory(), server_name="localhost")
        far = self.rpc.session.Accept(context=server, transport=self.memory(near.progress.output))
        client, server, to_client = near.session, far.session, far.progress.output
        while True:
            near = self.rpc.session.Handshake(session=client, feed=session_pb2.Feed(data=to_client))
            to_client = b""
            if near.progress.state == far.progress.state == common_pb2.STATE_DONE:
                return client, server, to_client
            far = self.rpc.session.Handshake(session=server, feed=session_pb2.Feed(data=near.progress.output))
            to_client = far.progress.output
            if near.progress.state == far.progress.state == common_pb2.STATE_DONE:
                return client, server, to_client

    @each(version=paths.VERSIONS)
    def test_two_sessions_of_the_daemon_talk_with_each_other(self, version):
        server = self.context("server", pki.server("ecdsa"))
        client, server, rest = self.handshake(self.trusting(version), server)
        written = self.rpc.session.Write(session=client, data=b"inside")
        self.assertEqual(written.accepted, 6)
        got = self.rpc.session.Read(session=server, feed=session_pb2.Feed(data=written.progress.output))
        self.assertEqual(got.data, b"inside")
        back = self.rpc.session.Write(session=server, data=b"out")
        got = self.rpc.session.Read(session=client, feed=session_pb2.Feed(data=rest + back.progress.output))
        self.assertEqual(got.data, b"out")

    def test_a_read_without_input_wants_some_and_does_not_wait(self):
        session, _ = self.established()
        if session.inbox:
            self.skipTest("tickets are still to be read")
        response = self.rpc.session.Read(session=session.handle)
        self.assertIn(response.progress.state, (common_pb2.STATE_WANT_READ,))
        self.assertEqual(response.data, b"")

    def test_what_is_not_consumed_can_be_fed_again(self):
        """Two records in one feed: what the first read leaves must come again."""
        session, puppet = self.established(version="tls12")
        puppet.tls.write(b"first")
        puppet.tls.write(b"second")
        both = puppet.take_output()
        first = self.rpc.session.Read(session=session.handle, max_bytes=5, feed=session_pb2.Feed(data=both))
        self.assertEqual(first.data, b"first")
        left = both[first.progress.input_consumed:]
        second = self.rpc.session.Read(session=session.handle, feed=session_pb2.Feed(data=left))
        self.assertEqual(second.data, b"second")
        self.assertEqual(second.progress.input_consumed, len(left))

    @each(version=paths.VERSIONS)
    def test_an_exact_read_leaves_what_is_not_data(self, version):
        """The end of the stream, and what comes after TLS, stay with the client: poll(2) shows them."""
        server = self.context("server", pki.server("ecdsa"))
        client, server, _ = self.handshake(self.trusting(version), server)
        data = b"".join(self.rpc.session.Write(session=client, data=bytes(500)).progress.output for _ in range(3))
        end = self.rpc.session.Shutdown(session=client).progress.output
        sent = data + end + b"clear text"
        for number, left in enumerate((end + b"clear text", b"clear text")):
            read = self.rpc.session.Read(session=server, exact_bytes=16384, feed=session_pb2.Feed(data=sent))
            self.assertEqual(sent[read.progress.input_consumed:], left)
            self.assertEqual(read.data, b"" if number else bytes(1500))
            sent = left
        self.assertEqual(read.progress.state, common_pb2.STATE_CLOSED)

    def test_bytes_given_with_connect_need_the_socket_path(self):
        """There the daemon drives the handshake to its end; here only the test knows when that is."""
        self.assertCode(Code.INVALID_ARGUMENT, self.rpc.session.Connect, context=self.trusting(), first_write=b"hello",
                        transport=self.memory(), server_name="localhost")

    def test_a_refused_certificate_leaves_an_alert_to_send(self):
        near = self.rpc.session.Connect(context=self.trusting(), transport=self.memory(), server_name="localhost")
        server = self.context("server", pki.stranger("ecdsa"))
        far = self.rpc.session.Accept(context=server, transport=self.memory(near.progress.output))
        failed = self.rpc.session.Handshake(session=near.session, feed=session_pb2.Feed(data=far.progress.output))
        self.assertEqual(failed.progress.state, common_pb2.STATE_FAILED)
        self.assertTrue(failed.progress.output, "an alert")
        heard = self.rpc.session.Handshake(session=far.session, feed=session_pb2.Feed(data=failed.progress.output))
        self.assertEqual(heard.progress.state, common_pb2.STATE_FAILED)
        self.assertEqual(heard.progress.error.alert.value, paths.ALERT_UNKNOWN_CA)
        self.assertEqual(failed.progress.error.alert.value, paths.ALERT_UNKNOWN_CA)

    def test_a_write_larger_than_the_output_queue_says_how_much_it_took(self):
        session, puppet = self.established()
        data = os.urandom(3 << 20)
        response = self.rpc.session.Write(session=session.handle, data=data)
        self.assertGreater(response.accepted, 0)
        if response.accepted < len(data):
            self.assertEqual(response.progress.state, common_pb2.STATE_WANT_WRITE)
        got = Background(puppet.recv_exactly, len(data))
        session.sock.sendall(response.progress.output)
        session.write(data[response.accepted:])
        self.assertEqual(got.result(), data)

    def test_eof_in_the_feed_is_truncation(self):
        session, _ = self.established()
        response = self.rpc.session.Read(session=session.handle, feed=session_pb2.Feed(data=session.inbox, eof=True))
        self.assertEqual(response.progress.state, common_pb2.STATE_FAILED)
        self.assertEqual(response.progress.error.kind, common_pb2.ERROR_KIND_TRUNCATED)

    def test_reading_drives_the_handshake(self):
        """As SSL_read does: no Handshake call is needed."""
        near = self.rpc.session.Connect(context=self.trusting("tls12"), transport=self.memory(), server_name="localhost")
        server = self.context("server", pki.server("ecdsa"))
        far = self.rpc.session.Accept(context=server, transport=self.memory(near.progress.output))
        read = self.rpc.session.Read(session=near.session, feed=session_pb2.Feed(data=far.progress.output))
        self.assertEqual(read.progress.state, common_pb2.STATE_WANT_READ)
        self.assertTrue(read.progress.output, "the client's second flight")

    def test_a_client_context_accepts_nobody(self):
        self.refused(self.rpc.session.Accept, context=self.trusting(), transport=self.memory())

    def test_a_server_context_connects_to_nobody(self):
        self.refused(self.rpc.session.Connect, context=self.context("server", pki.server("ecdsa")),
                     transport=self.memory(), server_name="localhost")

    @each(name={"a_dot_first": ".example.test", "too_long": "a" * 300, "a_space": "a b", "a_nul": "local\0host"})
    def test_a_server_name_that_is_none_is_refused(self, name):
        self.refused(self.rpc.session.Connect, context=self.trusting(), transport=self.memory(), server_name=name)

    def refused(self, call, **fields):
        """By a status, or by an answer that says it was invalid; either way there is no session."""
        try:
            response = call(**fields)
        except RpcError as error:
            self.assertIn(error.code, (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION), error)
        else:
            self.assertEqual(response.progress.state, common_pb2.STATE_FAILED)
            self.assertEqual(response.progress.error.kind, common_pb2.ERROR_KIND_INVALID)
            self.assertEqual(response.session, 0)

    @each(version=paths.VERSIONS)
    def test_bulk_goes_both_ways_at_once(self, version):
        session, puppet = self.established(version)
        outgoing, incoming = paths.bulk(1), paths.bulk(2)
        peer = Background(paths.BulkPeer(puppet, incoming).run)
        self.assertEqual(Duplex(session, outgoing).run(), incoming)
        self.assertEqual(peer.result(), outgoing)


class Duplex:
    """Both directions of a memory session in one loop, as an event loop would drive it."""

    def __init__(self, session, data):
        self.session, self.unsent, self.received = session, memoryview(data), bytearray()
        self.size = len(data)
        self.outbox = b""
        self.readable = True  # a Read may have something: more ciphertext came, or plaintext is pending

    def run(self):
        self.session.sock.setblocking(False)
        while len(self.received) < self.size or self.unsent or self.outbox:
            if self.unsent and len(self.outbox) < 1 << 18:
                self.write()
            if self.readable:
                self.read()
            self.move()
        return bytes(self.received)

    def move(self):
        """Ciphertext both ways, waiting only when nothing else can be done."""
        sock = self.session.sock
        busy = self.readable or (self.unsent and len(self.outbox) < 1 << 18)
        readable, writable, _ = select.select([sock] if len(self.session.inbox) < 1 << 18 else [],
                                              [sock] if self.outbox else [], [], 0 if busy else timing.PATIENCE)
        assert busy or readable or writable or len(self.received) == self.size, "nothing moves"
        if writable:
            self.outbox = self.outbox[sock.send(self.outbox):]
        if readable:
            part = sock.recv(1 << 18)
            assert part, "the stream ended early"
            self.session.inbox += part
            self.readable = True

    def write(self):
        response = self.session.rpc.session.Write(session=self.session.handle, data=bytes(self.unsent[:1 << 18]))
        self.take(response.progress)
        self.unsent = self.unsent[response.accepted:]

    def read(self):
        feed = session_pb2.Feed(data=self.session.inbox)
        response = self.session.rpc.session.Read(session=self.session.handle, max_bytes=1 << 20, feed=feed)
        self.take(response.progress)
        self.received += response.data
        self.session.inbox = self.session.inbox[response.progress.input_consumed:]
        self.readable = response.progress.state == common_pb2.STATE_DONE

    def take(self, progress):
        assert progress.state != common_pb2.STATE_FAILED, progress.error
        self.outbox = memoryview(bytes(self.outbox) + progress.output)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
