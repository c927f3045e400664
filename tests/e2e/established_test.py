"""What can be asked of a connection beside its bytes: does it agree with OpenSSL's own programs and with Python's ssl?"""

import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile

import daemon
import paths
import peers
import pki
import session as sessions
import timing
from e2e import Code, E2ETest, each
from session import Background, TlsFailure
from tlsagent.v1 import common_pb2, session_pb2

LABEL = "EXPERIMENTAL tlsagent"
ROLES = ("client", "server")


class Paths(E2ETest, paths.PathTests):
    PATH = "memory"

    def export(self, session, length=40):
        return self.rpc.session.ExportKeyingMaterial(session=session.handle, label=LABEL, length=length).data

    def binding(self, session, kind):
        return self.rpc.session.ChannelBinding(session=session.handle, kind=f"CHANNEL_BINDING_KIND_{kind}").data.value

    def directory(self, *pairs):
        """A directory of hashed files."""
        made = tempfile.mkdtemp(prefix="tlsagent-hashed-")
        self.addCleanup(subprocess.run, ["rm", "-rf", made])
        for number, pair in enumerate(pairs):
            with open(os.path.join(made, f"{number}.pem"), "wb") as file:
                file.write(pair.pem)
        subprocess.run(["openssl", "rehash", made], check=True, stdin=subprocess.DEVNULL)
        return made


class WithOpenssl(Paths):
    """-keymatexport of s_client and s_server."""

    def material(self, text):
        return bytes.fromhex(re.search(r"Keying material: (\w+)", text)[1])

    @each(version=paths.VERSIONS)
    def test_a_client_exports_what_s_server_does(self, version):
        pair = pki.server("ecdsa")
        program = peers.Program("openssl", "s_server", "-accept", f"{peers.LOOPBACK}:0", "-cert", pair.chain_path, "-cert_chain",
                                pair.chain_path, "-key", pair.key_path, "-keymatexport", LABEL, "-keymatexportlen", "40")
        self.addCleanup(program.stop)
        port = int(program.wait_for(rb"ACCEPT \S+:(\d+)")[1])
        session = self.connect(self.trusting(version), socket.create_connection((peers.LOOPBACK, port)))
        program.wait_for(rb"Keying material: \w+\s")
        self.assertEqual(self.export(session), self.material(program.text()))

    @each(version=paths.VERSIONS)
    def test_a_server_exports_what_s_client_does(self, version):
        listener = self.listen()
        program = peers.Program("openssl", "s_client", "-connect", "%s:%d" % listener.getsockname(), "-keymatexport", LABEL,
                                "-keymatexportlen", "40", {"tls12": "-tls1_2", "tls13": "-tls1_3"}[version])
        self.addCleanup(program.stop)
        session = self.accept_from(listener, self.context("server", pki.server("ecdsa")))
        program.wait_for(rb"Keying material: \w+\s")
        self.assertEqual(self.export(session), self.material(program.text()))


class WithPython(Paths):
    @each(role=ROLES, version=paths.VERSIONS)
    def test_tls_unique_is_pythons(self, role, version):
        session, puppet = self.established(version, role)
        theirs = puppet.tls.get_channel_binding("tls-unique")
        self.assertTrue(theirs)
        self.assertEqual(self.binding(session, "TLS_UNIQUE"), theirs)

    @each(version=paths.VERSIONS)
    def test_shared_ciphers_are_those_that_the_client_offers(self, version):
        session, puppet = self.established(version, "server")
        shared = self.rpc.session.SharedCiphers(session=session.handle).ciphers
        offered = {cipher["name"] for cipher in puppet.tls.context.get_ciphers()}
        self.assertIn(puppet.tls.cipher()[0], [cipher.name for cipher in shared])
        self.assertLessEqual({cipher.name for cipher in shared}, offered)
        session, _ = self.established(version, "client")
        self.assertCode(Code.FAILED_PRECONDITION, self.rpc.session.SharedCiphers, session=session.handle)

    @each(path=sessions.PATHS, version=paths.VERSIONS)
    def test_a_session_of_pythons_server_is_resumed(self, path, version):
        self.PATH = path
        context = self.trusting(version)
        with peers.server("python", pki.server("ecdsa"), version) as server:
            first = self.connect(context, server.connect())
            self.assertFalse(first.negotiated.resumed)
            first.write(b"x")
            first.read()  # and the tickets that come before it
            given = self.rpc.session.GetResumption(session=first.handle)
            self.assertTrue(given.has_ticket)
            first.shutdown()
            second = self.connect(context, server.connect(), resumption={"value": given.resumption.value})
            self.assertTrue(second.negotiated.resumed)
            second.write(b"x")
            self.assertEqual(second.read(), b"x")
            second.shutdown()


