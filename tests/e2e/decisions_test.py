"""Decisions and events: is the client asked what he wants to decide, does his answer count, and is he told what happens?"""

import os
import socket
import ssl
import subprocess
import sys

import paths
import peers
import pki
import session as sessions
import timing
from e2e import Code, E2ETest, each
from peers import Program
from session import Background, TlsFailure
from tlsagent.v1 import common_pb2, session_pb2
from ttrpc_client import Client

PATHS = ("memory", "fd")
DONE, WANT_READ, WANT_DECISION, FAILED = (common_pb2.STATE_DONE, common_pb2.STATE_WANT_READ,
                                          common_pb2.STATE_WANT_DECISION, common_pb2.STATE_FAILED)
SERVER_NAME, PSK_CLIENT, PSK_SERVER = (session_pb2.DECISION_KIND_SERVER_NAME, session_pb2.DECISION_KIND_PSK_CLIENT,
                                       session_pb2.DECISION_KIND_PSK_SERVER)
PROCEED = session_pb2.DecisionAnswer(proceed=session_pb2.Proceed())
KEY = bytes.fromhex("c033f52671c61c8128f7f8a40be88038bcf2b07a6eb3095c36e3759f0cf40837")


def refuse(alert):
    return session_pb2.DecisionAnswer(refuse_with_alert=alert)


def psk(key=KEY, identity=""):
    return session_pb2.DecisionAnswer(psk=session_pb2.PskAnswer(key=key, identity=identity))


class DecisionTest(paths.PathTests, E2ETest):
    def asking(self, *pair, events=(), **settings):
        """A server's context that asks about the server name."""
        return self.context("server", *(pair or [pki.server("ecdsa")]), decisions=["server_name"], events=events, **settings)

    def open(self, path, rpc=None):
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        kind = sessions.MemorySession if path == "memory" else sessions.FdSession
        return kind(rpc or self.rpc, near), far

    def step(self, session, method="Handshake", first=False, **fields):
        """One call, whatever its answer."""
        if isinstance(session, sessions.MemorySession):
            return session.step(method, first, **fields)
        if first:
            fields.update(transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0)), fds=[session.sock.fileno()])
        else:
            fields.update(session=session.handle)
        response = getattr(session.rpc.session, method)(**fields)
        session.handle = response.session if first else session.handle
        return response

    def shake(self, session, decide, method="Accept", **fields):
        """Shakes hands; decide(decision) gives the answers. session.events is all that was reported."""
        response = self.step(session, method, True, **fields)
        session.events = list(response.progress.events)
        while response.progress.state not in (DONE, FAILED):
            if response.progress.state == WANT_DECISION:
                self.assertNotEqual(session.handle, 0)
                response = self.step(session, decision=decide(response.progress.decision))
            else:
                session.receive()
                response = self.step(session)
            session.events += response.progress.events
        session.negotiated = response.negotiated
        if response.progress.state == FAILED:
            raise TlsFailure(response)
        return response

    def asked(self, path, context, server_name=pki.HOST, rpc=None, version=None):
        """A server session that waits for the decision, and the handshake of its peer in the background."""
        session, far = self.open(path, rpc)
        puppet = self.puppet(far, False, server_name, version=version)
        handshake = Background(puppet.handshake)
        response = self.step(session, "Accept", True, context=context)
        while response.progress.state == WANT_READ:
            session.receive()
            response = self.step(session)
        self.assertEqual(response.progress.state, WANT_DECISION)
        return session, puppet, handshake

    def num_sessions(self):
        return self.daemon.leftovers().get("session", 0)

    def finish(self, session, response):
        while response.progress.state == WANT_READ:
            session.receive()
            response = self.step(session)
        self.assertEqual(response.progress.state, DONE)


