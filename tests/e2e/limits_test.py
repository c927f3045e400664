"""Every limit, hit: is the one who hits it told which, is nobody else disturbed, and does it give way again?"""

import os
import re
import socket
import sys

import daemon
import peers
import pki
import session as sessions
import timing
import users
from e2e import Cases, Code, RpcError, each
from session import Background
from tlsagent.v1 import agent_pb2, common_pb2, context_pb2, relay_pb2, session_pb2
from ttrpc_client import Client, dial, frame, request_bytes

LIMITS = set(re.findall(r"^(\w+) +\d+ +\d+  ", daemon.run("--print-limits").stdout, re.M))
MIB = 1 << 20

# What each test below is about; test_every_limit_has_its_test compares them with what the daemon has.
TESTED = set()


def about(*names):
    """Marks a test as the one of these limits."""
    TESTED.update(names)
    return lambda test: test


def memory():
    return session_pb2.Transport(memory=session_pb2.MemoryTransport())


def fd_transport():
    return session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))


class LimitTest(Cases):
    """Each test starts a daemon with a limit set low."""

    def start(self, *assignments, options=()):
        args = [word for assignment in assignments for word in ("--limit", assignment)]
        self.daemon = daemon.Daemon(*args, *options).start()
        self.addCleanup(self.end)
        os.chmod(self.daemon.path, 0o666)
        self.rpc = self.client()

    def end(self):
        try:
            self.daemon.wait_idle()
            self.daemon.stop()
        finally:
            self.daemon.kill()

    def client(self, token=None):
        client = Client(self.daemon.path, token)
        self.addCleanup(client.close)
        return client

    def assertExhausted(self, name, call, /, *args, **kwargs):
        """The call is refused for this limit, which the message names as --limit takes it."""
        message = self.assertCode(Code.RESOURCE_EXHAUSTED, call, *args, **kwargs)
        self.assertRegex(message, rf"\b{name}\b")

    def bystander(self):
        """Another client with a session of its own; call what this returns to see that it goes on as ever."""
        rpc = self.client()
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        puppet = peers.Puppet(far, peers.python_context(True, pki.server("ecdsa")), True)
        handshake = Background(puppet.handshake)
        session = sessions.connect(rpc, "fd", sessions.context(rpc, "client", trust=[pki.root()]), near)
        handshake.result()

        def goes_on():
            puppet.send(b"in")
            self.assertRegex(session.read(), b"^(in)+$")  # more than one, when an earlier read was refused
            session.write(b"out")
            self.assertEqual(puppet.recv(), b"out")

        goes_on()
        return goes_on

    def waiting_session(self, rpc=None):
        """A session whose reads wait for ever."""
        rpc = rpc or self.rpc
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        context = sessions.context(rpc, "client", trust=[pki.root()])
        return rpc.session.Connect(context=context, transport=fd_transport(), server_name="localhost", fds=[near.fileno()],
                                   wait=session_pb2.Wait()).session

    def submit_waiting(self, rpc, handle):
        return rpc.submit("SessionService.Handshake", session_pb2.HandshakeRequest(session=handle))

    def assertOtherUserServed(self):
        """Somebody else, to whom the owner's limit does not apply, is served."""
        if os.getuid() != 0:
            return

        def ping(path):
            with Client(path) as client:
                return client.agent.Ping(payload=b"me too").payload

        self.assertEqual(users.as_nobody(ping, self.daemon.path), b"me too")


