"""SessionService.Decisions: does one call make the decisions of sessions and of listeners, and what becomes of them without it?"""

import os
import signal
import socket
import ssl
import subprocess

import grpc_client
import peers
import pki
import relays
import session as sessions
import timing
from e2e import Cases, Code, Daemon, E2ETest, RpcError, each
from peers import Program
from session import Background
from streams import GrpcCall, TtrpcCalls
from tlsagent.v1 import common_pb2, relay_pb2, session_pb2
from ttrpc_client import Client

METHOD = "SessionService.Decisions"
CODECS = ("ttrpc", "grpc")
DONE, WANT_READ, WANT_DECISION, FAILED = (common_pb2.STATE_DONE, common_pb2.STATE_WANT_READ,
                                          common_pb2.STATE_WANT_DECISION, common_pb2.STATE_FAILED)
SERVER_NAME, PSK_CLIENT, PSK_SERVER = (session_pb2.DECISION_KIND_SERVER_NAME, session_pb2.DECISION_KIND_PSK_CLIENT,
                                       session_pb2.DECISION_KIND_PSK_SERVER)
PROCEED = session_pb2.DecisionAnswer(proceed=session_pb2.Proceed())
KEY = bytes.fromhex("c033f52671c61c8128f7f8a40be88038bcf2b07a6eb3095c36e3759f0cf40837")
PSK_ONLY = {"ciphers": "PSK", "ciphersuites": "TLS_AES_128_GCM_SHA256"}
PSK_OPTIONS = {"tls12": ["-tls1_2", "-cipher", "PSK"], "tls13": ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"]}
FD = session_pb2.Transport(fd=session_pb2.FdTransport())


def refuse(alert):
    return session_pb2.DecisionAnswer(refuse_with_alert=alert)


def psk(key=KEY, identity=""):
    return session_pb2.DecisionAnswer(psk=session_pb2.PskAnswer(key=key, identity=identity))


class DecidingTest(E2ETest):
    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:*")

    def setUp(self):
        super().setUp()
        self.token = self.rpc.agent.Hello().token

    def call(self, codec, token=None):
        token = token or self.token
        client = Client(self.daemon.path, token) if codec == "ttrpc" else grpc_client.Client(self.daemon.path, token)
        self.addCleanup(client.close)
        if codec == "ttrpc":
            return TtrpcCalls(client).open(METHOD)
        call = GrpcCall(client, METHOD)
        self.addCleanup(call.requests.put, None)
        return call

    def clerk(self, codec, *contexts, token=None):
        """A call that is told the decisions of these contexts, or of all."""
        call = self.call(codec, token)
        call.send(begin=session_pb2.DecisionsBegin(contexts=contexts))
        self.assertEqual(call.next(), session_pb2.DecisionsResponse())
        return call

    def asking(self, *pair, decisions=("server_name",), **settings):
        return sessions.context(self.rpc, "server", list(pair) or [pki.server("ecdsa")], decisions=list(decisions), **settings)

    def accept(self, context, wait=None, server_name=pki.HOST, **fields):
        """An Accept under way, on a connection of its own, and the peer that shakes hands with it."""
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        puppet = peers.Puppet(far, peers.python_context(False, ca=pki.root()), False, server_name)
        rpc = self.client(self.token)
        request = session_pb2.AcceptRequest(context=context, transport=FD, **fields)
        if wait is not None:
            request.wait.milliseconds = wait
        pending = rpc.submit("SessionService.Accept", request, fds=[near.fileno()])
        near.close()
        return rpc, pending, puppet, Background(puppet.handshake)

    def assertServes(self, rpc, handle, puppet):
        rpc.session.Write(session=handle, data=b"hello")
        self.assertEqual(puppet.recv(), b"hello")
        rpc.session.Close(session=handle)

    def assertAnswers(self, call, context):
        """It is still there, and asked."""
        rpc, pending, puppet, handshake = self.accept(context)
        call.send(id=call.next().id, answer=PROCEED)
        opened = rpc.wait(pending)
        handshake.result()
        self.assertServes(rpc, opened.session, puppet)

    def refused(self, call):
        with self.assertRaises(RpcError) as caught:
            while call.next() is not None:
                pass
        return caught.exception.code


class Sessions(DecidingTest):
    @each(codec=CODECS, some=("all", "one"), name={"a_name": pki.HOST, "none": None})
    def test_an_operation_waits_for_the_answer(self, codec, some, name):
        context = self.asking()
        call = self.clerk(codec, *([context] if some == "one" else []))
        rpc, pending, puppet, handshake = self.accept(context, server_name=name) if name else self.nameless(context)
        asked = call.next()
        self.assertEqual((asked.decision.kind, asked.context, asked.refused), (SERVER_NAME, context, ""))
        self.assertEqual((asked.decision.HasField("server_name"), asked.decision.server_name.value), (name is not None, name or ""))
        self.assertEqual(self.rpc.session.Describe(session=asked.session).state, WANT_DECISION)
        call.send(id=asked.id, answer=PROCEED)
        opened = rpc.wait(pending)
        self.assertEqual((opened.progress.state, opened.session), (DONE, asked.session))
        handshake.result()
        self.assertServes(rpc, opened.session, puppet)

    def nameless(self, context):
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        puppet = peers.Puppet(far, peers.python_context(False), False)
        rpc = self.client(self.token)
        pending = rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(context=context, transport=FD), fds=[near.fileno()])
        near.close()
        return rpc, pending, puppet, Background(puppet.handshake)

    @each(codec=CODECS)
    def test_another_context_serves(self, codec):
        context, other = self.asking(), sessions.context(self.rpc, "server", pki.server("rsa"))
        call = self.clerk(codec)
        rpc, pending, puppet, handshake = self.accept(context)
        call.send(id=call.next().id, answer=PROCEED, context=other)
        opened = rpc.wait(pending)
        handshake.result()
        self.assertEqual(puppet.tls.getpeercert(True), pki.server("rsa").der)
        self.assertServes(rpc, opened.session, puppet)

    @each(codec=CODECS)
    def test_a_relay_in_one_call(self, codec):
        context = self.asking()
        call = self.clerk(codec)
        rpc, pending, puppet, handshake = self.accept(context, relay=session_pb2.RelayOptions(forget=True))
        call.send(id=call.next().id, answer=PROCEED)
        opened = rpc.wait(pending)
        self.assertEqual(opened.progress.state, DONE)
        handshake.result()
        with socket.socket(fileno=pending.fds[0]) as plain:
            plain.sendall(b"hello")
            self.assertEqual(puppet.recv(), b"hello")

    @each(codec=CODECS)
    def test_a_refusal_sends_its_alert(self, codec):
        call = self.clerk(codec)
        rpc, pending, _, handshake = self.accept(self.asking())
        call.send(id=call.next().id, answer=refuse(112))
        opened = rpc.wait(pending)
        self.assertEqual((opened.progress.state, opened.progress.error.alert.value), (FAILED, 112))
        with self.assertRaisesRegex(ssl.SSLError, "UNRECOGNIZED_NAME"):
            handshake.result()

    @each(codec=CODECS)
    def test_an_answer_that_does_not_fit_comes_back(self, codec):
        context = self.asking()
        call = self.clerk(codec)
        rpc, pending, puppet, handshake = self.accept(context)
        number = call.next().id
        client = sessions.context(self.rpc, "client", trust=[pki.root()])
        for wrong in ({"answer": psk()}, {"answer": refuse(256)}, {}, {"answer": session_pb2.DecisionAnswer()},
                      {"answer": PROCEED, "context": 1}, {"answer": PROCEED, "context": client}):
            call.send(id=number, **wrong)
            told = call.next()
            self.assertEqual((told.id, told.HasField("decision")), (number, False), wrong)
            self.assertTrue(told.refused, wrong)
        call.send(id=number, answer=PROCEED)
        opened = rpc.wait(pending)
        handshake.result()
        self.assertServes(rpc, opened.session, puppet)

    @each(codec=CODECS)
    def test_ids_that_nobody_waits_for_are_ignored(self, codec):
        context = self.asking()
        call = self.clerk(codec)
        for number in (0, 1, 77, 2**64 - 1):
            call.send(id=number, answer=PROCEED)
        self.assertAnswers(call, context)

    @each(codec=CODECS)
    def test_a_wait_runs_out_and_the_answer_still_counts(self, codec):
        call = self.clerk(codec)
        rpc, pending, puppet, handshake = self.accept(self.asking(), wait=200)
        asked = call.next()
        opened = rpc.wait(pending)
        self.assertEqual((opened.progress.state, opened.progress.decision.server_name.value), (WANT_DECISION, pki.HOST))
        waiting = rpc.submit("SessionService.Handshake", session_pb2.HandshakeRequest(session=opened.session))
        call.send(id=asked.id, answer=PROCEED)
        self.assertEqual(rpc.wait(waiting).progress.state, DONE)
        handshake.result()
        self.assertServes(rpc, opened.session, puppet)

    @each(codec=CODECS)
    def test_the_operation_itself_may_answer(self, codec):
        context = self.asking()
        call = self.clerk(codec)
        rpc, pending, puppet, handshake = self.accept(context, wait=200)
        asked = call.next()
        opened = rpc.wait(pending)
        self.assertEqual(rpc.session.Handshake(session=opened.session, decision=PROCEED).progress.state, DONE)
        handshake.result()
        call.send(id=asked.id, answer=PROCEED)  # too late, and no harm
        self.assertServes(rpc, opened.session, puppet)
        self.assertAnswers(call, context)

    @each(codec=CODECS)
    def test_a_session_that_is_closed_meanwhile(self, codec):
        context = self.asking()
        call = self.clerk(codec)
        rpc, pending, _, handshake = self.accept(context)
        asked = call.next()
        self.rpc.session.Close(session=asked.session)
        self.assertEqual(rpc.wait(pending).progress.error.kind, common_pb2.ERROR_KIND_CLOSED_HERE)
        with self.assertRaises((ssl.SSLError, OSError)):
            handshake.result()
        call.send(id=asked.id, answer=PROCEED)
        self.assertAnswers(call, context)

    @each(codec=CODECS)
    def test_a_deadline_ends_the_wait(self, codec):
        context = self.asking()
        call = self.clerk(codec)
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        handshake = Background(peers.Puppet(far, peers.python_context(False, ca=pki.root()), False, pki.HOST).handshake)
        self.assertCode(Code.DEADLINE_EXCEEDED, self.client(self.token).session.Accept, context=context, transport=FD,
                        fds=[near.fileno()], timeout_nano=300_000_000)
        near.close()
        with self.assertRaises((ssl.SSLError, OSError)):
            handshake.result()
        call.send(id=call.next().id, answer=PROCEED)
        self.assertAnswers(call, context)

    @each(codec=CODECS, how=("half_close", "cancel", "vanish"))
    def test_who_decides_goes_in_the_middle(self, codec, how):
        context = self.asking()
        call = self.clerk(codec)
        rpc, pending, puppet, handshake = self.accept(context)
        call.next()
        getattr(call, how)()
        if how == "half_close":
            self.assertIsNone(call.next())
        opened = rpc.wait(pending)
        self.assertEqual(opened.progress.state, WANT_DECISION)
        waiting = rpc.session.Handshake(session=opened.session)  # nobody sits there
        self.assertEqual(waiting.progress.state, WANT_DECISION)
        successor = self.clerk(codec, context)
        again = rpc.submit("SessionService.Handshake", session_pb2.HandshakeRequest(session=opened.session))
        successor.send(id=successor.next().id, answer=PROCEED)
        self.assertEqual(rpc.wait(again).progress.state, DONE)
        handshake.result()
        self.assertServes(rpc, opened.session, puppet)

    @each(codec=CODECS)
    def test_the_memory_path_is_as_ever(self, codec):
        call = self.clerk(codec)
        hello = self.rpc.session.Connect(context=sessions.context(self.rpc, "client", trust=[pki.root()]), server_name=pki.HOST,
                                         transport=session_pb2.Transport(memory=session_pb2.MemoryTransport())).progress.output
        memory = session_pb2.MemoryTransport(feed=session_pb2.Feed(data=hello))
        opened = self.rpc.session.Accept(context=self.asking(), transport=session_pb2.Transport(memory=memory))
        self.assertEqual(opened.progress.state, WANT_DECISION)
        self.assertEqual(self.rpc.session.Handshake(session=opened.session, decision=PROCEED).progress.state, WANT_READ)
        self.assertAnswers(call, self.asking())

    @each(codec=CODECS)
    def test_fifty_at_once(self, codec):
        context = self.asking()
        call = self.clerk(codec)
        waiting = [self.accept(context) for _ in range(50)]
        asked = [call.next() for _ in waiting]
        self.assertEqual(len({one.session for one in asked}), 50)
        for one in reversed(asked):
            call.send(id=one.id, answer=PROCEED)
        for rpc, pending, puppet, handshake in waiting:
            opened = rpc.wait(pending)
            handshake.result()
            self.assertServes(rpc, opened.session, puppet)


