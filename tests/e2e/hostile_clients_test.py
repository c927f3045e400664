"""Clients and TLS peers that behave badly: does the daemon get everything back, and does nobody else notice?"""

import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys

import daemon
import paths
import peers
import pki
import session as sessions
import timing
import users
from e2e import Cases, Code, E2ETest, RpcError, each
from session import Background
from tlsagent.v1 import agent_pb2, common_pb2, session_pb2
from ttrpc_client import Client, ConnectionLost, frame, request_bytes

MIB = 1 << 20


def fd_transport():
    return session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))


class ClientTest(paths.PathTests, E2ETest):
    PATH = "fd"

    def setUp(self):
        super().setUp()
        self.rpc.agent.Ping()
        self.sessions_before = self.live("sessions")

    def live(self, kind):
        now = self.daemon.counters()
        return now[f"{kind}_made"] - now[f"{kind}_freed"]

    def assertGivenBack(self):
        """No session is left but those that were there before."""
        timing.eventually(lambda: self.live("sessions") == self.sessions_before, "its sessions are gone")
        self.assertUndisturbed(self.rpc)


class NeverReading(ClientTest):
    def flood(self, rpc, payload, limit):
        """Sends pings and reads no answer until the daemon takes no more; how many bytes it took."""
        rpc.sock.setblocking(False)
        sent, data = 0, b""
        while sent < limit:
            if not data:
                data = frame(request_bytes("AgentService.Ping", agent_pb2.PingRequest(payload=payload)), rpc.take_id())
            try:
                part = rpc.sock.send(data)
            except BlockingIOError:
                if not select.select([], [rpc.sock], [], 0.5)[1]:
                    break
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
            sent, data = sent + part, data[part:]
            if sent % MIB < len(payload):
                self.assertUndisturbed(self.rpc)
        return sent

    @each(size=(100, 10_000, MIB))
    def test_a_client_that_never_reads_is_stopped_and_costs_a_bounded_amount(self, size):
        before = self.daemon.rss_bytes()
        rpc = self.client()
        sent = self.flood(rpc, os.urandom(size), 200 * MIB)
        self.assertLess(sent, 100 * MIB, "the daemon takes requests whose answers nobody reads")
        if not timing.SANITIZER:
            self.assertLess(self.daemon.rss_bytes() - before, 64 * MIB)
        self.assertUndisturbed(self.rpc)
        rpc.close()
        self.assertUndisturbed(self.rpc)

    def test_a_client_that_reads_late_gets_all_of_it(self):
        rpc = self.client()
        payload = os.urandom(400_000)
        calls = [rpc.submit("AgentService.Ping", agent_pb2.PingRequest(payload=payload)) for _ in range(4)]
        self.assertUndisturbed(self.rpc)
        for call in calls:
            self.assertEqual(rpc.wait(call).payload, payload)

    def test_back_pressure_ends_when_the_client_reads(self):
        """Far more than may be queued, by a client that reads as it sends."""
        rpc = self.client()
        payload = os.urandom(MIB)
        request = request_bytes("AgentService.Ping", agent_pb2.PingRequest(payload=payload))
        sending = Background(lambda: [rpc.send(frame(request, stream_id)) for stream_id in range(1, 81, 2)])
        for _ in range(40):
            _, response, _ = rpc.read_response()
            self.assertEqual(response.status.code, Code.OK, response.status.message)
            self.assertIn(payload, response.payload)
        sending.result()

    def test_many_clients_that_never_read(self):
        crowd = [self.client() for _ in range(20)]
        for rpc in crowd:
            self.flood(rpc, bytes(100_000), 2 * MIB)
        self.assertUndisturbed(self.rpc)
        session, puppet = self.established()
        session.write(b"as ever")
        self.assertEqual(puppet.recv(), b"as ever")

    def test_a_peer_that_never_reads_costs_a_bounded_amount(self):
        session, _ = self.established()
        before = self.daemon.rss_bytes()
        calls = [self.rpc.submit("SessionService.Write", session_pb2.WriteRequest(session=session.handle, data=bytes(MIB)))
                 for _ in range(30)]
        self.assertUndisturbed(self.client())
        if not timing.SANITIZER:
            self.assertLess(self.daemon.rss_bytes() - before, 100 * MIB)
        session.close()
        for call in calls:
            try:
                state = self.rpc.wait(call).progress.state
                self.assertIn(state, (common_pb2.STATE_DONE, common_pb2.STATE_FAILED))
            except RpcError as error:
                self.assertIn(error.code, (Code.RESOURCE_EXHAUSTED, Code.NOT_FOUND))