class Counts(LimitTest):
    @about("connections", "connections_per_owner")
    @each(name=("connections", "connections_per_owner"))
    def test_connections(self, name):
        self.start(f"{name}=4")
        goes_on = self.bystander()
        others = [self.client(), self.client()]
        for rpc in (self.rpc, *others):
            rpc.agent.Ping()
        for _ in range(10):
            late = self.client()
            self.assertExhausted(name, late.agent.Ping)
            self.assertTrue(daemon.is_closed(late))
        goes_on()
        if name == "connections_per_owner":
            self.assertOtherUserServed()
        others[0].close()
        timing.eventually(self.served, "one leaves and another may come")

    def served(self):
        with Client(self.daemon.path) as client:
            try:
                client.agent.Ping()
            except RpcError as error:
                self.assertEqual(error.code, Code.RESOURCE_EXHAUSTED)
                return False
        return True

    @about("sessions", "sessions_per_owner")
    @each(name=("sessions", "sessions_per_owner"))
    def test_sessions(self, name):
        self.start(f"{name}=3")
        goes_on = self.bystander()
        context = sessions.context(self.rpc, "both")
        made = [self.rpc.session.Connect(context=context, transport=memory(), server_name="x").session for _ in range(2)]
        for _ in range(10):
            self.assertExhausted(name, self.rpc.session.Connect, context=context, transport=memory(), server_name="x")
            self.assertExhausted(name, self.client_context_accept)
        goes_on()
        self.rpc.session.Close(session=made[0])
        timing.eventually(lambda: self.may_connect(context), "one ends and another may begin")

    def client_context_accept(self):
        rpc = self.client()
        return rpc.session.Accept(context=sessions.context(rpc, "server", pki.server("ecdsa")), transport=memory())

    def may_connect(self, context):
        try:
            return self.rpc.session.Connect(context=context, transport=memory(), server_name="x").session
        except RpcError as error:
            self.assertEqual(error.code, Code.RESOURCE_EXHAUSTED)
            return 0

    def test_a_refused_session_gives_its_socket_back(self):
        self.start("sessions=1")
        context = sessions.context(self.rpc, "both")
        self.rpc.session.Connect(context=context, transport=memory(), server_name="x")
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        self.assertExhausted("sessions", self.rpc.session.Connect, context=context, transport=fd_transport(),
                             server_name="x", fds=[near.fileno()])
        near.close()
        self.assertEqual(far.recv(1), b"")

    @about("listeners", "listeners_per_owner")
    @each(name=("listeners", "listeners_per_owner"))
    def test_listeners(self, name):
        self.start(f"{name}=2", options=("--allow-dial", "127.0.0.1:9"))
        goes_on = self.bystander()
        made = [self.listen(), self.listen()]
        for _ in range(10):
            self.assertExhausted(name, self.listen)
        goes_on()
        self.rpc.relay.Close(listener=made[0])
        self.listen()

    def listen(self):
        target = relay_pb2.RelayTarget(tcp=session_pb2.DialTransport(host="127.0.0.1", port=9))
        context = sessions.context(self.rpc, "server", pki.server("ecdsa"))
        try:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                return self.rpc.relay.Listen(context=context, role=common_pb2.ROLE_SERVER, to=target,
                                             fds=[listening.fileno()]).listener
        finally:
            self.rpc.context.Release(context=context)

    @about("contexts", "contexts_per_owner")
    @each(name=("contexts", "contexts_per_owner"))
    def test_contexts(self, name):
        self.start(f"{name}=4")
        goes_on = self.bystander()
        made = [sessions.context(self.rpc, "client") for _ in range(3)]
        for _ in range(10):
            self.assertExhausted(name, self.rpc.context.Create, sessions.context_request("server"))
        goes_on()
        self.rpc.context.Release(context=made[0])
        sessions.context(self.rpc, "client")

    @about("context_editions", "context_editions_per_owner")
    @each(name=("context_editions", "context_editions_per_owner"), how=("Release", "Configure"))
    def test_what_sessions_still_use_counts(self, name, how):
        """Letting go of a context, or changing it, frees nothing that a session goes on to use."""
        self.start(f"{name}=4")
        goes_on = self.bystander()
        kept = []
        context = sessions.context(self.rpc, "client")
        for number in range(3):
            kept.append(self.rpc.session.Connect(context=context, transport=memory(), server_name="x").session)
            use = {"Release": lambda: self.release_and_make(context), "Configure": lambda: self.change(context)}[how]
            if number == 2:
                self.assertExhausted(name, use)
            else:
                context = use()
        goes_on()
        for session in kept:
            self.rpc.session.Close(session=session)
        sessions.context(self.rpc, "client")

    def release_and_make(self, context):
        self.rpc.context.Release(context=context)
        return sessions.context(self.rpc, "client")

    def change(self, context):
        change = sessions.fill_settings(context_pb2.ContextSettings(), verify_depth=7)
        self.assertFalse(self.rpc.context.Configure(context=context, settings=change).HasField("error"))
        return context

    def test_a_named_context_counts_as_long_as_it_lasts(self):
        """Its name and each handle of it."""
        self.start("contexts=3")
        request = sessions.context_request("server")
        request.name = "counted"
        context = self.rpc.context.Create(request).context
        other = self.client()
        other.context.Open(name="counted")
        self.assertExhausted("contexts", self.rpc.context.Open, name="counted")
        other.close()
        timing.eventually(lambda: self.may_open("counted"), "a handle goes and another may come")
        self.rpc.context.Release(context=context)
        self.rpc.context.Forget(name="counted")

    def may_open(self, name):
        try:
            return self.rpc.context.Open(name=name).context
        except RpcError as error:
            self.assertEqual(error.code, Code.RESOURCE_EXHAUSTED)
            return 0

    def test_a_named_context_that_does_not_fit_leaves_no_name(self):
        self.start("contexts=1")
        request = sessions.context_request("server")
        request.name = "does not fit"
        self.assertExhausted("contexts", self.rpc.context.Create, request)
        self.assertCode(Code.NOT_FOUND, self.rpc.context.Open, name="does not fit")

    @about("calls", "calls_per_owner")
    @each(name=("calls", "calls_per_owner"))
    def test_calls(self, name):
        self.start(f"{name}=4")
        goes_on = self.bystander()
        handle = self.waiting_session()
        calls = [self.submit_waiting(self.rpc, handle) for _ in range(3)]
        goes_on()
        calls.append(self.submit_waiting(self.rpc, handle))
        for _ in range(10):
            self.assertExhausted(name, self.rpc.agent.Ping)
        if name == "calls_per_owner":
            self.assertOtherUserServed()
        self.rpc.close()
        timing.eventually(lambda: self.goes_on_again(goes_on), "calls end and others may begin")

    def goes_on_again(self, goes_on):
        try:
            goes_on()
        except RpcError as error:
            self.assertEqual(error.code, Code.RESOURCE_EXHAUSTED)
            return False
        return True

    @about("calls_per_connection")
    def test_calls_per_connection(self):
        self.start("calls_per_connection=3")
        goes_on = self.bystander()
        handle = self.waiting_session()
        calls = [self.submit_waiting(self.rpc, handle) for _ in range(3)]
        for _ in range(10):
            self.assertExhausted("calls_per_connection", self.rpc.agent.Ping)
        goes_on()
        self.client(self.hello_of(handle)).session.Close(session=handle)
        for call in calls:
            self.assertEqual(self.rpc.wait(call).progress.state, common_pb2.STATE_FAILED)
        self.rpc.agent.Ping()

    def hello_of(self, _handle):
        """The token can't be asked for when no call may begin; it was asked for before."""
        return self.token

    def waiting_session(self, rpc=None):
        self.token = (rpc or self.rpc).agent.Hello().token
        return super().waiting_session(rpc)


