"""Bytes that are no proper frames: torn ones, lying lengths, stream ids out of order, descriptors that nobody asked for."""

import os
import socket
import struct
import sys

import daemon
import pki
import session as sessions
import timing
from e2e import Code, E2ETest, each
from tlsagent.v1 import agent_pb2, session_pb2
from ttrpc_client import DATA, HEADER, REQUEST, RESPONSE, ConnectionLost, frame, request_bytes

PING = request_bytes("AgentService.Ping", agent_pb2.PingRequest(payload=b"x"))
WHOLE = frame(PING)
FRAME_BYTES = 4 << 20


class FrameTest(E2ETest):
    def setUp(self):
        super().setUp()
        self.other = self.client()
        self.other.agent.Ping()

    def assertAnswered(self, code, stream_id=1, rpc=None):
        """The next frame is an answer to this stream, with this code (or one of these)."""
        answered, response, _ = (rpc or self.rpc).read_response()
        self.assertEqual(answered, stream_id)
        self.assertIn(response.status.code, code if isinstance(code, (set, tuple)) else (code,), response.status.message)
        if response.status.code:
            self.assertTrue(response.status.message)

    def assertStillServed(self, rpc=None):
        """The connection goes on."""
        rpc = rpc or self.rpc
        rpc.next_id = max(rpc.next_id, 1_000_001)
        self.assertEqual(rpc.agent.Ping(payload=b"on we go").payload, b"on we go")
        self.assertUndisturbed(self.other)

    def assertEnded(self, rpc=None):
        """The daemon has closed the connection, and nobody else's."""
        self.assertTrue(daemon.is_closed(rpc or self.rpc), "the connection is still open")
        self.assertUndisturbed(self.other)

    def looked_at(self):
        """The daemon has seen what was sent so far: it has answered others in between, on each of its workers."""
        for _ in range(2):
            self.other.agent.Ping()


class Torn(FrameTest):
    @each(position=range(1, len(WHOLE)))
    def test_a_frame_in_two_pieces_is_one_frame_torn_at(self, position):
        self.rpc.send(WHOLE[:position])
        self.looked_at()
        self.rpc.send(WHOLE[position:])
        self.assertAnswered(Code.OK)

    @each(position=range(1, len(WHOLE)))
    def test_a_frame_that_never_ends_is_never_answered_cut_at(self, position):
        self.rpc.send(WHOLE[:position])
        self.rpc.sock.shutdown(socket.SHUT_WR)
        self.assertRaises(ConnectionLost, self.rpc.read_frame)
        self.assertUndisturbed(self.other)

    def test_a_frame_byte_by_byte(self):
        for byte in WHOLE:
            self.rpc.send(bytes([byte]))
            self.looked_at()
        self.assertAnswered(Code.OK)
        self.assertStillServed()

    def test_many_frames_in_one_piece(self):
        self.rpc.send(b"".join(frame(PING, stream_id) for stream_id in range(1, 101, 2)))
        answered = {self.rpc.read_response()[0] for _ in range(50)}
        self.assertEqual(answered, set(range(1, 101, 2)))

    @each(split=(1, 9, 10, 11, 37))
    def test_many_frames_cut_across_their_borders(self, split):
        data = b"".join(frame(PING, stream_id) for stream_id in range(1, 41, 2))
        for start in range(0, len(data), split):
            self.rpc.send(data[start:start + split])
        self.assertEqual({self.rpc.read_response()[0] for _ in range(20)}, set(range(1, 41, 2)))

    def test_a_torn_frame_that_stays_holds_up_nobody(self):
        slow = [self.client() for _ in range(20)]
        for number, rpc in enumerate(slow):
            rpc.send(WHOLE[:1 + number])
        self.looked_at()
        self.assertStillServed()
        for number, rpc in enumerate(slow):
            rpc.send(WHOLE[1 + number:])
            self.assertAnswered(Code.OK, rpc=rpc)