CHILD = """
import socket, sys
import pki, session as sessions
from tlsagent.v1 import session_pb2
from ttrpc_client import Client
with open(sys.argv[3], "rb") as file:
    root = file.read()
class Root: pem = root
rpc = Client(sys.argv[1])
context = sessions.context(rpc, "client", trust=[Root])
sock = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
transport = session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))
rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(context=context, transport=transport,
           server_name="localhost"), fds=[sock.fileno()])
rpc.submit("AgentService.Ping", b"\\x0a\\x01x")
rpc.sock.recv(1 << 16)
print("going", flush=True)
rpc.sock.recv(1 << 16)
"""


class Dying(ClientTest):
    @each(when=("silent_peer", "half_a_handshake"))
    def test_a_client_killed_in_mid_handshake_leaves_nothing(self, when):
        listener = self.listen()
        child = subprocess.Popen([sys.executable, "-c", CHILD, self.daemon.path, str(listener.getsockname()[1]), pki.root().path],
                                 stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        self.addCleanup(child.stdout.close)
        far = listener.accept()[0]
        self.addCleanup(far.close)
        self.assertEqual(child.stdout.readline(), b"going\n")
        if when == "half_a_handshake":
            puppet = self.puppet(far, pair=pki.server("rsa"))
            puppet.receive()
            try:
                puppet.tls.do_handshake()
            except peers.ssl.SSLWantReadError:
                pass
            far.sendall(puppet.take_output()[:100])
        child.send_signal(signal.SIGKILL)
        child.wait()
        far.settimeout(timing.PATIENCE)
        try:
            while far.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        self.assertGivenBack()

    def test_a_client_that_leaves_while_its_calls_run(self):
        for _ in range(50):
            rpc = self.client()
            context = sessions.context(rpc, "client", trust=[pki.root()])
            near, far = sessions.tcp_pair()
            with near, far:
                for method, request in (("Connect", session_pb2.ConnectRequest(
                        context=context, transport=fd_transport(), server_name="localhost")),):
                    rpc.submit("SessionService." + method, request, fds=[near.fileno()])
                rpc.submit("AgentService.Ping", agent_pb2.PingRequest(payload=bytes(100_000)))
                rpc.close()
        self.assertGivenBack()

    def test_a_client_that_asks_and_leaves_at_once(self):
        for method in ("AgentService.Info", "AgentService.Limits", "AgentService.Ping", "ContextService.Create"):
            for _ in range(50):
                rpc = self.client()
                rpc.submit(method)
                rpc.close()
        self.assertUndisturbed(self.rpc)

    def test_a_client_that_leaves_while_its_dial_hangs(self):
        """Not allowed here; the refusal must not outlive it either."""
        for _ in range(20):
            rpc = self.client()
            context = sessions.context(rpc, "client", trust=[pki.root()])
            transport = session_pb2.Transport(dial=session_pb2.DialTransport(host="localhost", port=9))
            rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(context=context, transport=transport))
            rpc.close()
        self.assertGivenBack()

    def test_a_session_closed_while_everything_is_in_flight(self):
        for _ in range(30):
            session, puppet = self.established()
            calls = [self.rpc.submit("SessionService.Read", session_pb2.ReadRequest(session=session.handle)),
                     self.rpc.submit("SessionService.Write", session_pb2.WriteRequest(session=session.handle, data=bytes(MIB))),
                     self.rpc.submit("SessionService.Shutdown", session_pb2.ShutdownRequest(session=session.handle, await_peer=True)),
                     self.rpc.submit("SessionService.Close", session_pb2.CloseSessionRequest(session=session.handle))]
            for call in calls:
                self.rpc.wait(call)
            puppet.sock.close()
        self.assertGivenBack()

    def test_nothing_is_left_of_many_clients(self):
        """Contexts, sessions, descriptors and memory are where they were, however the clients ended."""
        self.churn(40)
        fds, rss = daemon.settled(self.daemon.num_fds), self.daemon.rss_bytes()
        self.churn(120)
        self.assertGivenBack()
        if fds is not None:
            timing.eventually(lambda: self.daemon.num_fds() <= fds, "no more descriptors are open than before")
        if not timing.SANITIZER:
            self.assertLess(self.daemon.rss_bytes() - rss, 4 * MIB)

    def churn(self, count):
        for number in range(count):
            rpc = daemon.Client(self.daemon.path)
            near, far = sessions.tcp_pair()
            context = sessions.context(rpc, "client", pki.client("ecdsa"), [pki.root()])
            puppet = peers.Puppet(far, peers.python_context(True, pki.server("ecdsa")), True)
            handshake = Background(puppet.handshake)
            session = sessions.connect(rpc, "fd" if number % 2 else "memory", context, near)
            handshake.result()
            session.write(bytes(1000))
            if number % 3 == 0:
                session.close()
            if number % 5 == 0:
                rpc.submit("SessionService.Read", session_pb2.ReadRequest(session=session.handle))
            near.close()
            rpc.close()
            far.close()