class ServerNames(DecisionTest):
    @each(path=PATHS, version=paths.VERSIONS, name={"a_name": pki.HOST, "none": None})
    def test_a_server_is_asked_about(self, path, version, name):
        seen = []

        def decide(decision):
            seen.append(decision)
            return PROCEED

        session, far = self.open(path)
        puppet = self.puppet(far, False, name, version=version)
        handshake = Background(puppet.handshake)
        self.shake(session, decide, context=self.asking())
        handshake.result()
        self.assertEqual([(d.kind, d.HasField("server_name"), d.server_name.value) for d in seen],
                         [(SERVER_NAME, name is not None, name or "")])
        self.assertEqual(session.negotiated.server_name, name or "")
        session.write(b"hello")
        self.assertEqual(puppet.recv(), b"hello")
        session.close()

    @each(path=PATHS, version=paths.VERSIONS)
    def test_a_refusal_sends_its_alert(self, path, version):
        session, far = self.open(path)
        handshake = Background(self.puppet(far, False, pki.HOST, version=version).handshake)
        failure = self.assertFails(self.shake, session, lambda _: refuse(112), context=self.asking())
        self.assertEqual((failure.error.library, failure.error.reason), ("SSL", "CALLBACK_FAILED"))
        self.assertEqual(failure.error.alert.value, 112)
        with self.assertRaisesRegex(ssl.SSLError, "UNRECOGNIZED_NAME"):
            handshake.result()
        session.close()

    @each(path=PATHS, version=paths.VERSIONS)
    def test_another_context_serves(self, path, version):
        other = self.context("server", pki.server("rsa"), alpn=[b"other"])

        def decide(_):
            self.rpc.session.SetContext(session=session.handle, context=other)
            return PROCEED

        session, far = self.open(path)
        puppet = self.puppet(far, False, pki.HOST, version=version, ca=pki.root(), alpn=(b"one", b"other"))
        handshake = Background(puppet.handshake)
        self.shake(session, decide, context=self.asking(alpn=[b"one"]))
        handshake.result()
        self.assertEqual(puppet.tls.getpeercert(True), pki.server("rsa").der)
        self.assertEqual(session.negotiated.alpn, b"other")
        session.close()

    @each(path=PATHS)
    def test_the_contexts_may_be_released_meanwhile(self, path):
        first, other = self.asking(), self.context("server", pki.server("rsa"))
        session, puppet, handshake = self.asked(path, first)
        self.rpc.session.SetContext(session=session.handle, context=other)
        self.rpc.context.Release(context=first)
        self.rpc.context.Release(context=other)
        self.finish(session, self.step(session, decision=PROCEED))
        handshake.result()
        self.assertEqual(puppet.tls.getpeercert(True), pki.server("rsa").der)
        session.close()

    @each(path=PATHS)
    def test_it_is_asked_once_with_a_hello_retry_request(self, path):
        asked = []
        session, far = self.open(path)
        with socket.create_server((peers.LOOPBACK, 0)) as listener:
            client = Program("openssl", "s_client", "-connect", f"{peers.LOOPBACK}:{listener.getsockname()[1]}",
                             "-servername", pki.HOST, "-groups", "X25519:P-384", "-quiet", "-CAfile", pki.root().path)
            self.addCleanup(client.stop)
            session.sock.close()
            session.sock = listener.accept()[0]
            self.addCleanup(session.sock.close)
        self.shake(session, lambda decision: asked.append(decision) or PROCEED,
                   context=self.asking(groups="P-384", events=["messages"]))
        hellos = [e for e in session.events if e.message.content_type == 22 and e.message.data[0] == 1]
        self.assertEqual((len(hellos), len(asked)), (2, 1))
        session.close()

    @each(path=PATHS)
    def test_answers_have_their_time(self, path):
        context = self.asking()
        session, _, handshake = self.asked(path, context)
        for wrong in (psk(), refuse(256), session_pb2.DecisionAnswer()):
            self.assertCode(Code.INVALID_ARGUMENT, self.step, session, decision=wrong)
            again = self.step(session)
            self.assertEqual((again.progress.state, again.progress.decision.server_name.value), (WANT_DECISION, pki.HOST))
        for method, fields in (("Read", {}), ("Write", {"data": b"x"})):
            self.assertEqual(self.step(session, method, **fields).progress.state, WANT_DECISION)
        self.assertEqual(session.describe().state, WANT_DECISION)
        self.finish(session, self.step(session, decision=PROCEED))
        handshake.result()
        self.assertCode(Code.FAILED_PRECONDITION, self.step, session, decision=PROCEED)
        self.assertCode(Code.FAILED_PRECONDITION, self.rpc.session.SetContext, session=session.handle, context=context)
        self.assertEqual(session.describe().state, DONE)
        session.close()

    @each(path=PATHS)
    def test_any_connection_of_the_client_may_answer_and_nobody_else(self, path):
        context = self.asking()
        session, _, handshake = self.asked(path, context)
        token = self.rpc.agent.Hello().token
        stranger, same = self.client(), self.client(token)
        for call in (lambda: stranger.session.Handshake(session=session.handle, decision=PROCEED),
                     lambda: stranger.session.SetContext(session=session.handle, context=context)):
            self.assertCode(Code.NOT_FOUND, call)
        session.rpc = same
        self.finish(session, self.step(session, decision=PROCEED))
        handshake.result()
        session.close()

    @each(path=PATHS)
    def test_the_wrong_context_is_refused(self, path):
        session, _, handshake = self.asked(path, self.asking())
        self.assertCode(Code.INVALID_ARGUMENT, self.rpc.session.SetContext, session=session.handle, context=self.trusting())
        self.assertCode(Code.NOT_FOUND, self.rpc.session.SetContext, session=session.handle, context=1)
        self.finish(session, self.step(session, decision=PROCEED))
        handshake.result()
        session.close()

    def test_a_server_that_has_seen_nothing_can_be_switched(self):
        session, far = self.open("fd")
        response = self.step(session, "Accept", True, context=self.asking(), wait=session_pb2.Wait())
        self.assertEqual(response.progress.state, WANT_READ)
        self.rpc.session.SetContext(session=session.handle, context=self.context("server", pki.server("rsa")))
        puppet = self.puppet(far, False, pki.HOST)
        handshake = Background(puppet.handshake)
        self.assertEqual(self.step(session).progress.state, DONE)
        handshake.result()
        self.assertEqual(puppet.tls.getpeercert(True), pki.server("rsa").der)
        session.close()

    @each(path=PATHS)
    def test_those_that_wait_end_with_their_client(self, path):
        timing.eventually(lambda: self.num_sessions() == 0, "those of other tests are gone")
        with Client(self.daemon.path) as goes:
            context = sessions.context(goes, "server", pki.server("ecdsa"), decisions=["server_name"])
            waiting = [self.asked(path, context, rpc=goes) for _ in range(5)]
            self.assertEqual(self.num_sessions(), 5)
        timing.eventually(lambda: self.num_sessions() == 0, "they are gone")
        for session, _, handshake in waiting:
            session.sock.close()  # the daemon's copy is closed already
            with self.assertRaises(ssl.SSLError):
                handshake.result()

    @each(path=PATHS)
    def test_200_that_wait_hold_up_nobody(self, path):
        context = self.asking()
        hello = self.rpc.session.Connect(context=self.trusting(), server_name=pki.HOST, transport=session_pb2.Transport(
            memory=session_pb2.MemoryTransport())).progress.output
        waiting = []
        for _ in range(200):
            session, far = self.open(path)
            far.sendall(hello)
            if path == "memory":
                session.receive()
            self.assertEqual(self.step(session, "Accept", True, context=context).progress.state, WANT_DECISION)
            waiting.append(session)
        served, puppet = self.established_by("tls13")
        served.write(b"still served")
        self.assertEqual(puppet.recv(), b"still served")
        served.close()
        for session in waiting:
            session.close()

    def established_by(self, version):
        self.PATH = "memory"
        return self.established(version, "server")