class Lengths(FrameTest):
    @each(length=(0x01000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x47455420))
    def test_a_first_byte_that_is_not_zero_ends_the_connection(self, length):
        """No frame is that long; 0x47455420 is an HTTP client's "GET "."""
        self.rpc.send(frame(PING, length=length))
        self.assertEnded()

    @each(over=(1, 2, 1000, (1 << 24) - 1 - FRAME_BYTES))
    def test_a_frame_beyond_the_limit_is_refused_and_skipped(self, over):
        self.rpc.send(HEADER.pack(FRAME_BYTES + over, 1, REQUEST, 0))
        left = FRAME_BYTES + over
        while left:
            part = min(left, 1 << 20)
            self.rpc.send(bytes(part))
            left -= part
        self.assertAnswered(Code.RESOURCE_EXHAUSTED)
        self.assertStillServed()

    def test_a_length_that_is_too_short_ends_the_connection(self):
        """What is left over is taken for a header, and is none."""
        self.rpc.send(frame(PING, length=len(PING) - 1) + b"\xff" * 20)
        self.assertEnded()

    def test_a_length_that_is_too_short_tears_the_request(self):
        ping = request_bytes("AgentService.Ping", agent_pb2.PingRequest(payload=b"a zero byte, as every header begins\0"))
        self.rpc.send(frame(ping, length=len(ping) - 1))
        self.assertAnswered(Code.INVALID_ARGUMENT)

    def test_a_length_that_is_too_long_waits_for_more(self):
        self.rpc.send(frame(PING, length=len(PING) + len(WHOLE)))
        self.looked_at()
        self.rpc.send(WHOLE)
        self.assertAnswered({Code.INVALID_ARGUMENT, Code.OK})
        self.assertStillServed()

    def test_a_length_of_zero_is_an_empty_request(self):
        self.rpc.send(frame(b""))
        self.assertAnswered({Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED})
        self.assertStillServed()

    def test_another_protocols_hello_ends_the_connection(self):
        for hello in (b"SSH-2.0-OpenSSH\r\n", b"\x16\x03\x01\x02\x00" + bytes(512), b"GET / HTTP/1.1\r\n\r\n"):
            rpc = self.client()
            rpc.send(hello)
            self.assertEnded(rpc)

    def test_what_only_begins_like_grpc_is_refused(self):
        """A ttrpc header can't begin so, and a preface of HTTP/2 goes on otherwise."""
        self.rpc.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        self.assertEnded()

    def test_noise_ends_the_connection(self):
        for seed in range(20):
            rpc = self.client()
            try:
                rpc.send(b"\x01" + os.urandom(100_000))
            except OSError:
                pass  # it was closed while we were still at it
            self.assertEnded(rpc)


class Streams(FrameTest):
    @each(stream_id=(0, 2, 4, 0xFFFFFFFE))
    def test_a_stream_id_that_is_not_odd_is_refused(self, stream_id):
        self.rpc.send(frame(PING, stream_id))
        self.assertAnswered(Code.INVALID_ARGUMENT, stream_id)
        self.assertStillServed()

    @each(stream_id=(1, 3, 5))
    def test_a_stream_id_used_before_is_refused(self, stream_id):
        self.rpc.send(frame(PING, 5))
        self.assertAnswered(Code.OK, 5)
        self.rpc.send(frame(PING, stream_id))
        self.assertAnswered(Code.INVALID_ARGUMENT, stream_id)
        self.assertStillServed()

    def test_the_largest_stream_id(self):
        self.rpc.send(frame(PING, 0xFFFFFFFF))
        self.assertAnswered(Code.OK, 0xFFFFFFFF)
        self.rpc.send(frame(PING, 1))
        self.assertAnswered(Code.INVALID_ARGUMENT, 1)

    @each(kind=(0, 4, 5, 127, 255))
    def test_frames_of_unknown_types_are_ignored(self, kind):
        self.rpc.send(frame(b"from the future", 1, kind) + WHOLE)
        self.assertAnswered(Code.OK)

    def test_data_for_a_stream_that_is_not_there_is_refused(self):
        self.rpc.send(frame(b"data", 1, DATA))
        self.assertAnswered(Code.INVALID_ARGUMENT)
        self.assertStillServed()

    @each(flags=range(0, 8))
    def test_data_for_a_unary_call_in_flight_harms_nobody(self, flags):
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        call = self.rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(
            context=context, server_name="localhost",
            transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))), fds=[near.fileno()])
        far.recv(1)
        self.rpc.send(frame(b"unasked", call.stream_id, DATA, flags))
        self.assertUndisturbed(self.other)
        self.rpc.close()

    def test_a_response_from_a_client_harms_nobody(self):
        self.rpc.send(frame(b"", 1, RESPONSE) + frame(PING, 3))
        stream_id, response, _ = self.rpc.read_response()
        if stream_id == 1:
            self.assertEqual(response.status.code, Code.INVALID_ARGUMENT)
            stream_id, response, _ = self.rpc.read_response()
        self.assertEqual((stream_id, response.status.code), (3, Code.OK))

    @each(flags=range(1, 256))
    def test_a_unary_request_with_flags_is_answered_or_refused(self, flags):
        """Remote-closed (1) is what a stream's last frame has; there are no streams here."""
        self.rpc.send(frame(PING, flags=flags))
        self.assertAnswered({Code.OK, Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED})
        self.assertStillServed()

    def test_a_hundred_thousand_small_frames(self):
        """Each is refused; none costs anything that lasts."""
        before = self.daemon.rss_bytes()
        for _ in range(100):
            self.rpc.send(frame(b"", 2) * 1000)
            for _ in range(1000):
                self.rpc.read_frame()
        self.assertStillServed()
        self.assertLess(self.daemon.rss_bytes() - before, 64 << 20)