class HostilePeers(ClientTest):
    """The other attacker: whoever is at the far end of a TLS connection."""

    def accept_now(self, near, **fields):
        return self.rpc.session.Accept(context=self.context("server", pki.server("ecdsa")), transport=fd_transport(),
                                       fds=[near.fileno()], **fields)

    @each(noise={"zeros": bytes(20_000), "ones": b"\xff" * 20_000, "a_record_too_long": b"\x16\x03\x01\xff\xff" + bytes(70_000),
                 "endless_empty_records": b"\x16\x03\x01\x00\x00" * 10_000, "alerts": b"\x15\x03\x03\x00\x02\x01\x00" * 1000,
                 "application_data_first": b"\x17\x03\x03\x00\x10" + bytes(16),
                 "a_hello_of_16_megabytes": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380) + (b"\x16\x03\x01\x40\x00" + bytes(16384)) * 100,
                 "sslv2": bytes.fromhex("802e0103010015000000100100800200800300800400800600400700c0") + bytes(16)})
    def test_a_peer_that_sends(self, noise):
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)

        def send():
            try:
                far.sendall(noise)
                far.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was closed

        sending = Background(send)
        response = self.accept_now(near)
        self.assertEqual(response.progress.state, common_pb2.STATE_FAILED)
        self.assertEqual(response.session, 0)
        near.close()
        sending.result()
        self.assertGivenBack()

    @each(kind=("handshake", "data"))
    def test_noise_after_a_good_start(self, kind):
        session, puppet = self.established()
        puppet.sock.sendall({"handshake": b"\x16", "data": b"\x17"}[kind] + b"\x03\x03\x40\x00" + os.urandom(16384))
        self.assertFails(session.read)
        self.assertUndisturbed(self.rpc)

    def test_silent_peers_hold_up_nobody(self):
        crowd = []
        for _ in range(40):
            near, far = sessions.tcp_pair()
            self.addCleanup(near.close)
            self.addCleanup(far.close)
            crowd.append(self.accept_now(near, wait=session_pb2.Wait(milliseconds=0)).session)
        session, puppet = self.established()
        session.write(b"as ever")
        self.assertEqual(puppet.recv(), b"as ever")
        for handle in crowd:
            self.rpc.session.Close(session=handle)

    def test_a_peer_that_resets_in_mid_handshake(self):
        context = self.context("server", pki.server("ecdsa"))
        for _ in range(20):
            near, far = sessions.tcp_pair()
            call = self.rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(
                context=context, transport=fd_transport()), fds=[near.fileno()])
            self.rpc.agent.Ping()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far.sendall(b"\x16\x03\x01\x02\x00\x01")
            far.close()
            response = self.rpc.wait(call)
            near.close()
            self.assertEqual(response.progress.state, common_pb2.STATE_FAILED)
            self.assertIn(response.progress.error.kind, (common_pb2.ERROR_KIND_OS, common_pb2.ERROR_KIND_TRUNCATED))
        self.assertGivenBack()

    @each(command=("K", "k"), path=sessions.PATHS)
    def test_a_peer_that_changes_its_keys_all_the_time(self, command, path):
        """openssl s_client's commands: k changes its keys, K asks us to change ours too."""
        listener = self.listen()
        client = peers.Program("openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-tls1_3",
                               "-CAfile", pki.root().path)
        self.addCleanup(client.stop)
        near = listener.accept()[0]
        near.settimeout(None)
        self.addCleanup(near.close)
        session = sessions.accept(self.rpc, path, self.context("server", pki.server("ecdsa")), near)
        client.wait_for(rb"Verify return code: 0")
        for number in range(20):
            client.say(f"{command}\n".encode())
            timing.eventually(lambda: client.output.count(b"KEYUPDATE") > number, "openssl has updated its keys")
            client.say(b"line %d\n" % number)
            self.assertEqual(session.read_until(b"\n"), b"line %d\n" % number)
            session.write(b"answer %d\n" % number)
            client.wait_for(b"answer %d\n" % number)

    @each(path=sessions.PATHS)
    def test_a_peer_that_renegotiates(self, path):
        """TLS 1.2: it is refused, or done, but never the end of anybody else."""
        listener = self.listen()
        client = peers.Program("openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-tls1_2",
                               "-CAfile", pki.root().path)
        self.addCleanup(client.stop)
        near = listener.accept()[0]
        near.settimeout(None)
        self.addCleanup(near.close)
        session = sessions.accept(self.rpc, path, self.context("server", pki.server("ecdsa")), near)
        client.wait_for(rb"Verify return code: 0")
        client.say(b"R\n")
        client.wait_for(b"RENEGOTIATING")
        client.say(b"after all\n")
        try:
            self.assertEqual(session.read_until(b"\n"), b"after all\n")
        except sessions.TlsFailure as failure:
            self.assertTrue(failure.error.text)
        self.assertUndisturbed(self.rpc)


