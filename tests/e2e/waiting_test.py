"""Waits, deadlines and calls at the same time: does everybody get an answer when it is due, and does nobody hold up another?"""

import random
import sys

import paths
import pki
import session as sessions
from e2e import Code, E2ETest, RpcError, each
from session import Background
from tlsagent.v1 import agent_pb2, common_pb2, session_pb2

DONE, WANT_READ, WANT_WRITE = common_pb2.STATE_DONE, common_pb2.STATE_WANT_READ, common_pb2.STATE_WANT_WRITE
SHORT = 50_000_000  # nanoseconds: a deadline that is meant to pass


def fd_transport():
    return session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))


def wait(milliseconds):
    return session_pb2.Wait(milliseconds=milliseconds)


class WaitingTest(paths.PathTests, E2ETest):
    PATH = "fd"

    def silent_pair(self):
        """A connection whose other end says nothing."""
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return near, far

    def submit(self, method, request, rpc=None, **options):
        return (rpc or self.rpc).submit("SessionService." + method, request, **options)

    def reading(self, session, rpc=None, **fields):
        """A Read in flight."""
        return self.submit("Read", session_pb2.ReadRequest(session=session.handle, **fields), rpc)

    def settle(self, rpc=None):
        """What was sent before on this connection has been looked at: calls start in order."""
        (rpc or self.rpc).agent.Ping()

    def assertWaiting(self, *calls):
        """None of them has been answered, though later calls have."""
        self.settle()
        for call in calls:
            self.assertNotIn(call.stream_id, self.rpc.answers)


class WantStates(WaitingTest):
    """With a Wait, time that runs out is an answer."""

    @each(milliseconds=(0, 20))
    def test_a_handshake_can_be_tried_and_gone_on_with(self, milliseconds):
        near, far = self.silent_pair()
        first = self.rpc.session.Connect(context=self.trusting(), transport=fd_transport(), server_name="localhost",
                                         wait=wait(milliseconds), fds=[near.fileno()])
        self.assertEqual(first.progress.state, WANT_READ)
        self.assertNotEqual(first.session, 0)
        again = self.rpc.session.Handshake(session=first.session, wait=wait(milliseconds))
        self.assertEqual(again.progress.state, WANT_READ)
        self.assertFalse(again.HasField("negotiated"))
        puppet = self.puppet(far, pair=pki.server("ecdsa"))
        handshake = Background(puppet.handshake)
        done = self.rpc.session.Handshake(session=first.session)
        handshake.result()
        self.assertEqual(done.progress.state, DONE)
        self.assertEqual(done.peer.der, pki.server("ecdsa").der)

    def test_a_server_can_wait_for_the_client_hello(self):
        near, far = self.silent_pair()
        first = self.rpc.session.Accept(context=self.context("server", pki.server("ecdsa")), transport=fd_transport(),
                                        wait=wait(0), fds=[near.fileno()])
        self.assertEqual(first.progress.state, WANT_READ)
        handshake = Background(self.puppet(far, False, pki.HOST, ca=pki.root()).handshake)
        self.assertEqual(self.rpc.session.Handshake(session=first.session).progress.state, DONE)
        handshake.result()

    @each(milliseconds=(0, 20))
    def test_a_read_can_be_tried(self, milliseconds):
        session, puppet = self.established()
        response = self.rpc.session.Read(session=session.handle, wait=wait(milliseconds))
        self.assertEqual((response.progress.state, response.data), (WANT_READ, b""))
        self.assertFalse(response.progress.HasField("error"))
        puppet.send(b"now")
        self.assertEqual(session.read(), b"now")

    def test_a_write_says_how_much_was_taken_when_the_peer_does_not_read(self):
        session, puppet = self.established()
        data = random.Random(5).randbytes(16 << 20)
        taken = 0
        while True:
            response = self.rpc.session.Write(session=session.handle, data=data[taken:taken + (1 << 20)], wait=wait(20))
            taken += response.accepted
            if response.accepted < 1 << 20:
                break
            self.assertIn(response.progress.state, (DONE, WANT_WRITE), response.progress)
            self.assertLess(taken, len(data), "the peer does not read, and yet all of it went somewhere")
        self.assertEqual(response.progress.state, WANT_WRITE)
        got = Background(puppet.recv_exactly, len(data))
        session.write(data[taken:])
        self.assertEqual(got.result(), data, "each byte once, in order")

    def test_a_shutdown_can_be_tried(self):
        session, puppet = self.established()
        response = self.rpc.session.Shutdown(session=session.handle, await_peer=True, wait=wait(0))
        self.assertEqual(response.progress.state, WANT_READ)
        self.assertTrue(response.sent)
        self.assertFalse(response.received)
        end = Background(puppet.unwrap)
        response = session.shutdown(await_peer=True)
        self.assertTrue(response.received)
        end.result()

    def test_zero_plaintext_after_a_key_update_is_no_data(self):
        """Records that carry no plaintext, such as session tickets, do not end a read."""
        session, puppet = self.established(role="client")
        call = self.reading(session)
        self.assertWaiting(call)
        puppet.send(b"real data")
        self.assertEqual(self.rpc.wait(call).data, b"real data")