class Clerks(DecidingTest):
    @each(codec=CODECS)
    def test_there_is_one_for_a_context(self, codec):
        first, second = self.asking(), self.asking()
        call = self.clerk(codec, first)
        for contexts in ([first], [second, first], []):
            late = self.call(codec)
            late.send(begin=session_pb2.DecisionsBegin(contexts=contexts))
            self.assertEqual(self.refused(late), Code.ALREADY_EXISTS)
        other = self.clerk(codec, second)
        self.assertAnswers(other, second)
        self.assertAnswers(call, first)
        call.half_close()
        self.assertIsNone(call.next())
        self.assertAnswers(self.clerk(codec, first), first)

    @each(codec=CODECS)
    def test_strangers_are_told_nothing(self, codec):
        context = self.asking()
        stranger = self.client()
        token = stranger.agent.Hello().token
        nosy = self.clerk(codec, token=token)
        theirs = self.call(codec, token)
        theirs.send(begin=session_pb2.DecisionsBegin(contexts=[context]))
        self.assertEqual(self.refused(theirs), Code.NOT_FOUND)
        call = self.clerk(codec)
        rpc, pending, puppet, handshake = self.accept(context)
        number = call.next().id
        nosy.send(id=number, answer=refuse(112))
        nosy.half_close()
        self.assertIsNone(nosy.next(), "it was told something")
        call.send(id=number, answer=PROCEED)
        opened = rpc.wait(pending)
        handshake.result()
        self.assertServes(rpc, opened.session, puppet)

    @each(codec=CODECS)
    def test_first_messages_that_make_no_sense(self, codec):
        for first, code in (({"id": 1}, Code.INVALID_ARGUMENT), ({}, Code.INVALID_ARGUMENT),
                            ({"begin": session_pb2.DecisionsBegin(contexts=[0])}, Code.NOT_FOUND),
                            ({"begin": session_pb2.DecisionsBegin(contexts=[1] * 257)}, Code.INVALID_ARGUMENT)):
            call = self.call(codec)
            call.send(**first)
            self.assertEqual(self.refused(call), code, first)
        call = self.call(codec)
        call.half_close()
        self.assertEqual(self.refused(call), Code.INVALID_ARGUMENT)

    @each(codec=CODECS)
    def test_a_second_beginning_ends_it(self, codec):
        call = self.clerk(codec)
        call.send(begin=session_pb2.DecisionsBegin())
        self.assertEqual(self.refused(call), Code.INVALID_ARGUMENT)
        self.assertAnswers(self.clerk(codec), self.asking())

    @each(codec=CODECS)
    def test_one_that_does_not_read_is_waited_for_in_vain(self, codec):
        """Beyond 256 questions nobody is asked."""
        context = self.asking()
        call = self.clerk(codec)
        near = []
        hello = self.rpc.session.Connect(context=sessions.context(self.rpc, "client", trust=[pki.root()]), server_name=pki.HOST,
                                         transport=session_pb2.Transport(memory=session_pb2.MemoryTransport())).progress.output
        rpcs = [self.client(self.token) for _ in range(8)]
        states = []
        for n in range(264):
            mine, far = sessions.tcp_pair()
            self.addCleanup(far.close)
            far.sendall(hello)
            rpc = rpcs[n % 8]
            near.append((rpc, rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(
                context=context, transport=FD, wait=session_pb2.Wait(milliseconds=60000)), fds=[mine.fileno()])))
            mine.close()
        # 8 are answered at once: those that found nobody
        while len(states) < 8:
            for rpc in rpcs:
                rpc.sock.settimeout(0.05)
                try:
                    stream_id = rpc.wait_any()
                except TimeoutError:
                    continue
                finally:
                    rpc.sock.settimeout(timing.PATIENCE)
                states.append(rpc.wait(rpc.in_flight[stream_id]).progress.state)
        self.assertEqual(set(states), {WANT_DECISION})
        asked = [call.next() for _ in range(256)]
        self.assertEqual(len({one.id for one in asked}), 256)
        call.half_close()
        self.assertIsNone(call.next())
        for rpc, pending in near:
            if pending.stream_id in rpc.in_flight:
                self.assertEqual(rpc.wait(pending).progress.state, WANT_DECISION)