class OutOfDescriptors(Cases):
    """The daemon itself has run out of them: those who are there go on, and the rest wait."""

    def test_it_recovers(self):
        agent = daemon.Daemon().start()
        self.addCleanup(agent.kill)
        with agent.client() as first:
            first.agent.Ping()
            resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (96, 96))
            crowd = []
            for _ in range(120):
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(timing.PATIENCE)
                sock.connect(agent.path)
                crowd.append(sock)
            self.assertEqual(first.agent.Ping(payload=b"still here").payload, b"still here")
            for sock in crowd:
                sock.close()
        with agent.client() as late:
            self.assertEqual(late.agent.Ping(payload=b"late").payload, b"late")
        agent.stop()


    def test_it_does_not_start_with_fewer_than_its_limits_need(self):
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1200, 1200))
        agent = daemon.Daemon(preexec_fn=few)
        self.addCleanup(agent.kill)
        with self.assertRaisesRegex(AssertionError, "(?s)ended with 1.*RLIMIT_NOFILE.*ulimit -Hn.*LimitNOFILE=.*--limit"):
            agent.start()
        names = "connections", "sessions", "descriptors", "descriptor_tokens"
        lower = [word for name in names for word in ("--limit", f"{name}=64", "--limit", f"{name}_per_owner=32")]
        lower += ["--limit", "context_editions=16", "--limit", "context_editions_per_owner=8"]
        agent = daemon.Daemon(*lower, preexec_fn=few).start()
        self.addCleanup(agent.kill)
        agent.stop()