class Descriptors(FrameTest):
    """Descriptors that come with frames: those that nobody takes are closed, and none is lost."""

    def setUp(self):
        super().setUp()
        if self.daemon.num_fds() is None:
            self.skipTest("the daemon's descriptors can't be counted without being root")
        self.before = daemon.settled(self.daemon.num_fds)
        self.file = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, self.file)

    def assertNoneLeft(self):
        timing.eventually(lambda: self.daemon.num_fds() <= self.before, f"no more than {self.before} descriptors are open")

    @each(count=(1, 2, 15, 16))
    def test_descriptors_for_a_call_that_takes_none_are_closed(self, count):
        for stream_id in range(1, 21, 2):
            self.rpc.send(frame(PING, stream_id), [self.file] * count)
            self.assertAnswered({Code.OK, Code.INVALID_ARGUMENT}, stream_id)
        self.assertNoneLeft()

    @each(count=(17, 64, 253))
    def test_too_many_descriptors_are_refused_and_closed(self, count):
        self.rpc.send(WHOLE, [self.file] * count)
        self.assertAnswered({Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED})
        self.assertStillServed()
        self.assertNoneLeft()

    def test_too_many_descriptors_in_several_messages_of_one_frame(self):
        for position in range(0, len(WHOLE), 10):
            self.rpc.send(WHOLE[position:position + 10], [self.file] * 10)
        self.assertAnswered({Code.OK, Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED})
        self.assertStillServed()
        self.assertNoneLeft()

    @each(position=range(0, len(WHOLE), 7))
    def test_descriptors_with_any_byte_of_the_frame(self, position):
        """The frame that they came with is theirs."""
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        request = session_pb2.ConnectRequest(context=context, server_name="localhost", wait=session_pb2.Wait(),
                                             transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0)))
        stream_id = self.rpc.take_id()
        whole = frame(request_bytes("SessionService.Connect", request), stream_id)
        self.rpc.send(whole[:position])
        self.looked_at()
        self.rpc.send(whole[position:], [near.fileno()])
        self.assertAnswered(Code.OK, stream_id)
        self.assertEqual(far.recv(2), b"\x16\x03", "the ClientHello")

    def test_a_descriptor_belongs_to_its_own_frame(self):
        """The next call can't use what came with the one before."""
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        self.rpc.call("AgentService.Ping", fds=[near.fileno()])
        self.assertCode(Code.INVALID_ARGUMENT, self.rpc.session.Connect, context=context, server_name="localhost",
                        transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0)))

    def test_descriptors_with_half_a_frame_go_with_the_connection(self):
        for _ in range(10):
            rpc = self.client()
            rpc.send(WHOLE[:20], [self.file] * 5)
            rpc.close()
        self.assertNoneLeft()

    def test_descriptors_with_no_frame_at_all_go_with_the_connection(self):
        for data in (b"\xff" * 20, b"\0", frame(b"future", 1, 77), frame(PING, 2)):
            rpc = self.client()
            rpc.send(data, [self.file] * 5)
            self.looked_at()
            rpc.close()
        self.assertNoneLeft()

    def test_descriptors_with_refused_calls_are_closed(self):
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        for fd_index, name in ((0, ""), (1, "localhost"), (0, "a" * 1000), (7, "localhost")):
            for _ in range(5):
                near, far = sessions.tcp_pair()
                with near, far:
                    try:
                        self.rpc.session.Connect(
                            context=context, server_name=name, fds=[near.fileno()], wait=session_pb2.Wait(),
                            transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=fd_index)))
                    except Exception as error:  # whichever refusal; the descriptor is what counts
                        self.assertTrue(str(error))
        self.rpc.close()
        self.before -= 1
        self.assertNoneLeft()

    def test_other_ancillary_data_is_ignored(self):
        credentials = struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
        self.rpc.sock.sendmsg([WHOLE], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
        self.assertAnswered(Code.OK)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