class Listeners(DecidingTest):
    def listen(self, context, seconds=0):
        """A listener that echoes, and its address."""
        echo = relays.Echo()
        self.addCleanup(echo.close)
        listener, address = relays.listen(relays.LOOPBACK + ":0")
        self.addCleanup(listener.close)
        host, _, port = echo.address.rpartition(":")
        target = relay_pb2.RelayTarget(tcp=session_pb2.DialTransport(host=host, port=int(port)))
        handle = self.rpc.relay.Listen(context=context, role=common_pb2.ROLE_SERVER, fd=0, to=target, keep_ends=True,
                                       handshake_seconds=seconds, fds=[listener.fileno()]).listener
        self.addCleanup(self.close_listener, handle)
        return handle, int(address.rpartition(":")[2])

    def close_listener(self, handle):
        try:
            self.rpc.relay.Close(listener=handle)
        except RpcError:
            pass  # the test has

    def decide(self, call, others):
        """Answers by the name that is asked for."""
        asked = call.next()
        call.send(id=asked.id, answer=PROCEED, context=others.get(asked.decision.server_name.value, 0))
        return asked

    @each(codec=CODECS, client=("openssl", "curl", "python"), name=("first.test", "second.test"))
    def test_the_name_chooses_the_certificate(self, codec, client, name):
        first, second = (self.issued(host, kind) for host, kind in (("first.test", "ecdsa"), ("second.test", "rsa")))
        context = self.asking(first)
        others = {"second.test": sessions.context(self.rpc, "server", second)}
        call = self.clerk(codec, context)
        listener, port = self.listen(context)
        deciding = Background(self.decide, call, others)
        shown = getattr(self, "shown_by_" + client)(port, name)
        asked = deciding.result()
        self.assertEqual((asked.context, asked.session, asked.decision.server_name.value), (context, 0, name))
        self.assertEqual(shown, {"first.test": first, "second.test": second}[name].der)

    def issued(self, host, kind):
        return pki.issue(f"deciding-{host}-{kind}", issuer=pki.root(), kind=kind, subject="/CN=" + host,
                         extensions=("basicConstraints=CA:FALSE", "subjectAltName=DNS:" + host, "extendedKeyUsage=serverAuth"))

    def shown_by_python(self, port, name):
        with socket.create_connection((relays.LOOPBACK, port), timing.PATIENCE) as sock:
            with peers.python_context(False, ca=pki.root()).wrap_socket(sock, server_hostname=name) as tls:
                tls.sendall(b"hello")
                self.assertEqual(tls.recv(5), b"hello")
                return tls.getpeercert(True)

    def shown_by_openssl(self, port, name):
        done = subprocess.run(["openssl", "s_client", "-connect", f"{relays.LOOPBACK}:{port}", "-servername", name, "-CAfile",
                               pki.root().path, "-verify_return_error", "-verify_hostname", name], input=b"", capture_output=True,
                              timeout=timing.PATIENCE, check=True)
        pem = done.stdout[done.stdout.index(b"-----BEGIN"):done.stdout.index(b"-----END CERTIFICATE-----") + 26]
        return ssl.PEM_cert_to_DER_cert(pem.decode())

    def shown_by_curl(self, port, name):
        done = subprocess.run(["curl", "--silent", "--insecure", "--noproxy", "*", "--http0.9", "--max-time", "5", "--write-out",
                               "%{certs}", "--resolve", f"{name}:{port}:{relays.LOOPBACK}", "--output", os.devnull,
                               "--data", "x", f"https://{name}:{port}/"], capture_output=True, check=False)
        if b"-----BEGIN" not in done.stdout:
            self.skipTest("this curl doesn't tell certificates")
        pem = done.stdout[done.stdout.index(b"-----BEGIN"):done.stdout.index(b"-----END CERTIFICATE-----") + 26]
        return ssl.PEM_cert_to_DER_cert(pem.decode())

    @each(codec=CODECS)
    def test_without_anybody_the_handshake_fails(self, codec):
        context = self.asking()
        listener, port = self.listen(context)
        self.assertFails(port, listener)
        call = self.clerk(codec)
        self.decided(call, port)
        call.half_close()
        self.assertIsNone(call.next())
        self.assertFails(port, listener)

    def decided(self, call, port):
        deciding = Background(self.decide, call, {})
        with socket.create_connection((relays.LOOPBACK, port), timing.PATIENCE) as sock:
            with peers.python_context(False, ca=pki.root()).wrap_socket(sock, server_hostname=pki.HOST) as tls:
                tls.sendall(b"hello")
                self.assertEqual(tls.recv(5), b"hello")
                tls.unwrap()
        deciding.result()

    def end_of(self, listener):
        """How a handshake of the listener's failed."""
        while True:
            for end in self.rpc.relay.Next(listener=listener).ends:
                if end.stage == relay_pb2.RELAY_STAGE_HANDSHAKE:
                    return end.end

    def assertFails(self, port, listener):
        with self.assertRaises((ssl.SSLError, OSError)):
            with socket.create_connection((relays.LOOPBACK, port), timing.PATIENCE) as sock:
                peers.python_context(False, ca=pki.root()).wrap_socket(sock, server_hostname=pki.HOST)
        end = self.end_of(listener)
        self.assertEqual((end.state, end.error.kind), (FAILED, common_pb2.ERROR_KIND_INVALID))

    @each(codec=CODECS, how=("half_close", "cancel", "vanish"))
    def test_who_decides_goes_in_the_middle(self, codec, how):
        listener, port = self.listen(self.asking())
        call = self.clerk(codec)

        def go():
            call.next()
            getattr(call, how)()

        going = Background(go)
        self.assertFails(port, listener)
        going.result()

    @each(codec=CODECS)
    def test_who_never_answers_is_waited_for_as_long_as_a_handshake_may_take(self, codec):
        listener, port = self.listen(self.asking(), seconds=1)
        call = self.clerk(codec)
        self.assertFails(port, listener)
        call.send(id=call.next().id, answer=PROCEED)  # too late
        self.decided(call, port)

    @each(codec=CODECS)
    def test_the_listener_is_closed_meanwhile(self, codec):
        context = self.asking()
        listener, port = self.listen(context)
        call = self.clerk(codec)
        with socket.create_connection((relays.LOOPBACK, port), timing.PATIENCE) as sock:
            puppet = peers.Puppet(sock, peers.python_context(False, ca=pki.root()), False, pki.HOST)
            shaking = Background(puppet.handshake)
            asked = call.next()
            self.rpc.relay.Close(listener=listener)
            with self.assertRaises((ssl.SSLError, OSError)):
                shaking.result()
        call.send(id=asked.id, answer=PROCEED)
        self.assertAnswers(call, context)