class LateCertificates(Paths):
    """PHA, with Python's ssl as the client."""

    def open(self, path, pair=None, agrees=True, version="tls13"):
        self.PATH = path
        near, far = sessions.tcp_pair()
        context = peers.python_context(False, pair, version, pki.root())
        context.post_handshake_auth = agrees
        puppet = peers.Puppet(far, context, False, pki.HOST)
        self.addCleanup(far.close)
        shaken = Background(puppet.handshake)
        server = self.context("server", pki.server("ecdsa"), [pki.root()], verify_mode=3, post_handshake_auth=True)
        session = self.accept(server, near)
        shaken.result()
        return session, puppet

    def ask(self, session):
        return self.rpc.session.RequestClientCertificate(session=session.handle).progress

    @each(path=sessions.PATHS)
    def test_a_certificate_comes_when_it_is_asked_for(self, path):
        session, puppet = self.open(path, pki.client("ecdsa"))
        self.assertFalse(self.rpc.session.PeerCertificate(session=session.handle).HasField("peer"))
        self.assertEqual(self.ask(session).state, common_pb2.STATE_DONE)
        session.write(b"who are you?")
        self.assertEqual(puppet.recv(), b"who are you?")
        puppet.send(b"me")
        self.assertEqual(session.read(), b"me")
        answer = self.rpc.session.PeerCertificate(session=session.handle)
        self.assertEqual(answer.peer.der, pki.client("ecdsa").der)
        self.assertGreaterEqual(len(answer.verified_chain), 2)

    @each(path=sessions.PATHS)
    def test_the_read_fails_that_meets_none(self, path):
        session, puppet = self.open(path)
        self.assertEqual(self.ask(session).state, common_pb2.STATE_DONE)
        session.write(b"who are you?")
        self.assertEqual(puppet.recv(), b"who are you?")
        puppet.send(b"nobody")
        with self.assertRaises(TlsFailure) as caught:
            session.read()
        self.assertEqual(caught.exception.error.reason, "PEER_DID_NOT_RETURN_A_CERTIFICATE")
        with self.assertRaisesRegex(ssl.SSLError, "(?i)certificate.required"):
            puppet.recv()

    @each(case={"agrees_not": (False, "tls13", "EXTENSION_NOT_RECEIVED"), "tls12": (True, "tls12", "WRONG_SSL_VERSION")})
    def test_it_is_said_why_nobody_can_be_asked(self, case):
        agrees, version, reason = case
        session, puppet = self.open("memory", pki.client("ecdsa"), agrees, version)
        progress = self.ask(session)
        self.assertEqual((progress.state, progress.error.library, progress.error.reason),
                         (common_pb2.STATE_FAILED, "SSL", reason))
        session.write(b"go on")
        self.assertEqual(puppet.recv(), b"go on")


class Keys(Paths):
    @each(path=sessions.PATHS, role=ROLES, both=(False, True))
    def test_keys_change_as_often_as_one_likes(self, path, role, both):
        self.PATH = path
        session, puppet = self.established("tls13", role)
        for _ in range(3):
            for _ in range(2):
                progress = self.rpc.session.UpdateKeys(session=session.handle, request_peer=both).progress
                self.assertEqual(progress.state, common_pb2.STATE_DONE)
                if path == "memory":
                    session.sock.sendall(progress.output)
            session.write(b"question")
            self.assertEqual(puppet.recv(), b"question")
            puppet.send(b"answer")
            self.assertEqual(session.read(), b"answer")


class Directories(Paths):
    def test_an_authority_is_listed_once_it_was_needed(self):
        made = os.open(self.directory(pki.root(), pki.other_root()), os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, made)
        request = sessions.context_request("client")
        request.trust.directories.add().fd = 0
        context = self.rpc.context.Create(request, fds=[made]).context
        listed = lambda: list(self.rpc.context.ListTrust(context=context).der)
        self.assertEqual(listed(), [])
        with peers.server("python", pki.server("ecdsa")) as server:
            session = self.connect(context, server.connect())
            self.assertEqual(listed(), [pki.root().der])
            session.shutdown()


class OldDaemons(Paths):
    def test_a_session_of_an_old_daemon_is_refused(self):
        def give(rpc):
            context = sessions.context(rpc, "client", trust=[pki.root()])
            with peers.server("python", pki.server("ecdsa"), "tls12") as server, server.connect() as sock:
                session = sessions.connect(rpc, "memory", context, sock)
                session.shutdown()
                return context, rpc.session.GetResumption(session=session.handle).resumption.value

        def resume(rpc, context, sealed):
            return rpc.session.Connect(context=context, server_name="localhost", resumption={"value": sealed},
                                       transport=session_pb2.Transport(memory=session_pb2.MemoryTransport())).progress

        old = daemon.Daemon().start()
        self.addCleanup(old.kill)
        with old.client() as rpc:
            context, sealed = give(rpc)
            self.assertEqual(resume(rpc, context, sealed).state, common_pb2.STATE_WANT_READ)
        old.stop()
        context, _ = give(self.rpc)
        progress = resume(self.rpc, context, sealed)
        self.assertEqual((progress.state, progress.error.item), (common_pb2.STATE_FAILED, "resumption"))


class Library(Paths):
    def test_libtlsagent_asks_for_all_of_it(self):
        server, client = pki.server("ecdsa"), pki.client("ecdsa")
        done = subprocess.run(
            [os.environ["TLSAGENT_LIBRARY_USER"], self.daemon.path, self.directory(pki.root()), pki.root().path,
             server.chain_path, server.key_path, client.chain_path, client.key_path],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * timing.PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertTrue(done.stdout.endswith("PASS end\n"), done.stdout)
        self.assertNotIn("FAIL", done.stdout)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