class Deadlines(WaitingTest):
    """Without a Wait, a deadline that passes is DEADLINE_EXCEEDED, and nothing is lost."""

    def test_a_read_past_its_deadline_leaves_the_session_usable(self):
        session, puppet = self.established()
        self.assertCode(Code.DEADLINE_EXCEEDED, self.rpc.session.Read, session=session.handle, timeout_nano=SHORT)
        puppet.send(b"later")
        self.assertEqual(session.read(), b"later")
        session.write(b"and back")
        self.assertEqual(puppet.recv(), b"and back")

    def test_many_reads_past_their_deadlines_lose_no_byte(self):
        session, puppet = self.established()
        data = random.Random(6).randbytes(200_000)
        sending = Background(lambda: [puppet.send(data[i:i + 1000]) for i in range(0, len(data), 1000)])
        received = bytearray()
        while len(received) < len(data):
            try:
                received += self.rpc.session.Read(session=session.handle, max_bytes=700, timeout_nano=200_000).data
            except RpcError as error:
                self.assertEqual(error.code, Code.DEADLINE_EXCEEDED)
        sending.result()
        self.assertEqual(bytes(received), data)

    def test_a_handshake_past_its_deadline_can_be_gone_on_with(self):
        near, far = self.silent_pair()
        first = self.rpc.session.Connect(context=self.trusting(), transport=fd_transport(), server_name="localhost",
                                         wait=wait(0), fds=[near.fileno()])
        self.assertCode(Code.DEADLINE_EXCEEDED, self.rpc.session.Handshake, session=first.session, timeout_nano=SHORT)
        handshake = Background(self.puppet(far, pair=pki.server("ecdsa")).handshake)
        self.assertEqual(self.rpc.session.Handshake(session=first.session).progress.state, DONE)
        handshake.result()

    @each(method=("Connect", "Accept"))
    def test_a_session_that_nobody_was_told_of_is_closed(self, method):
        """Its handle never reached the client, so it can't stay."""
        near, far = self.silent_pair()
        context = self.trusting() if method == "Connect" else self.context("server", pki.server("ecdsa"))
        name = {"server_name": "localhost"} if method == "Connect" else {}
        self.assertCode(Code.DEADLINE_EXCEEDED, getattr(self.rpc.session, method), context=context, **name,
                        transport=fd_transport(), fds=[near.fileno()], timeout_nano=SHORT)
        near.close()
        while far.recv(1000):
            pass

    def test_a_write_past_its_deadline_leaves_the_daemon_well(self):
        session, puppet = self.established()

        def write_more_than_fits():
            for _ in range(20):
                self.rpc.session.Write(session=session.handle, data=bytes(3 << 20), timeout_nano=4 * SHORT)

        self.assertCode(Code.DEADLINE_EXCEEDED, write_more_than_fits)
        puppet.sock.close()
        session.close()

    def test_a_deadline_far_away_changes_nothing(self):
        session, puppet = self.established()
        puppet.send(b"at once")
        response = self.rpc.session.Read(session=session.handle, timeout_nano=(1 << 63) - 1)
        self.assertEqual(response.data, b"at once")

    @each(nanos=(-1, -(1 << 63)))
    def test_a_deadline_before_the_call_is_exceeded_or_refused(self, nanos):
        try:
            self.assertEqual(self.rpc.agent.Ping(payload=b"x", timeout_nano=nanos).payload, b"x")
        except RpcError as error:
            self.assertIn(error.code, (Code.DEADLINE_EXCEEDED, Code.INVALID_ARGUMENT))

    def test_the_shortest_deadline_there_is(self):
        for _ in range(50):
            try:
                self.rpc.agent.Ping(timeout_nano=1)
            except RpcError as error:
                self.assertEqual(error.code, Code.DEADLINE_EXCEEDED)

    def test_a_wait_ends_before_a_later_deadline_and_is_an_answer(self):
        session, _ = self.established()
        response = self.rpc.session.Read(session=session.handle, wait=wait(10), timeout_nano=20_000_000_000)
        self.assertEqual(response.progress.state, WANT_READ)

    def test_a_deadline_before_the_wait_is_a_status(self):
        session, _ = self.established()
        self.assertCode(Code.DEADLINE_EXCEEDED, self.rpc.session.Read, session=session.handle, wait=wait(60000), timeout_nano=SHORT)