class Keys(DecidingTest):
    def setUp(self):
        if timing.SANITIZER == "tsan":  # it ends the program when a fibre of OpenSSL's is gone back to
            self.skipTest("ThreadSanitizer knows no fibres")
        super().setUp()

    @each(codec=CODECS, version=("tls12", "tls13"))
    def test_a_server_has_a_key(self, codec, version):
        context = sessions.context(self.rpc, "server", decisions=["psk_server"], **PSK_ONLY, **sessions.only(version))
        call = self.clerk(codec, context)
        rpc = self.client(self.token)
        with socket.create_server((peers.LOOPBACK, 0)) as listener:
            client = Program("openssl", "s_client", "-connect", f"{peers.LOOPBACK}:{listener.getsockname()[1]}", "-psk", KEY.hex(),
                             "-psk_identity", "me", "-quiet", *PSK_OPTIONS[version])
            self.addCleanup(client.stop)
            sock = listener.accept()[0]
        self.addCleanup(sock.close)
        pending = rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(context=context, transport=FD), fds=[sock.fileno()])
        asked = call.next()
        self.assertEqual((asked.decision.kind, asked.decision.psk_identity.value), (PSK_SERVER, "me"))
        for wrong in (PROCEED, psk(bytes(513)), psk(identity="me")):
            call.send(id=asked.id, answer=wrong)
            self.assertTrue(call.next().refused)
        call.send(id=asked.id, answer=psk())
        opened = rpc.wait(pending)
        self.assertEqual(opened.progress.state, DONE, opened.progress)
        rpc.session.Write(session=opened.session, data=b"hello")
        client.wait_for(b"hello")
        rpc.session.Close(session=opened.session)

    @each(codec=CODECS, version=("tls12", "tls13"))
    def test_a_client_has_a_key(self, codec, version):
        server = Program("openssl", "s_server", "-accept", f"{peers.LOOPBACK}:0", "-rev", "-nocert", "-psk", KEY.hex(),
                         "-psk_identity", "me", *PSK_OPTIONS[version])
        self.addCleanup(server.stop)
        port = int(server.wait_for(rb"ACCEPT 127\.0\.0\.1:(\d+)")[1])
        context = sessions.context(self.rpc, "client", decisions=["psk_client"], verify_mode=1, check_hostname=False, **PSK_ONLY,
                                   **sessions.only(version))
        call = self.clerk(codec)
        rpc = self.client(self.token)
        dial = session_pb2.Transport(dial=session_pb2.DialTransport(host=peers.LOOPBACK, port=port))
        pending = rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(context=context, transport=dial,
                                                                                  first_write=peers.QUESTION))
        asked = call.next()
        self.assertEqual(asked.decision.kind, PSK_CLIENT)
        call.send(id=asked.id, answer=psk(identity="i" * 257))
        self.assertTrue(call.next().refused)
        call.send(id=asked.id, answer=psk(identity="me"))
        opened = rpc.wait(pending)
        self.assertEqual(opened.progress.state, DONE, opened.progress)
        self.assertEqual(rpc.session.Read(session=opened.session).data, peers.OpensslServer.ANSWER)
        rpc.session.Close(session=opened.session)

    @each(codec=CODECS)
    def test_those_that_wait_end_with_their_client(self, codec):
        context = sessions.context(self.rpc, "server", decisions=["psk_server"], **PSK_ONLY, **sessions.only("tls13"))
        call = self.clerk(codec)
        rpc = self.client(self.token)
        with socket.create_server((peers.LOOPBACK, 0)) as listener:
            client = Program("openssl", "s_client", "-connect", f"{peers.LOOPBACK}:{listener.getsockname()[1]}", "-psk", KEY.hex(),
                             "-psk_identity", "me", "-quiet", *PSK_OPTIONS["tls13"])
            self.addCleanup(client.stop)
            sock = listener.accept()[0]
        rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(context=context, transport=FD), fds=[sock.fileno()])
        sock.close()
        call.next()
        rpc.close()
        call.vanish()
        self.rpc.close()
        self.daemon.wait_idle()


class Endings(Cases):
    @each(codec=CODECS)
    def test_a_daemon_that_stops_does_not_wait_for_it(self, codec):
        daemon = Daemon().start()
        self.addCleanup(daemon.kill)
        client = daemon.client() if codec == "ttrpc" else grpc_client.Client(daemon.path)
        self.addCleanup(client.close)
        call = TtrpcCalls(client).open(METHOD) if codec == "ttrpc" else GrpcCall(client, METHOD)
        call.send(begin=session_pb2.DecisionsBegin())
        call.next()
        daemon.send_signal(signal.SIGTERM)
        self.assertIsNone(call.next())
        if codec == "grpc":
            call.requests.put(None)
        self.assertEqual(daemon.wait(), 0)