class Keys(DecisionTest):
    """Pre-shared keys, with openssl(1) at the other end."""

    PSK_ONLY = {"ciphers": "PSK", "ciphersuites": "TLS_AES_128_GCM_SHA256"}
    OPTIONS = {"tls12": ["-tls1_2", "-cipher", "PSK"], "tls13": ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"]}

    def setUp(self):
        if timing.SANITIZER == "tsan":  # it ends the program when a fibre of OpenSSL's is gone back to
            self.skipTest("ThreadSanitizer knows no fibres")
        super().setUp()

    def server_context(self, version, *pair, **settings):
        return self.context("server", *pair, decisions=["psk_server"], **self.PSK_ONLY, **sessions.only(version), **settings)

    def client_context(self, version, **settings):
        return self.context("client", decisions=["psk_client"], verify_mode=1, check_hostname=False, **self.PSK_ONLY,
                            **sessions.only(version), **settings)

    def s_server(self, version, *options):
        server = Program("openssl", "s_server", "-accept", f"{peers.LOOPBACK}:0", "-rev", "-nocert", "-psk", KEY.hex(),
                         "-psk_identity", "me", *self.OPTIONS[version], *options)
        self.addCleanup(server.stop)
        return socket.create_connection((peers.LOOPBACK, int(server.wait_for(rb"ACCEPT 127\.0\.0\.1:(\d+)")[1])))

    def s_client(self, version, *options, key=KEY):
        with socket.create_server((peers.LOOPBACK, 0)) as listener:
            client = Program("openssl", "s_client", "-connect", f"{peers.LOOPBACK}:{listener.getsockname()[1]}", "-psk",
                             key.hex(), "-psk_identity", "me", "-quiet", *self.OPTIONS[version], *options)
            self.addCleanup(client.stop)
            sock = listener.accept()[0]
        self.addCleanup(sock.close)
        return client, sock

    def on(self, path, sock):
        session, _ = self.open(path)
        session.sock.close()
        session.sock = sock
        self.addCleanup(sock.close)
        return session

    @each(path=PATHS, version=paths.VERSIONS)
    def test_a_client_has_a_key(self, path, version):
        seen = []
        session = self.on(path, self.s_server(version, "-psk_hint", "the hint"))
        self.shake(session, lambda decision: seen.append(decision) or psk(identity="me"), "Connect",
                   context=self.client_context(version))
        hints = [d.psk_hint.value if d.HasField("psk_hint") else None for d in seen]
        self.assertEqual([d.kind for d in seen], [PSK_CLIENT])
        self.assertEqual(hints, ["the hint" if version == "tls12" else None])
        session.write(peers.QUESTION)
        self.assertEqual(session.read_exactly(len(peers.QUESTION)), peers.OpensslServer.ANSWER)
        session.close()

    @each(path=PATHS, version=paths.VERSIONS)
    def test_a_server_has_a_key(self, path, version):
        seen = []
        client, sock = self.s_client(version)
        session = self.on(path, sock)
        self.shake(session, lambda decision: seen.append(decision) or psk(),
                   context=self.server_context(version, psk_identity_hint="the hint"))
        self.assertEqual([(d.kind, d.psk_identity.value) for d in seen], [(PSK_SERVER, "me")])
        session.write(b"hello")
        client.wait_for(b"hello")
        session.close()

    @each(path=PATHS, version=paths.VERSIONS)
    def test_no_key_is_a_refusal(self, path, version):
        client, sock = self.s_client(version)
        self.assertFails(self.shake, self.on(path, sock), lambda _: psk(b""), context=self.server_context(version))
        sock.close()
        client.wait_for(rb"alert|reset|closed|errno")
        session = self.on(path, self.s_server(version))
        self.assertFails(self.shake, session, lambda _: psk(b""), "Connect", context=self.client_context(version))

    @each(path=PATHS, version=paths.VERSIONS)
    def test_the_wrong_key_fails(self, path, version):
        _, sock = self.s_client(version)
        self.assertFails(self.shake, self.on(path, sock), lambda _: psk(KEY[::-1]), context=self.server_context(version))

    @each(path=PATHS)
    def test_the_bounds(self, path):
        answers = iter([psk(b"x" * 513), psk(identity="me"), PROCEED, refuse(40)])
        _, sock = self.s_client("tls13")
        session = self.on(path, sock)
        response = self.step(session, "Accept", True, context=self.server_context("tls13"))
        while response.progress.state == WANT_READ:
            session.receive()
            response = self.step(session)
        for wrong in answers:
            self.assertCode(Code.INVALID_ARGUMENT, self.step, session, decision=wrong)
            self.assertEqual(self.step(session).progress.decision.psk_identity.value, "me")
        self.finish(session, self.step(session, decision=psk()))
        session.close()

    @each(path=PATHS)
    def test_identities_that_are_no_text_are_nobodys(self, path):
        """A ClientHello with its identity overwritten."""
        client, sock = self.s_client("tls13", "-psk_identity", "identity-of-mine")
        data = sock.recv(1 << 16)
        self.assertIn(b"identity-of-mine", data)
        session, far = self.open(path)
        far.sendall(data.replace(b"identity-of-mine", b"\xff\xfeentity-of-mine"))
        failure = self.assertFails(self.shake, session, lambda _: self.fail("asked"), context=self.server_context("tls13"))
        self.assertEqual(failure.error.reason, "NO_SUITABLE_SIGNATURE_ALGORITHM")

    @each(path=PATHS, version=paths.VERSIONS)
    def test_those_that_wait_end_with_their_client(self, path, version):
        timing.eventually(lambda: self.num_sessions() == 0, "those of other tests are gone")
        with Client(self.daemon.path) as goes:
            request = sessions.context_request("server", decisions=["psk_server"], **self.PSK_ONLY, **sessions.only(version))
            context = goes.context.Create(request).context
            for _ in range(5):
                session = self.on(path, self.s_client(version)[1])
                session.rpc = goes
                response = self.step(session, "Accept", True, context=context)
                while response.progress.state == WANT_READ:
                    session.receive()
                    response = self.step(session)
                self.assertEqual(response.progress.state, WANT_DECISION)
            self.assertEqual(self.num_sessions(), 5)
        timing.eventually(lambda: self.num_sessions() == 0, "they are gone")

    def test_200_that_wait_hold_up_nobody(self):
        context = self.client_context("tls13")
        waiting = []
        for _ in range(200):
            response = self.rpc.session.Connect(context=context, server_name=pki.HOST, transport=session_pb2.Transport(
                memory=session_pb2.MemoryTransport()))
            self.assertEqual(response.progress.state, WANT_DECISION)
            waiting.append(response.session)
        self.PATH = "fd"
        served, puppet = self.established("tls13", "server")
        served.write(b"still served")
        self.assertEqual(puppet.recv(), b"still served")
        served.close()
        for handle in waiting[::2]:
            answered = self.rpc.session.Handshake(session=handle, decision=psk(identity="me"))
            self.assertEqual(answered.progress.state, WANT_READ)
            self.assertIn(b"me", answered.progress.output)
        for handle in waiting:
            self.rpc.session.Close(session=handle)

    def test_a_first_write_is_not_taken_while_a_decision_is_wanted(self):
        near = self.s_server("tls13")
        self.addCleanup(near.close)
        response = self.rpc.session.Connect(context=self.client_context("tls13"), first_write=b"early\n",
                                            transport=session_pb2.Transport(fd=session_pb2.FdTransport()),
                                            fds=[near.fileno()])
        self.assertEqual(response.progress.state, WANT_DECISION)
        self.assertEqual(self.rpc.session.Describe(session=response.session).bytes_written, 0)
        written = self.rpc.session.Write(session=response.session, data=b"late\n", decision=psk(identity="me"))
        self.assertEqual((written.progress.state, written.accepted), (DONE, 5))
        self.assertEqual(self.rpc.session.Read(session=response.session).data, b"etal\n")
        self.rpc.session.Close(session=response.session)

    def test_a_key_is_in_no_answer_and_in_no_log(self):
        _, sock = self.s_client("tls13")
        session = self.on("memory", sock)
        context = self.server_context("tls13")
        self.shake(session, lambda _: psk(), context=context)
        for response in (session.describe(), self.rpc.context.Describe(context=context)):
            self.assertNotIn(KEY, response.SerializeToString())
        self.assertNotIn(KEY.hex(), self.daemon.log())
        session.close()


class ThroughLibtlsagent(DecisionTest):
    """Both ends in one program of C, a name and a key at a time."""

    def setUp(self):
        if timing.SANITIZER == "tsan":
            self.skipTest("ThreadSanitizer knows no fibres")
        super().setUp()

    def test_the_library_carries_decisions_and_events(self):
        program = os.path.join(os.environ["TLSAGENT_C_DIR"], "decide")
        done = subprocess.run([program, self.daemon.path], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=3 * timing.PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        good, bad = done.stdout.split("name bad.test\n")
        self.assertEqual(good.splitlines(), [
            "client, hint absent", "name host.test", "server, identity me", "client done, server done, 10 lines",
            "client, hint absent"])
        self.assertRegex(bad, "^(.*\n)?failed: .*(CALLBACK_FAILED|callback failed)")
        self.assertRegex(bad, "server failed, 0 lines\n$")


class Events(DecisionTest):
    @each(path=PATHS, version=paths.VERSIONS, role=("client", "server"))
    def test_the_key_log_is_what_the_peer_writes(self, path, version, role):
        session, far = self.open(path)
        log = os.path.join(self.daemon.directory, f"keys-{path}-{version}-{role}")
        context = peers.python_context(role == "client", pki.server("ecdsa") if role == "client" else None, version)
        context.keylog_filename = log
        puppet = peers.Puppet(far, context, role == "client", None if role == "client" else pki.HOST)
        handshake = Background(puppet.handshake)
        if role == "client":
            self.shake(session, None, "Connect", server_name=pki.HOST, context=self.trusting(events=["key_log"]))
        else:
            self.shake(session, None, context=self.context("server", pki.server("ecdsa"), events=["key_log"]))
        handshake.result()
        with open(log) as lines:
            expected = sorted(line.strip() for line in lines if not line.startswith("#"))
        self.assertEqual(sorted(event.key_log for event in session.events), expected)
        self.assertNotIn(expected[0], self.daemon.log())
        session.close()

    @each(path=PATHS)
    def test_messages_come_in_order_before_each_decision_and_after(self, path):
        session, far = self.open(path)
        handshake = Background(self.puppet(far, False, pki.HOST, version="tls12").handshake)
        seen = []

        def decide(_):
            seen.append(len(session.events))
            return PROCEED

        self.shake(session, decide, context=self.asking(events=["messages", "key_log"]))
        handshake.result()
        self.assertEqual(seen, [2], "the header and the ClientHello")
        messages = [event.message for event in session.events if event.HasField("message")]
        self.assertEqual([(m.sent, m.data[0]) for m in messages if m.content_type == 22],
                         [(False, 1), (True, 2), (True, 11), (True, 12), (True, 14), (False, 16), (False, 20), (True, 4),
                          (True, 20)])
        self.assertEqual({m.content_type for m in messages}, {20, 22, 256})
        self.assertEqual({len(m.data) for m in messages if m.content_type == 256}, {5})
        self.assertRegex(next(e.key_log for e in session.events if e.HasField("key_log")), "^CLIENT_RANDOM [0-9a-f ]+$")
        session.close()

    @each(path=PATHS)
    def test_a_failure_tells_of_its_alert(self, path):
        session, far = self.open(path)
        Background(self.puppet(far, False, pki.HOST).handshake)
        failure = self.assertFails(self.shake, session, lambda _: refuse(112), context=self.asking(events=["messages"]))
        last = failure.response.progress.events[-1].message
        self.assertEqual((last.sent, last.content_type, last.data), (True, 21, b"\2\x70"))
        session.close()

    @each(path=PATHS)
    def test_data_and_the_end_are_told_of_too(self, path):
        self.PATH = path
        session, puppet = self.established("tls13", "server", events=["messages"])
        for method, fields in (("Write", {"data": b"x"}), ("Shutdown", {})):
            response = self.step(session, method, **fields)
            self.assertTrue(response.progress.events)
        self.assertEqual(response.progress.events[-1].message.data, b"\1\0")
        puppet.send(b"y")
        response = self.step(session, "Read")
        while response.progress.state == WANT_READ:
            session.receive()
            response = self.step(session, "Read")
        self.assertEqual(response.data, b"y")
        self.assertIn(257, [event.message.content_type for event in response.progress.events])
        session.close()

    def test_crumbs_are_dropped_before_they_fill_the_daemon(self):
        """One-byte records, unread: what is too much is counted."""
        self.PATH = "memory"
        session, puppet = self.established("tls13", "server", events=["messages"])
        for _ in range(3000):
            puppet.tls.write(b"x")
        before = self.daemon.counters()["events_dropped"]
        data = puppet.take_output()
        events = 0
        while data:
            response = self.rpc.session.Read(session=session.handle, max_bytes=262144,
                                             feed=session_pb2.Feed(data=data[:1 << 20]))
            data = data[response.progress.input_consumed:]
            events += len(response.progress.events)
        self.assertGreater(self.daemon.counters()["events_dropped"], before)
        self.assertGreater(events, 1000)
        self.assertLess(events, 3000)
        session.close()

    def test_contexts_that_ask_for_nothing_tell_nothing(self):
        self.PATH = "memory"
        session, _ = self.established("tls13", "server")
        self.assertFalse(self.step(session, "Write", data=b"x").progress.events)
        session.close()


class Settings(DecisionTest):
    @each(case={"a_name_for_a_client": ("client", "server_name", "decisions.server_name"),
                "a_servers_key_for_a_client": ("client", "psk_server", "decisions.psk_server"),
                "a_clients_key_for_a_server": ("server", "psk_client", "decisions.psk_client")})
    def test_what_a_kind_has_no_use_for_is_refused(self, case):
        kind, decision, item = case
        response = self.rpc.context.Create(sessions.context_request(kind, decisions=[decision]))
        self.assertEqual(response.error.item, "settings." + item)

    def test_a_hint_is_for_servers_and_has_a_length(self):
        for kind, hint in (("client", "hint"), ("server", "x" * 257)):
            response = self.rpc.context.Create(sessions.context_request(kind, psk_identity_hint=hint))
            self.assertEqual(response.error.item, "settings.psk_identity_hint")

    def test_they_are_read_back_and_changed(self):
        context = self.context("both", decisions=["server_name", "psk_client"], events=["key_log"], psk_identity_hint="hint")
        settings = self.rpc.context.Describe(context=context).settings
        self.assertEqual(settings.decisions.ListFields()[0][1], True)
        self.assertEqual((settings.decisions.server_name, settings.decisions.psk_client, settings.decisions.psk_server),
                         (True, True, False))
        self.assertEqual((settings.events.key_log, settings.events.messages), (True, False))
        self.assertEqual(settings.psk_identity_hint.value, "hint")
        change = sessions.fill_settings(type(settings)(), decisions=[], events=[])
        self.assertFalse(self.rpc.context.Configure(context=context, settings=change).HasField("error"))
        settings = self.rpc.context.Describe(context=context).settings
        self.assertFalse(settings.decisions.server_name or settings.decisions.psk_client or settings.events.key_log)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