class AtTheSameTime(WaitingTest):
    """Read and write in their own directions; in order within each."""

    def test_a_write_proceeds_while_a_read_waits(self):
        session, puppet = self.established()
        call = self.reading(session)
        session.write(b"question")
        self.assertEqual(puppet.recv(), b"question")
        self.assertWaiting(call)
        puppet.send(b"answer")
        self.assertEqual(self.rpc.wait(call).data, b"answer")

    def test_a_read_proceeds_while_a_write_waits(self):
        session, puppet = self.established()
        data = random.Random(7).randbytes(3 << 20)
        writes = [self.submit("Write", session_pb2.WriteRequest(session=session.handle, data=data)) for _ in range(6)]
        self.assertWaiting(writes[-1])
        puppet.send(b"in between")
        self.assertEqual(session.read(), b"in between")
        self.assertWaiting(writes[-1])
        self.assertEqual(puppet.recv_exactly(6 * len(data)), 6 * data)
        for call in writes:
            self.assertEqual(self.rpc.wait(call).accepted, len(data))

    @each(other=("connection_of_the_same_client",))
    def test_a_write_on_another_connection_proceeds_while_a_read_waits(self, other):
        session, puppet = self.established()
        second = self.client(self.rpc.agent.Hello().token)
        call = self.reading(session)
        self.settle()
        second.session.Write(session=session.handle, data=b"from the other")
        self.assertEqual(puppet.recv(), b"from the other")
        puppet.send(b"done")
        self.assertEqual(self.rpc.wait(call).data, b"done")

    def test_reads_are_answered_in_order(self):
        session, puppet = self.established()
        calls = [self.reading(session, max_bytes=2) for _ in range(5)]
        puppet.send(b"0011223344")
        for number, call in enumerate(calls):
            self.assertEqual(self.rpc.wait(call).data, b"%d%d" % (number, number))

    def test_writes_arrive_in_order(self):
        session, puppet = self.established()
        parts = [b"%06d" % n for n in range(60)]
        calls = [self.submit("Write", session_pb2.WriteRequest(session=session.handle, data=part)) for part in parts]
        self.assertEqual(puppet.recv_exactly(360), b"".join(parts))
        for call in calls:
            self.rpc.wait(call)

    def test_describe_and_peer_certificate_never_queue(self):
        session, puppet = self.established()
        call = self.reading(session)
        self.assertEqual(session.describe().state, DONE)
        self.rpc.session.PeerCertificate(session=session.handle)
        self.assertWaiting(call)
        puppet.send(b"x")
        self.rpc.wait(call)

    def test_close_ends_what_waits(self):
        session, _ = self.established()
        calls = [self.reading(session) for _ in range(3)]
        self.settle()
        session.close()
        for call in calls:
            response = self.rpc.wait(call)
            self.assertEqual(response.progress.state, common_pb2.STATE_FAILED)
            self.assertEqual(response.progress.error.kind, common_pb2.ERROR_KIND_CLOSED_HERE)
        self.assertCode(Code.NOT_FOUND, self.rpc.session.Describe, session=session.handle)

    def test_a_read_waits_on_through_our_own_shutdown(self):
        """Half-closed: we have said goodbye, the peer may still talk (TLS 1.3)."""
        session, puppet = self.established()
        call = self.reading(session)
        session.shutdown(await_peer=False)
        self.assertEqual(puppet.recv(), b"")
        puppet.send(b"one more thing")
        self.assertEqual(self.rpc.wait(call).data, b"one more thing")

    def test_writing_after_our_own_shutdown_is_an_error(self):
        session, _ = self.established()
        session.shutdown(await_peer=False)
        with self.assertRaises(sessions.TlsFailure) as caught:
            session.write(b"too late")
        error = caught.exception.error
        self.assertTrue(error.kind == common_pb2.ERROR_KIND_CLOSED_HERE or error.reason == "PROTOCOL_IS_SHUTDOWN", error)

    def test_a_cancelled_read_loses_no_byte(self):
        session, puppet = self.established()
        call = self.reading(session)
        self.settle()
        self.assertTrue(self.rpc.agent.Cancel(stream_id=call.stream_id).found)
        self.assertCode(Code.CANCELLED, self.rpc.wait, call)
        puppet.send(b"still there")
        self.assertEqual(session.read(), b"still there")

    def test_a_cancelled_read_in_the_queue_does_not_hold_up_the_others(self):
        session, puppet = self.established()
        calls = [self.reading(session, max_bytes=1) for _ in range(3)]
        self.settle()
        self.assertTrue(self.rpc.agent.Cancel(stream_id=calls[1].stream_id).found)
        self.assertCode(Code.CANCELLED, self.rpc.wait, calls[1])
        puppet.send(b"ab")
        self.assertEqual([self.rpc.wait(calls[0]).data, self.rpc.wait(calls[2]).data], [b"a", b"b"])

    def test_a_lost_connection_cancels_its_calls_and_not_the_session(self):
        """The session belongs to the client, which has another connection."""
        session, puppet = self.established()
        second = self.client(self.rpc.agent.Hello().token)
        second.agent.Ping()
        self.reading(session, second)
        self.settle(second)
        cancelled = self.daemon.counters()["calls_cancelled"]
        second.close()
        while self.daemon.counters()["calls_cancelled"] == cancelled:
            pass
        puppet.send(b"for the one who stays")
        self.assertEqual(session.read(), b"for the one who stays")

    def test_many_sessions_wait_at_once(self):
        waiting = []
        for _ in range(30):
            session, puppet = self.established()
            waiting.append((self.reading(session), puppet))
        for number, (_, puppet) in enumerate(reversed(waiting)):
            puppet.send(b"%d" % number)
        for number, (call, _) in enumerate(reversed(waiting)):
            self.assertEqual(self.rpc.wait(call).data, b"%d" % number)

    def test_a_slow_handshake_holds_up_nobody(self):
        near, _ = self.silent_pair()
        slow = self.submit("Connect", session_pb2.ConnectRequest(
            context=self.trusting(), transport=fd_transport(), server_name="localhost"), fds=[near.fileno()])
        session, puppet = self.established()
        session.write(b"quick")
        self.assertEqual(puppet.recv(), b"quick")
        self.assertWaiting(slow)
        self.rpc.agent.Cancel(stream_id=slow.stream_id)
        self.assertCode(Code.CANCELLED, self.rpc.wait, slow)

    def test_handshakes_come_in_a_crowd_and_pings_go_on(self):
        """RSA signatures are slow; established connections don't wait for them."""
        context = self.context("server", pki.server("rsa"))
        pairs = [self.silent_pair() for _ in range(40)]
        accepts = [self.submit("Accept", session_pb2.AcceptRequest(context=context, transport=fd_transport()),
                               fds=[near.fileno()]) for near, _ in pairs]
        made = [self.puppet(far, False, pki.HOST, ca=pki.root()) for _, far in pairs]
        handshakes = [Background(puppet.handshake) for puppet in made]
        other = self.client()
        for number in range(100):
            self.assertEqual(other.agent.Ping(payload=b"%d" % number).payload, b"%d" % number)
        for call, handshake in zip(accepts, handshakes):
            self.assertEqual(self.rpc.wait(call).progress.state, DONE)
            handshake.result()

    def test_pings_are_answered_while_everything_else_waits(self):
        session, _ = self.established()
        for _ in range(40):
            self.reading(session)
        calls = [self.rpc.submit("AgentService.Ping", agent_pb2.PingRequest(payload=b"%d" % n)) for n in range(20)]
        for n, call in enumerate(calls):
            self.assertEqual(self.rpc.wait(call).payload, b"%d" % n)


