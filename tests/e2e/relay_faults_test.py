"""Relays when everything goes wrong: does nothing leak or spin, is everything reported, and does nobody else notice?

TLSAGENT_RELAY_STORM=20000 in the environment makes the storm as large as it is meant to be."""

import os
import random
import resource
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import daemon
import peers
import pki
import relays
import session as sessions
import timing
from e2e import E2ETest, each
from relays import LOOPBACK, Echo, dial, read_all, tls
from tlsagent.v1 import common_pb2, relay_pb2, session_pb2
from ttrpc_client import Client

STORM = int(os.environ.get("TLSAGENT_RELAY_STORM", "300" if timing.SANITIZER else "2000"))
MIB = 1 << 20
RESET = struct.pack("ii", 1, 0)


def reset(sock):
    """Closes it so that the other side sees a reset."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    except OSError:
        pass  # it has been reset already
    sock.close()


class Moody(Echo):
    """A back end that may do anything to those who come."""

    @staticmethod
    def serve(sock):
        mood = random.randrange(8)
        with sock:
            try:
                if mood == 0:
                    reset(sock)
                elif mood == 1:
                    sock.shutdown(socket.SHUT_WR)
                    read_all(sock)
                elif mood == 2:
                    sock.sendall(bytes(random.randrange(1, 300000)))
                    reset(sock)
                elif mood == 3:
                    time.sleep(random.random() / 50)
                else:
                    Echo.serve(sock)
            except OSError:
                pass


class Front:
    """A listener of the daemon's, and what it has reported."""

    def __init__(self, rpc, to, role=common_pb2.ROLE_SERVER, **fields):
        self.rpc = rpc
        listening, self.address = relays.listen(LOOPBACK + ":0", backlog=4096)
        target = relay_pb2.RelayTarget()
        if to.startswith("unix:"):
            target.unix_path = to[len("unix:"):]
        else:
            host, _, port = to.rpartition(":")
            target.tcp.host, target.tcp.port = host, int(port)
        context = sessions.context(rpc, "server", pki.server("ecdsa"))
        with listening:
            self.handle = rpc.relay.Listen(context=context, role=role, fd=0, to=target, fds=[listening.fileno()],
                                           keep_ends=True, **fields).listener
        self.ends, self.lost = [], 0

    def sums(self):
        return self.rpc.relay.Describe(listener=self.handle)

    def fetch(self):
        """Takes the records that are there."""
        while True:
            try:
                answer = self.rpc.relay.Next(listener=self.handle, timeout_nano=10 ** 8)
            except Exception as error:
                if "DEADLINE" not in str(error):
                    raise
                return self.ends
            self.ends += answer.ends
            self.lost += answer.lost

    def close(self):
        self.rpc.relay.Close(listener=self.handle)


class Bystander:
    """Somebody else's echo, through a relay of its own, which goes on answering."""

    def __init__(self, path):
        self.rpc = Client(path)
        self.echo = Echo()
        self.front = Front(self.rpc, self.echo.address)
        self.client = tls(dial(self.front.address))
        self.answers, self.failure, self.over = 0, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.over:
                self.client.sendall(b"still there?")
                got = relays.Plain(self.client).read_exactly(12)
                assert got == b"still there?", got
                self.answers += 1
                time.sleep(0.01)
        except Exception as failure:  # told by stop()
            self.failure = failure

    def stop(self):
        self.over = True
        self.thread.join(timing.PATIENCE)
        self.client.close()
        self.rpc.close()
        self.echo.close()
        assert self.failure is None, self.failure
        assert self.answers > 0