def lingering(keep):
    """A TCP socket whose close waits an hour for its peer, which goes into keep, to read."""
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    keep += [listener.accept()[0]]
    listener.close()
    near.setblocking(False)
    try:
        while True:
            near.send(bytes(65536))
    except BlockingIOError:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return near


def bomb(keep):
    """A Unix socket with such a socket in its queue, and nowhere else: whoever closes it last waits."""
    near, far = socket.socketpair()
    with lingering(keep) as last:
        socket.send_fds(far, [b"x"], [last.fileno()])
    keep += [far]
    return near


def pass_for_good(rpc, sock):
    """Passes sock with a Ping whose end comes later: the daemon's descriptor is the last then."""
    data = frame(request_bytes("AgentService.Ping", agent_pb2.PingRequest(payload=b"x")), rpc.take_id())
    rpc.send(data[:-1], [sock.fileno()])
    sock.close()
    rpc.send(data[-1:])
    rpc.read_frame()


class HungCloses(Cases):
    """Descriptors whose close waits as long as their sender likes: nobody else may wait with him, nor SIGTERM."""

    def setUp(self):
        self.keep = []
        self.daemon = daemon.Daemon("--mode", "0666", "--drain-timeout", "1").start()
        self.addCleanup(self.daemon.kill)
        self.addCleanup(lambda: [sock.close() for sock in self.keep])

    def connections(self):
        """Enough of them that every worker has some."""
        several = [self.daemon.client() for _ in range(6)]
        for rpc in several:
            self.addCleanup(rpc.close)
            rpc.agent.Ping()
        return several

    def assertServed(self, several):
        for rpc in several:
            self.assertEqual(rpc.agent.Ping(payload=b"on").payload, b"on")

    def test_beside_ciphertext(self):
        several = self.connections()
        for attacker in self.connections():
            context = sessions.context(attacker, "client")
            near, far = socket.socketpair()
            self.keep += [far]
            with lingering(self.keep) as last:
                socket.send_fds(far, [b"\x16"], [last.fileno()])
            attacker.submit("SessionService.Connect", session_pb2.ConnectRequest(
                context=context, server_name="x", transport=fd_transport()), fds=[near.fileno()])
            near.close()
        self.assertServed(several)
        self.daemon.stop()

    def test_in_the_queue_of_a_descriptor(self):
        several = self.connections()
        attacker = self.daemon.client()
        for _ in range(8):
            pass_for_good(attacker, bomb(self.keep))
        self.assertServed(several)
        attacker.close()
        self.daemon.stop()

    @users.needs_root
    def test_of_one_user_they_are_bounded_and_hold_up_no_other(self):
        several = self.connections()

        def flood(path):
            keep, null = [], os.open("/dev/null", os.O_RDONLY)
            rpc = Client(path)
            for _ in range(8):
                pass_for_good(rpc, bomb(keep))
            try:
                for _ in range(100000):
                    rpc.call("AgentService.Ping", agent_pb2.PingRequest(), fds=[null] * 16)
            except (ConnectionLost, OSError):
                return keep
            raise AssertionError("the daemon takes descriptors without end")

        self.addCleanup(users.stay_as_nobody(flood, self.daemon.path))
        self.assertServed(several)
        self.assertLess(self.daemon.num_fds(), 10000)
        with self.assertRaisesRegex(AssertionError, "as nobody: (Connection|BrokenPipe)"):
            users.as_nobody(lambda path: Client(path).agent.Ping(), self.daemon.path)
        mine, passed = socket.socketpair()
        self.keep += [mine]
        several[0].call("AgentService.Ping", agent_pb2.PingRequest(), fds=[passed.fileno()])
        passed.close()
        mine.settimeout(timing.PATIENCE)
        self.assertEqual(mine.recv(1), b"")
        self.daemon.stop()


if __name__ == "__main__":
    sys.exit("run me with runner.py")