class Sizes(LimitTest):
    @about("frame_bytes")
    def test_frame_bytes(self):
        self.start("frame_bytes=8192")
        goes_on = self.bystander()
        for _ in range(3):
            self.assertExhausted("frame_bytes", self.rpc.agent.Ping, payload=bytes(8192))
        self.rpc.agent.Ping(payload=bytes(8000))
        goes_on()

    def test_an_answer_larger_than_a_frame_may_be(self):
        """A megabyte of names is told four times over: in DER, in PEM, in octets and in words."""
        self.start()
        names = ",".join(f"DNS:host-{n}.a-rather-long-domain.test" for n in range(1000))
        pair = pki.issue("many-names", None, extensions=("subjectAltName=" + names,))
        many = common_pb2.Material(data=pair.der * (MIB // len(pair.der)))
        message = self.assertCode(Code.RESOURCE_EXHAUSTED, self.rpc.certificate.Decode, certificates=many)
        self.assertTrue(message)
        few = self.rpc.certificate.Decode(certificates=many, max_certificates=5)
        self.assertEqual(len(few.certificates), 5)

    @about("request_millis")
    def test_request_millis(self):
        """A frame that is never whole ends its connection, and no other."""
        self.start("request_millis=200")
        goes_on = self.bystander()
        with dial(self.daemon.path, timing.PATIENCE) as slow:
            slow.sendall(frame(bytes(100))[:50])
            self.assertEqual(slow.recv(1), b"")
        goes_on()

    @about("descriptor_tokens", "descriptor_tokens_per_owner")
    @each(name=("descriptor_tokens", "descriptor_tokens_per_owner"))
    def test_descriptor_tokens(self, name):
        self.start(f"{name}=3")
        for _ in range(3):
            self.rpc.session.DescriptorToken()
        self.assertExhausted(name, self.rpc.session.DescriptorToken)
        self.rpc.close()
        self.rpc = self.client()
        timing.eventually(self.gets_a_token, "they are gone with their client")

    def gets_a_token(self):
        try:
            return bool(self.rpc.session.DescriptorToken().token)
        except RpcError:
            return False

    @about("descriptor_token_millis")
    def test_descriptor_token_millis(self):
        self.start("descriptor_token_millis=200", "descriptor_tokens=1")
        self.assertEqual(self.rpc.session.DescriptorToken().milliseconds, 200)
        timing.eventually(self.gets_a_token, "the first has expired")

    @about("request_bytes", "request_bytes_per_owner")
    @each(name=("request_bytes", "request_bytes_per_owner"))
    def test_request_bytes(self, name):
        self.start(f"{name}={MIB}")
        goes_on = self.bystander()
        for _ in range(3):
            self.assertExhausted(name, self.rpc.agent.Ping, payload=bytes(2 * MIB))
        goes_on()
        if name == "request_bytes_per_owner":
            self.assertOtherUserServed()
        self.assertEqual(len(self.rpc.agent.Ping(payload=bytes(MIB // 4)).payload), MIB // 4)

    def test_request_bytes_of_many_torn_requests(self):
        """They are counted from the first byte on, and given back with the connection."""
        self.start(f"request_bytes={2 * MIB}")
        slow = [self.client() for _ in range(6)]
        whole = frame(request_bytes("AgentService.Ping", agent_pb2.PingRequest(payload=bytes(MIB // 2))))
        for rpc in slow:
            rpc.send(whole[:-1])
        self.rpc.agent.Ping()
        codes = []
        for rpc in slow:
            rpc.send(whole[-1:])
            _, response, _ = rpc.read_response()
            codes.append(response.status.code)
            if response.status.code:
                self.assertIn("request_bytes", response.status.message)
        self.assertLessEqual(set(codes), {Code.OK, Code.RESOURCE_EXHAUSTED})
        self.assertIn(Code.RESOURCE_EXHAUSTED, codes)
        self.rpc.agent.Ping(payload=bytes(MIB // 4))

    @about("queued_bytes")
    def test_queued_bytes(self):
        self.start("queued_bytes=65536")
        goes_on = self.bystander()
        for _ in range(3):
            self.assertExhausted("queued_bytes", self.rpc.agent.Ping, payload=bytes(100_000))
        self.rpc.agent.Ping(payload=bytes(60_000))
        goes_on()

    @about("reply_bytes", "reply_bytes_per_owner")
    @each(name=("reply_bytes", "reply_bytes_per_owner"))
    def test_reply_bytes(self, name):
        self.start(f"{name}={MIB}")
        goes_on = self.bystander()
        for _ in range(3):
            self.assertExhausted(name, self.rpc.agent.Ping, payload=bytes(2 * MIB))
        self.rpc.agent.Ping(payload=bytes(MIB // 2))
        goes_on()
        if name == "reply_bytes_per_owner":
            self.assertOtherUserServed()

    def test_reply_bytes_that_nobody_reads(self):
        """Unread answers of some are not the end of answers for others of their owner."""
        self.start(f"reply_bytes={2 * MIB}", f"reply_bytes_per_owner={2 * MIB}")
        lazy = [self.client() for _ in range(6)]
        for rpc in lazy:
            rpc.submit("AgentService.Ping", agent_pb2.PingRequest(payload=bytes(MIB // 2)))
        codes = set()
        for rpc in lazy:
            _, response, _ = rpc.read_response()
            codes.add(response.status.code)
        self.assertLessEqual(codes, {Code.OK, Code.RESOURCE_EXHAUSTED})
        self.rpc.agent.Ping(payload=bytes(MIB // 2))

    @about("read_bytes")
    def test_read_bytes(self):
        self.start("read_bytes=16384")
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        puppet = peers.Puppet(far, peers.python_context(True, pki.server("ecdsa")), True)
        handshake = Background(puppet.handshake)
        session = sessions.connect(self.rpc, "fd", sessions.context(self.rpc, "client", trust=[pki.root()]), near)
        handshake.result()
        puppet.send(bytes(50_000))
        try:
            self.assertLessEqual(len(session.read(16385)), 16384)
        except RpcError as error:
            self.assertIn(error.code, (Code.RESOURCE_EXHAUSTED, Code.INVALID_ARGUMENT))
            self.assertIn("read_bytes", error.message)
        self.assertLessEqual(len(session.read(16384)), 16384)

    @about("session_output_bytes")
    def test_session_output_bytes(self):
        """On the memory path a write gives no more than that at a time, and says how much it took."""
        self.start("session_output_bytes=65536")
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        puppet = peers.Puppet(far, peers.python_context(True, pki.server("ecdsa")), True)
        handshake = Background(puppet.handshake)
        session = sessions.connect(self.rpc, "memory", sessions.context(self.rpc, "client", trust=[pki.root()]), near)
        handshake.result()
        data = os.urandom(MIB)
        response = self.rpc.session.Write(session=session.handle, data=data)
        self.assertEqual(response.progress.state, common_pb2.STATE_WANT_WRITE)
        self.assertLess(response.accepted, MIB)
        self.assertLessEqual(len(response.progress.output), 65536 + 20_000)
        got = Background(puppet.recv_exactly, MIB)
        near.sendall(response.progress.output)
        session.write(data[response.accepted:])
        self.assertEqual(got.result(), data)

    @about("material_bytes")
    @each(part=("chain", "key", "trust", "crl", "decode", "verify"))
    def test_material_bytes(self, part):
        self.start("material_bytes=4096")
        goes_on = self.bystander()
        long = common_pb2.Material(data=pki.root().pem + b"\n" * 4096)
        request = sessions.context_request("server", pki.server("ecdsa"), [pki.root()])
        if part == "decode":
            self.assertExhausted("material_bytes", self.rpc.certificate.Decode, certificates=long)
        elif part == "verify":
            self.assertExhausted("material_bytes", self.rpc.certificate.Verify, chain=long)
        else:
            {"chain": lambda: request.pairs[0].chain, "key": lambda: request.pairs[0].key,
             "trust": request.trust.certificates.add, "crl": request.trust.crls.add}[part]().CopyFrom(long)
            self.assertExhausted("material_bytes", self.rpc.context.Create, request)
        goes_on()

    @about("context_bytes")
    @each(method=("Create", "Configure"))
    def test_context_bytes(self, method):
        self.start("context_bytes=65536")
        context = sessions.context(self.rpc, "server", pki.server("ecdsa"))
        request = sessions.context_request("server", pki.server("ecdsa"))
        for _ in range(10):
            request.trust.certificates.add(data=pki.root().pem + b"\n" * 8000)
        if method == "Create":
            self.assertExhausted("context_bytes", self.rpc.context.Create, request)
        else:
            self.assertExhausted("context_bytes", self.rpc.context.Configure, context=context, trust=request.trust)
        self.assertEqual(self.rpc.context.Describe(context=context).trust.certificates, 0)


class Others(LimitTest):
    @about("descriptors", "descriptors_per_owner")
    @each(name=("descriptors", "descriptors_per_owner"))
    def test_descriptors(self, name):
        self.start(f"{name}=16")
        goes_on = self.bystander()
        file = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, file)
        whole = frame(request_bytes("AgentService.Ping", agent_pb2.PingRequest(payload=b"x")))
        hoarders = [self.client() for _ in range(4)]
        for rpc in hoarders:
            rpc.send(whole[:-1], [file] * 8)
            self.rpc.agent.Ping()
        codes = []
        for rpc in hoarders:
            rpc.send(whole[-1:])
            _, response, _ = rpc.read_response()
            codes.append(response.status.code)
            if response.status.code == Code.RESOURCE_EXHAUSTED:
                self.assertRegex(response.status.message, rf"\b{name}\b")
        self.assertIn(Code.RESOURCE_EXHAUSTED, codes)
        goes_on()
        self.bystander()()

    @about("resolver_queue")
    def test_resolver_queue(self):
        self.start("resolver_queue=1", options=("--allow-dial", "*:*"))
        goes_on = self.bystander()
        context = sessions.context(self.rpc, "client")
        transport = session_pb2.Transport(dial=session_pb2.DialTransport(host="a" * 70, port=443))
        request = session_pb2.ConnectRequest(context=context, transport=transport)
        timing.eventually(lambda: self.burst(request), "more names wait than may")
        goes_on()
        response = self.rpc.session.Connect(request)
        self.assertEqual(response.progress.error.kind, common_pb2.ERROR_KIND_RESOLVE)

    def burst(self, request):
        """Whether any of many dials at once was refused for the queue."""
        calls = [self.rpc.submit("SessionService.Connect", request) for _ in range(50)]
        refused = 0
        for call in calls:
            try:
                self.assertEqual(self.rpc.wait(call).progress.error.kind, common_pb2.ERROR_KIND_RESOLVE)
            except RpcError as error:
                self.assertEqual(error.code, Code.RESOURCE_EXHAUSTED, error)
                self.assertIn("resolver_queue", error.message)
                refused += 1
        return refused

    def test_every_limit_has_its_test(self):
        self.assertTrue(LIMITS)
        self.assertEqual(LIMITS - TESTED, set())

    def test_refusals_are_counted(self):
        self.start("sessions=1")
        context = sessions.context(self.rpc, "both")
        self.rpc.session.Connect(context=context, transport=memory(), server_name="x")
        for _ in range(3):
            self.assertExhausted("sessions", self.rpc.session.Connect, context=context, transport=memory(), server_name="x")
        self.assertEqual(self.daemon.counters()["limits_hit"], 3)

    @each(name=sorted(LIMITS))
    def test_the_least_value_is_taken_and_one_less_is_not(self, name):
        """The daemon says itself from where to where a limit goes."""
        refusal = daemon.run("--limit", f"{name}=0", "--print-limits")
        self.assertEqual(refusal.returncode, 2, refusal)
        self.assertIn(name, refusal.stderr)
        huge = daemon.run("--limit", f"{name}=99999999999999999999", "--print-limits")
        self.assertEqual(huge.returncode, 2, huge)

    @each(text=("sessions", "sessions=", "sessions=x", "sessions=-1", "sessions=1.5", "sessions=1k", "=5", "",
                "no_such_limit=5", "Sessions=5", "sessions =5", "sessions=  5"))
    def test_an_assignment_that_is_none_is_a_wrong_command_line(self, text):
        done = daemon.run("--limit", text, "--print-limits")
        self.assertEqual(done.returncode, 2, done)
        self.assertTrue(done.stderr.strip())

    def test_memory_stays_below_the_printed_ceiling(self):
        """Small limits, all of them pressed against at once."""
        self.start("connections=30", "sessions=50", "contexts=60", "contexts_per_owner=60", "calls=200", f"request_bytes={4 * MIB}",
                   f"reply_bytes={4 * MIB}", f"reply_bytes_per_owner={4 * MIB}", f"request_bytes_per_owner={4 * MIB}")
        ceiling = self.rpc.agent.Limits().memory_bytes
        for _ in range(20):
            rpc = self.client()
            context = sessions.context(rpc, "server", pki.server("rsa"), [pki.root()])
            for _ in range(2):
                rpc.session.Accept(context=context, transport=memory())
            rpc.submit("AgentService.Ping", agent_pb2.PingRequest(payload=bytes(MIB)))
        self.rpc.agent.Ping()
        if not timing.SANITIZER:
            self.assertLess(self.daemon.rss_bytes(), ceiling)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