class OutOfState(WaitingTest):
    """What makes no sense now is FAILED_PRECONDITION, and does no harm."""

    def unfinished(self):
        near, _ = self.silent_pair()
        return self.rpc.session.Connect(context=self.trusting(), transport=fd_transport(), server_name="localhost",
                                        wait=wait(0), fds=[near.fileno()]).session

    def test_describing_an_unfinished_session(self):
        described = self.rpc.session.Describe(session=self.unfinished())
        self.assertEqual(described.state, WANT_READ)
        self.assertFalse(described.HasField("negotiated"))

    def test_the_peers_certificate_before_the_handshake(self):
        self.assertCode(Code.FAILED_PRECONDITION, self.rpc.session.PeerCertificate, session=self.unfinished())

    def test_shutting_down_before_the_handshake(self):
        try:
            response = self.rpc.session.Shutdown(session=self.unfinished(), wait=wait(0))
            self.assertNotEqual(response.progress.state, common_pb2.STATE_UNSPECIFIED)
        except RpcError as error:
            self.assertEqual(error.code, Code.FAILED_PRECONDITION)

    def test_a_feed_on_the_socket_path(self):
        session, puppet = self.established()
        try:
            self.rpc.session.Read(session=session.handle, feed=session_pb2.Feed(data=b"not from the peer"), wait=wait(0))
        except RpcError as error:
            self.assertIn(error.code, (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION))
        puppet.send(b"from the peer")
        self.assertEqual(session.read(), b"from the peer")

    @each(size=((4 << 20) + 1, 0xFFFFFFFF))
    def test_a_read_of_more_than_the_limit(self, size):
        session, puppet = self.established()
        puppet.send(b"x")
        try:
            self.assertEqual(self.rpc.session.Read(session=session.handle, max_bytes=size).data, b"x")
        except RpcError as error:
            self.assertIn(error.code, (Code.RESOURCE_EXHAUSTED, Code.INVALID_ARGUMENT))
            self.assertIn("read_bytes", error.message)

    def test_closing_twice(self):
        session, _ = self.established()
        session.close()
        self.assertCode(Code.NOT_FOUND, session.close)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