class FaultsTest(E2ETest):
    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:*", "--allow-dial", "unix:*")

    @classmethod
    def setUpClass(cls):
        pki.server("ecdsa")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.rpc.agent.Ping()

    def echo(self, kind=Echo, address=LOOPBACK + ":0"):
        echo = kind(address)
        self.addCleanup(echo.close)
        return echo

    def beside(self):
        bystander = Bystander(self.daemon.path)
        self.addCleanup(bystander.stop)
        return bystander

    def connect(self, front):
        """A TLS client of the front, hands shaken."""
        client = tls(dial(front.address))
        self.addCleanup(client.close)
        return client

    def assertServed(self, front):
        with tls(dial(front.address)) as client:
            client.sendall(b"hello")
            self.assertEqual(client.recv(5), b"hello")
            client.unwrap().close()

    def assertAllReported(self, front):
        """Nothing is under way; each connection is counted once, and has its record."""
        timing.eventually(lambda: front.sums().active == 0, "all connections are over")
        sums = front.sums()
        self.assertEqual(sums.established + sums.handshakes_failed + sums.dials_failed + sums.refused, sums.accepted, sums)
        front.fetch()
        self.assertEqual(len(front.ends) + front.lost, sums.accepted)
        for one in front.ends:
            self.assertNotEqual(one.stage, relay_pb2.RELAY_STAGE_UNSPECIFIED)
            failed = one.end.state == common_pb2.STATE_FAILED
            self.assertEqual(one.end.HasField("error"), failed, one)
            self.assertTrue(not failed or one.end.error.text, one)
        return sums

    def num_fds(self):
        return daemon.settled(self.daemon.num_fds)

    def assertDescriptorsAre(self, number):
        timing.eventually(lambda: self.daemon.num_fds() == number, f"{number} descriptors, not {self.daemon.num_fds()}")

    def cpu_seconds(self):
        with open(f"/proc/{self.daemon.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def assertIdle(self):
        """It does next to nothing in a second."""
        before = self.cpu_seconds()
        time.sleep(1)
        self.assertLess(self.cpu_seconds() - before, 0.2)


class Storm(FaultsTest):
    """Connections opened and killed at random, at both ends."""

    def setUp(self):
        super().setUp()
        context = peers.python_context(False)
        puppet_in, puppet_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = context.wrap_bio(puppet_in, puppet_out, server_hostname=pki.HOST)
        try:
            hello.do_handshake()
        except ssl.SSLWantReadError:
            pass
        self.hello = puppet_out.read()
        self.context = context

    def one(self, address, seed):
        """One client's life, cut short somewhere."""
        moods = random.Random(seed)
        try:
            sock = dial(address)
            sock.settimeout(moods.choice((0.02, 0.1, 2)))
            mood = moods.randrange(10)
            if mood == 0:
                return reset(sock) if moods.random() < 0.5 else sock.close()
            if mood in (1, 2):
                sock.sendall(self.hello[:moods.randrange(1, len(self.hello) + 1)])
                return reset(sock) if mood == 1 else sock.close()
            if mood == 3:
                sock.sendall(moods.randbytes(moods.randrange(1, 1000)))
                return sock.close()
            client = self.context.wrap_socket(sock, server_hostname=pki.HOST)
            if moods.random() < 0.7:
                client.sendall(moods.randbytes(moods.choice((1, 1000, 20000, 200000))))
            if moods.random() < 0.5:
                client.recv(moods.choice((1, 1000, 20000)))
            if mood == 4:
                client.unwrap().close()
            elif mood in (5, 6):
                reset(client)
            else:
                client.close()
        except (OSError, ValueError):
            pass  # the back end has moods, too
        return None

    def storm(self, front, count):
        with ThreadPoolExecutor(16) as pool:
            for _ in pool.map(lambda seed: self.one(front.address, seed), range(count)):
                pass

    def test_connections_opened_and_killed_at_random(self):
        self.beside()
        echo = self.echo(Moody)
        front = Front(self.rpc, echo.address)
        self.storm(front, STORM // 4)
        timing.eventually(lambda: front.sums().active == 0, "all connections are over")
        fds, memory = self.num_fds(), self.daemon.rss_bytes()
        for _ in range(3):
            self.storm(front, STORM // 4)
        sums = self.assertAllReported(front)
        self.assertEqual(sums.accepted, STORM // 4 * 4)
        self.assertGreater(sums.established, 0)
        self.assertGreater(sums.handshakes_failed, 0)
        self.assertDescriptorsAre(fds)
        if not timing.SANITIZER:
            self.assertLess(self.daemon.rss_bytes(), memory + 16 * MIB)
        front.close()


CHILD = """
import os, random, sys, threading
import pki, relays
class Root:
    path = sys.argv[2]
pki.root = lambda: Root
def live():
    while True:
        try:
            client = relays.tls(relays.dial(sys.argv[1]))
            while random.random() < 0.9:
                client.sendall(bytes(random.randrange(1, 100000)))
                client.recv(1000)
            client.close()
        except OSError:
            pass
for _ in range(8):
    threading.Thread(target=live, daemon=True).start()
print("going", flush=True)
threading.Event().wait()
"""


class Vanishing(FaultsTest):
    """Whole processes, killed."""

    def spawn(self, *args):
        child = subprocess.Popen([sys.executable, "-c", CHILD, *args], stdout=subprocess.PIPE,
                                 env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), b"going\n")
        return child

    def test_clients_killed_at_any_moment(self):
        self.beside()
        front = Front(self.rpc, self.echo().address)
        self.assertServed(front)
        fds = self.num_fds()
        for _ in range(6):
            child = self.spawn(front.address, pki.root().path)
            time.sleep(random.random() / 4)
            child.kill()
            child.wait()
        timing.eventually(lambda: front.sums().active == 0, "all connections are over")
        self.assertAllReported(front)
        self.assertDescriptorsAre(fds)
        front.close()

    def test_a_back_end_killed_at_any_moment(self):
        self.beside()
        for _ in range(6):
            back = subprocess.Popen(["socat", "TCP-LISTEN:0,reuseaddr,fork,bind=127.0.0.1", "EXEC:cat"], stderr=subprocess.PIPE)
            back.stderr.close()
            port = timing.eventually(lambda: self.port_of(back.pid), "socat listens")
            front = Front(self.rpc, f"{LOOPBACK}:{port}")
            clients = [self.connect(front) for _ in range(4)]
            for client in clients:
                client.sendall(bytes(random.randrange(1, 100000)))
            time.sleep(random.random() / 20)
            subprocess.run(["pkill", "-KILL", "-P", str(back.pid)], check=False)
            back.kill()
            back.wait()
            for client in clients:
                self.end_of(client)
            self.assertAllReported(front)
            front.close()

    @staticmethod
    def end_of(client):
        try:
            while client.recv(1 << 16):
                pass
        except OSError:
            pass
        client.close()

    @staticmethod
    def port_of(pid):
        listing = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            if f"pid={pid}," in line:
                return int(line.split()[3].rpartition(":")[2])
        return 0


class Dialling(FaultsTest):
    """A back end that is down, or does not answer."""

    def test_a_back_end_that_is_down_and_comes_again(self):
        self.beside()
        listening, address = relays.listen(LOOPBACK + ":0")
        listening.close()
        front = Front(self.rpc, address)
        for _ in range(100):
            self.assertCutOff(self.connect(front))
        sums = self.assertAllReported(front)
        self.assertEqual(sums.dials_failed, 100)
        self.assertTrue(all("refused" in one.end.error.text for one in front.ends))
        echo = self.echo(address=address)
        self.assertServed(front)
        self.assertEqual(echo.served, 1)
        front.close()

    def assertCutOff(self, client):
        with self.assertRaises(OSError):
            self.assertEqual(client.recv(1), b"no byte")
        client.close()

    def full(self, address):
        """A back end whose queue is full: connecting to it takes for ever."""
        listening, address = relays.listen(address, backlog=0)
        self.addCleanup(listening.close)
        waiting = []
        for _ in range(3):
            sock = socket.socket(listening.family)
            sock.setblocking(False)
            sock.connect_ex(listening.getsockname())
            self.addCleanup(sock.close)
            waiting.append(sock)
        return address

    @each(kind=("tcp", "unix"), end=("clients", "listener"))
    def test_a_back_end_that_does_not_answer(self, kind, end):
        self.beside()
        address = self.full(LOOPBACK + ":0" if kind == "tcp" else f"unix:{self.daemon.directory}/full-{end}")
        fds = self.num_fds()
        front = Front(self.rpc, address)
        clients = [self.connect(front) for _ in range(50)]
        self.assertUndisturbed(self.rpc)
        if end == "clients":
            for client in clients:
                reset(client)
        front.close()
        for client in clients:
            client.close()
        self.assertDescriptorsAre(fds)
        self.assertIdle()


class NeverReading(FaultsTest):
    COUNT = 40

    def pump(self, socks):
        """Writes to all of them until none takes any more."""
        data = bytes(1 << 16)
        for sock in socks:
            sock.setblocking(False)
        refused = 0
        while refused < 20:
            taken = False
            for sock in socks:
                try:
                    taken |= sock.send(data) > 0
                except (BlockingIOError, ssl.SSLWantWriteError):
                    pass
            refused = 0 if taken else refused + 1
            time.sleep(0 if taken else 0.02)

    @each(who=("clients", "back_end"))
    def test_a_reader_that_never_reads(self, who):
        self.beside()
        listening, address = relays.listen(LOOPBACK + ":0")
        self.addCleanup(listening.close)
        front = Front(self.rpc, address)
        clients, backs = [], []
        fds, memory = self.num_fds(), self.daemon.rss_bytes()
        for _ in range(self.COUNT):
            clients.append(self.connect(front))
            backs.append(listening.accept()[0])
        self.pump(backs if who == "clients" else clients)
        if not timing.SANITIZER:
            # What a relay with much under way may take (limits.h, WORKER_BULK_BYTES), and its session.
            self.assertLess(self.daemon.rss_bytes() - memory, self.COUNT * (MIB + (MIB >> 2)))
        self.assertIdle()
        self.assertUndisturbed(self.rpc)
        for sock in clients + backs:
            sock.close()
        self.assertAllReported(front)
        self.assertDescriptorsAre(fds)
        front.close()

    def test_a_reader_that_never_reads_is_given_up_when_its_time_is_over(self):
        listening, address = relays.listen(LOOPBACK + ":0")
        self.addCleanup(listening.close)
        front = Front(self.rpc, address, idle_seconds=1)
        client = self.connect(front)
        back, _ = listening.accept()
        self.addCleanup(back.close)
        self.pump([back])
        time.sleep(1.2)
        self.assertIdle()
        self.assertAllReported(front)
        self.assertEqual(front.ends[0].end.error.kind, common_pb2.ERROR_KIND_TIMEOUT)
        client.close()
        front.close()


class Idle(FaultsTest):
    def test_idle_connections_cost_no_time(self):
        front = Front(self.rpc, self.echo().address)
        clients = [self.connect(front) for _ in range(200)]
        for client in clients:
            client.sendall(b"x")
            self.assertEqual(client.recv(1), b"x")
        time.sleep(1.2)  # and then its buffers are given back
        self.assertIdle()
        for client in clients:
            client.sendall(b"y")
            self.assertEqual(client.recv(1), b"y")
        for client in clients:
            client.close()
        self.assertAllReported(front)
        front.close()


class Descriptors(FaultsTest):
    """A daemon that gets no more descriptors."""

    LIMIT = 100

    def setUp(self):
        super().setUp()
        self.bystander = self.beside()
        self.front = Front(self.rpc, self.echo().address)
        self.assertServed(self.front)
        self.fds = self.num_fds()
        before = resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE)
        self.most = self.fds + self.LIMIT
        self.addCleanup(resource.prlimit, self.daemon.pid, resource.RLIMIT_NOFILE, before)
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (self.most, before[1]))

    def assertRecovers(self, clients):
        for client in clients:
            client.close()
        timing.eventually(lambda: self.front.sums().active == 0, "all connections are over")
        self.assertServed(self.front)
        self.assertAllReported(self.front)
        self.assertDescriptorsAre(self.fds)
        self.front.close()

    def test_none_are_left_to_accept_with(self):
        clients = [dial(self.front.address) for _ in range(self.LIMIT * 2)]
        timing.eventually(lambda: self.daemon.num_fds() >= self.most - 1, "no descriptor is left")
        answers = self.bystander.answers
        timing.eventually(lambda: self.bystander.answers > answers + 5, "the one beside is answered")
        self.assertIdle()
        self.assertRecovers(clients)

    def test_none_are_left_to_dial_with(self):
        """Silent clients take all but a few, so that a handshake is done, and there is none for the target."""
        silent = []
        while self.daemon.num_fds() < self.most - 1:
            silent.append(dial(self.front.address))
            accepted = len(silent)
            timing.eventually(lambda: self.front.sums().active == accepted, "it is accepted")
        with self.assertRaises(OSError):
            self.connect(self.front).recv(1)
        self.assertIdle()
        self.assertEqual(self.front.sums().dials_failed, 1)
        self.assertRecovers(silent)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
