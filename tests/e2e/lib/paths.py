"""The questions that the memory and the socket path must answer alike. Each path's test file makes a class of them."""

import random
import select
import socket
import ssl

import peers
import pki
import session as sessions
import timing
from e2e import Code, RpcError, each
from session import Background, TlsFailure
from tlsagent.v1 import common_pb2

VERSIONS = ("tls12", "tls13")
BULK_BYTES = (64 << 20) if not timing.SANITIZER else (4 << 20)

# X509_V_ERR_*
V_EXPIRED, V_NOT_YET, V_SELF_SIGNED, V_SELF_SIGNED_IN_CHAIN, V_NO_LOCAL_ISSUER = 10, 9, 18, 19, 20
V_REVOKED, V_HOST_MISMATCH, V_IP_MISMATCH = 23, 62, 64

ALERT_BAD_RECORD_MAC, ALERT_UNKNOWN_CA, ALERT_EXPIRED, ALERT_BAD_CERTIFICATE = 20, 48, 45, 42
ALERT_HANDSHAKE_FAILURE, ALERT_CERTIFICATE_REQUIRED, ALERT_NO_ALPN, ALERT_PROTOCOL_VERSION = 40, 116, 120, 70


class PathTests:
    """What every path does. PATH is "memory" or "fd"."""

    PATH = None

    def context(self, kind, *args, **kwargs):
        return sessions.context(self.rpc, kind, *args, **kwargs)

    def trusting(self, version=None, **settings):
        """A client context that trusts the root."""
        return self.context("client", trust=[pki.root()], **(sessions.only(version) if version else {}), **settings)

    def connect(self, context, sock, **options):
        self.addCleanup(sock.close)
        return sessions.connect(self.rpc, self.PATH, context, sock, **options)

    def accept(self, context, sock, **options):
        self.addCleanup(sock.close)
        return sessions.accept(self.rpc, self.PATH, context, sock, **options)

    def listen(self):
        listener = socket.create_server((peers.LOOPBACK, 0))
        self.addCleanup(listener.close)
        listener.settimeout(timing.PATIENCE)
        return listener

    def accept_from(self, listener, context, **options):
        """A server session for the next connection, or TlsFailure; the socket is closed after a failure."""
        sock = listener.accept()[0]
        sock.settimeout(None)
        try:
            return self.accept(context, sock, **options)
        except TlsFailure:
            sock.close()
            raise

    def puppet(self, sock, server_side=True, server_name=None, **options):
        """A Python peer on the other end of sock."""
        self.addCleanup(sock.close)
        return peers.Puppet(sock, peers.python_context(server_side, **options), server_side, server_name)

    def established(self, version="tls13", role="client", kind="ecdsa", **settings):
        """(session, puppet) after a handshake over TCP."""
        near, far = sessions.tcp_pair()
        if role == "client":
            puppet = self.puppet(far, pair=pki.server(kind), version=version)
            handshake = Background(puppet.handshake)
            session = self.connect(self.trusting(version, **settings), near)
        else:
            puppet = self.puppet(far, False, pki.HOST, version=version, ca=pki.root())
            handshake = Background(puppet.handshake)
            session = self.accept(self.context("server", pki.server(kind), **sessions.only(version), **settings), near)
        handshake.result()
        return session, puppet

    def assertFails(self, operation, *args, kind=common_pb2.ERROR_KIND_TLS, **kwargs):
        """The operation ends in STATE_FAILED of this kind; gives the failure."""
        with self.assertRaises(TlsFailure) as caught:
            operation(*args, **kwargs)
        error = caught.exception.error
        self.assertEqual(error.kind, kind, error)
        self.assertTrue(error.text or error.verify_message, error)
        return caught.exception


class HandshakesWithPeers(PathTests):
    """Does it talk with everybody, either way round?"""

    @each(peer=peers.SERVERS, version=VERSIONS, kind=pki.KINDS)
    def test_client_talks_with_server(self, peer, version, kind):
        with peer(pki.server(kind), version) as server, server.connect() as sock:
            session = self.connect(self.trusting(version), sock, decode_peer=True)
            self.assertEqual(session.negotiated.version, sessions.VERSIONS[version])
            self.assertEqual(session.negotiated.version_name, {"tls12": "TLSv1.2", "tls13": "TLSv1.3"}[version])
            self.assertEqual(session.peer.der, pki.server(kind).der)
            self.assertEqual(session.peer.certificate.key_type, {"rsa": "RSA", "ecdsa": "EC"}[kind])
            self.assertEqual((session.peer.verify_code, session.peer.verify_message), (0, "ok"))
            server.talk(session)
            session.shutdown(await_peer=False)
            session.close()

    @each(peer=peers.CLIENTS, version=VERSIONS, kind=pki.KINDS)
    def test_server_talks_with_client(self, peer, version, kind):
        listener = self.listen()
        with peer(listener, version) as client:
            session = self.accept_from(listener, self.context("server", pki.server(kind), **sessions.only(version)))
            self.assertEqual(session.negotiated.version, sessions.VERSIONS[version])
            self.assertEqual(session.negotiated.server_name, pki.HOST)
            self.assertEqual(session.peer.der, b"")
            client.talk(session)
            session.close()
            session.sock.close()
            client.finish()

    @each(peer=peers.SERVERS, version=VERSIONS)
    def test_client_shows_its_certificate_to_server(self, peer, version):
        context = self.context("client", pki.client("rsa"), [pki.root()], **sessions.only(version))
        with peer(pki.server("ecdsa"), version, client_ca=pki.root()) as server, server.connect() as sock:
            session = self.connect(context, sock)
            server.talk(session)
            session.close()

    @each(peer=peers.CLIENTS, version=VERSIONS)
    def test_server_sees_the_certificate_of_client(self, peer, version):
        listener = self.listen()
        context = self.context("server", pki.server("rsa"), [pki.root()], verify_mode=3, **sessions.only(version))
        with peer(listener, version, pair=pki.client("ecdsa")) as client:
            session = self.accept_from(listener, context, decode_peer=True)
            self.assertEqual(session.peer.der, pki.client("ecdsa").der)
            self.assertIn("client-ecdsa", session.peer.certificate.subject_text)
            client.talk(session)
            session.close()
            session.sock.close()
            client.finish()

    @each(peer={name: peers.SERVERS[name] for name in ("openssl", "gnutls", "python")}, version=VERSIONS)
    def test_client_agrees_on_alpn_with_server(self, peer, version):
        with peer(pki.server("ecdsa"), version, alpn=(b"h2", b"tlsagent/1")) as server, server.connect() as sock:
            session = self.connect(self.trusting(version, alpn=[b"tlsagent/1"]), sock)
            self.assertEqual(session.negotiated.alpn, b"tlsagent/1")
            server.talk(session)
            session.close()

    def test_client_agrees_on_h2_with_nginx(self):
        with peers.server("nginx", pki.server("ecdsa"), alpn=(b"h2",)) as server, server.connect() as sock:
            session = self.connect(self.trusting(alpn=[b"h2", b"http/1.1"]), sock)
            self.assertEqual(session.negotiated.alpn, b"h2")
            session.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
            self.assertEqual(session.read_exactly(9)[3], 4, "the server's SETTINGS frame")
            session.close()

    @each(peer={name: peers.CLIENTS[name] for name in ("openssl", "gnutls", "python")}, version=VERSIONS)
    def test_server_chooses_alpn_by_its_own_preference(self, peer, version):
        listener = self.listen()
        context = self.context("server", pki.server("ecdsa"), alpn=[b"second", b"first"])
        with peer(listener, version, alpn=(b"first", b"second")) as client:
            session = self.accept_from(listener, context)
            self.assertEqual(session.negotiated.alpn, b"second")
            client.talk(session)
            session.close()
            session.sock.close()
            client.finish()

    def test_server_agrees_on_http1_with_curl(self):
        listener = self.listen()
        context = self.context("server", pki.server("ecdsa"), alpn=[b"http/1.1"])
        with peers.client("curl", listener, alpn=(b"h2",)) as client:
            session = self.accept_from(listener, context)
            self.assertEqual(session.negotiated.alpn, b"http/1.1")
            client.talk(session)
            session.close()
            session.sock.close()
            client.finish()


# How a server's certificate can be bad: (pair, alert sent, X509_V_ERR_* code, word in the message).
BAD_SERVERS = {
    "expired": (pki.expired, V_EXPIRED, "expired"),
    "not_yet_valid": (pki.not_yet_valid, V_NOT_YET, "not yet valid"),
    "wrong_host": (pki.wrong_host, V_HOST_MISMATCH, "localhost"),
    "self_signed": (pki.self_signed, V_SELF_SIGNED, "self"),
    "unknown_ca": (pki.stranger, V_NO_LOCAL_ISSUER, "local issuer"),
    "under_an_expired_intermediate": (pki.under_expired, V_EXPIRED, "expired"),
}


class Refusals(PathTests):
    """Is every bad certificate refused, for the right reason, and does the peer hear of it?"""

    @each(case=BAD_SERVERS, version=VERSIONS, kind=pki.KINDS)
    def test_client_refuses_a_server_that_is(self, case, version, kind):
        make, code, word = case
        near, far = sessions.tcp_pair()
        puppet = self.puppet(far, pair=make(kind), version=version)
        handshake = Background(puppet.handshake)
        failure = self.assertFails(self.connect, self.trusting(version), near, decode_peer=True,
                                   kind=common_pb2.ERROR_KIND_VERIFY)
        self.assertEqual(failure.error.verify_code, code, failure.error)
        self.assertIn(word, failure.error.verify_message)
        self.assertEqual(failure.error.reason, "CERTIFICATE_VERIFY_FAILED")
        self.assertEqual(failure.error.library, "SSL")
        if self.PATH == "fd":
            self.assertEqual(failure.response.session, 0, "what Connect could not finish is gone")
        self.assertEqual(failure.response.peer.der, make(kind).der)
        near.close()
        self.assert_peer_hears_an_alert(puppet, handshake)

    def assert_peer_hears_an_alert(self, puppet, handshake):
        """In TLS 1.3 a server's handshake may be over before the client's alert comes."""
        with self.assertRaises(ssl.SSLError) as caught:
            handshake.result()
            puppet.recv()
        self.assertIn("alert", str(caught.exception).lower())

    @each(peer=("openssl", "gnutls", "nginx"), version=VERSIONS)
    def test_client_refuses_the_expired_certificate_of(self, peer, version):
        with peers.server(peer, pki.expired("ecdsa"), version) as server, server.connect() as sock:
            failure = self.assertFails(self.connect, self.trusting(version), sock, kind=common_pb2.ERROR_KIND_VERIFY)
            self.assertEqual(failure.error.verify_code, V_EXPIRED)

    @each(case={"an_address": ("127.0.0.1", 0), "an_ipv6_address": ("::1", 0), "a_wildcard": ("a.wild.test", 0),
                "another_address": ("192.0.2.7", V_IP_MISMATCH), "a_name_too_deep": ("a.b.wild.test", V_HOST_MISMATCH),
                "another_name": ("elsewhere.test", V_HOST_MISMATCH)})
    def test_client_checks_the_certificate_against(self, case):
        name, code = case
        near, far = sessions.tcp_pair()
        handshake = Background(self.puppet(far, pair=pki.server("ecdsa")).handshake)
        if code:
            failure = self.assertFails(self.connect, self.trusting(), near, server_name=name,
                                       kind=common_pb2.ERROR_KIND_VERIFY)
            self.assertEqual(failure.error.verify_code, code)
            self.assertIn(name, failure.error.verify_message)
        else:
            self.assertEqual(self.connect(self.trusting(), near, server_name=name).peer.verify_code, 0)
            handshake.result()

    def test_client_that_trusts_nobody_refuses(self):
        near, far = sessions.tcp_pair()
        Background(self.puppet(far, pair=pki.server("ecdsa")).handshake)
        failure = self.assertFails(self.connect, self.context("client"), near, kind=common_pb2.ERROR_KIND_VERIFY)
        self.assertIn(failure.error.verify_code, (V_NO_LOCAL_ISSUER, V_SELF_SIGNED_IN_CHAIN))

    def test_client_told_not_to_verify_takes_anybody_and_says_why_it_should_not(self):
        near, far = sessions.tcp_pair()
        handshake = Background(self.puppet(far, pair=pki.self_signed("ecdsa")).handshake)
        session = self.connect(self.context("client", verify_mode=1, check_hostname=False), near)
        self.assertEqual(session.peer.verify_code, V_SELF_SIGNED)
        self.assertEqual(session.peer.der, pki.self_signed("ecdsa").der)
        handshake.result()

    def test_client_checks_revocation_when_asked_to(self):
        request = sessions.context_request("client", trust=[pki.root()], verify_flags=0x4)  # X509_V_FLAG_CRL_CHECK
        request.trust.crls.add(data=pki.crl())
        context = self.rpc.context.Create(request).context
        near, far = sessions.tcp_pair()
        Background(self.puppet(far, pair=pki.revoked("ecdsa")).handshake)
        failure = self.assertFails(self.connect, context, near, kind=common_pb2.ERROR_KIND_VERIFY)
        self.assertEqual(failure.error.verify_code, V_REVOKED)

    def test_client_that_checks_names_must_be_given_one(self):
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        try:
            self.connect(self.trusting(), near, server_name="")
        except TlsFailure as failure:
            self.assertEqual(failure.error.kind, common_pb2.ERROR_KIND_INVALID)
        except RpcError as error:
            self.assertEqual(error.code, Code.INVALID_ARGUMENT)
        else:
            self.fail("it connected to nobody in particular")

    @each(version=VERSIONS)
    def test_server_refuses_a_client_without_certificate(self, version):
        near, far = sessions.tcp_pair()
        puppet = self.puppet(far, False, pki.HOST, version=version, ca=pki.root())
        handshake = Background(puppet.handshake)
        context = self.context("server", pki.server("ecdsa"), [pki.root()], verify_mode=3, **sessions.only(version))
        failure = self.assertFails(self.accept, context, near)
        self.assertEqual(failure.error.reason, "PEER_DID_NOT_RETURN_A_CERTIFICATE")
        near.close()
        self.assert_peer_hears_an_alert(puppet, handshake)

    @each(version=VERSIONS)
    def test_server_refuses_a_client_of_an_unknown_ca(self, version):
        near, far = sessions.tcp_pair()
        puppet = self.puppet(far, False, pki.HOST, version=version, ca=pki.root(), pair=pki.stranger("ecdsa"))
        handshake = Background(puppet.handshake)
        context = self.context("server", pki.server("ecdsa"), [pki.root()], verify_mode=2, **sessions.only(version))
        failure = self.assertFails(self.accept, context, near, kind=common_pb2.ERROR_KIND_VERIFY)
        self.assertEqual(failure.error.verify_code, V_NO_LOCAL_ISSUER)
        near.close()
        self.assert_peer_hears_an_alert(puppet, handshake)

    def test_server_that_asks_politely_takes_a_client_without_certificate(self):
        near, far = sessions.tcp_pair()
        handshake = Background(self.puppet(far, False, pki.HOST, ca=pki.root()).handshake)
        context = self.context("server", pki.server("ecdsa"), [pki.root()], verify_mode=2)
        session = self.accept(context, near)
        self.assertFalse(session.has_peer, "nobody is not a peer that verified")
        self.assertFalse(session.describe().HasField("peer"))
        self.assertFalse(self.rpc.session.PeerCertificate(session=session.handle).HasField("peer"))
        handshake.result()

    @each(peer=("openssl", "gnutls", "curl", "nginx", "python"))
    def test_client_refuses_our_expired_server(self, peer):
        listener = self.listen()
        with peers.client(peer, listener) as client:
            try:
                session = self.accept_from(listener, self.context("server", pki.expired("ecdsa")))
                self.assertEqual(session.read(), b"", "nginx looks at the certificate after the handshake")
                session.close()
                session.sock.close()
            except TlsFailure as failure:
                self.assertIn(failure.error.kind, (common_pb2.ERROR_KIND_TLS, common_pb2.ERROR_KIND_TRUNCATED))
            client.failed()

    @each(role=("client", "server"))
    def test_versions_that_do_not_meet_are_refused(self, role):
        near, far = sessions.tcp_pair()
        puppet = self.puppet(far, role == "client", None if role == "client" else pki.HOST, version="tls12",
                             pair=pki.server("ecdsa"))
        handshake = Background(puppet.handshake)
        if role == "client":
            failure = self.assertFails(self.connect, self.trusting("tls13"), near)
            self.assertEqual(failure.error.alert.value, ALERT_PROTOCOL_VERSION, failure.error)
            self.assertRaises(ssl.SSLError, handshake.result)
        else:
            context = self.context("server", pki.server("ecdsa"), **sessions.only("tls13"))
            failure = self.assertFails(self.accept, context, near)
            self.assertEqual(failure.error.reason, "UNSUPPORTED_PROTOCOL")
            near.close()
            self.assert_peer_hears_an_alert(puppet, handshake)

    def test_no_shared_cipher_is_said_so(self):
        near, far = sessions.tcp_pair()
        made = peers.python_context(False, version="tls12")
        made.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        handshake = Background(peers.Puppet(far, made, False, pki.HOST).handshake)
        self.addCleanup(far.close)
        failure = self.assertFails(self.accept, self.context("server", pki.server("ecdsa")), near)
        self.assertEqual(failure.error.reason, "NO_SHARED_CIPHER")
        self.assertEqual(failure.error.alert.value, ALERT_HANDSHAKE_FAILURE)
        self.assertRaises(ssl.SSLError, handshake.result)

    def test_server_that_insists_on_alpn_refuses_a_client_without_overlap(self):
        near, far = sessions.tcp_pair()
        puppet = self.puppet(far, False, pki.HOST, ca=pki.root(), alpn=(b"theirs",))
        handshake = Background(puppet.handshake)
        context = self.context("server", pki.server("ecdsa"), alpn=[b"ours"], alpn_require_overlap=True)
        failure = self.assertFails(self.accept, context, near)
        self.assertEqual(failure.error.alert.value, ALERT_NO_ALPN, failure.error)
        self.assert_peer_hears_an_alert(puppet, handshake)

    def test_server_goes_on_without_alpn_overlap_when_it_does_not_insist(self):
        near, far = sessions.tcp_pair()
        handshake = Background(self.puppet(far, False, pki.HOST, ca=pki.root(), alpn=(b"theirs",)).handshake)
        session = self.accept(self.context("server", pki.server("ecdsa"), alpn=[b"ours"]), near)
        self.assertEqual(session.negotiated.alpn, b"")
        handshake.result()

    @each(role=("client", "server"))
    def test_a_peer_that_speaks_no_tls_is_refused(self, role):
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        far.sendall(b"220 mail.test ESMTP, and what would you like?\r\n")
        start = {"client": lambda: self.connect(self.trusting(), near),
                 "server": lambda: self.accept(self.context("server", pki.server("ecdsa")), near)}[role]
        failure = self.assertFails(start)
        self.assertIn(failure.error.reason, ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL",
                                             "UNKNOWN_PROTOCOL"))

    def test_a_peer_that_speaks_http_is_told_apart(self):
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        far.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        failure = self.assertFails(self.accept, self.context("server", pki.server("ecdsa")), near)
        self.assertEqual(failure.error.reason, "HTTP_REQUEST")


class Names(PathTests):
    """Is the server name told, and seen?"""

    @each(version=VERSIONS)
    def test_client_sends_its_server_name(self, version):
        with peers.server("python", pki.server("ecdsa"), version) as server, server.connect() as sock:
            session = self.connect(self.trusting(version), sock, server_name="some.wild.test")
            server.talk(session)
            self.assertEqual(server.saw[0], "some.wild.test")
            self.assertEqual(session.negotiated.server_name, "some.wild.test")

    def test_client_sends_no_address_as_server_name(self):
        with peers.server("python", pki.server("ecdsa")) as server, server.connect() as sock:
            server.talk(self.connect(self.trusting(), sock, server_name="127.0.0.1"))
            self.assertIsNone(server.saw[0])

    @each(version=VERSIONS, name={"a_name": "other.wild.test", "none": None})
    def test_server_sees_the_server_name(self, version, name):
        near, far = sessions.tcp_pair()
        context = peers.python_context(False, version=version)
        handshake = Background(peers.Puppet(far, context, False, name).handshake)
        session = self.accept(self.context("server", pki.server("ecdsa")), near)
        self.assertEqual(session.negotiated.server_name, name or "")
        handshake.result()
        far.close()

    def test_server_has_a_certificate_for_each_kind_of_client(self):
        """RSA and ECDSA pairs in one context."""
        context = self.context("server", [pki.server("rsa"), pki.server("ecdsa")], **sessions.only("tls12"))
        for cipher, kind in (("ECDHE-RSA-AES128-GCM-SHA256", "rsa"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa")):
            near, far = sessions.tcp_pair()
            made = peers.python_context(False, ca=pki.root(), version="tls12")
            made.set_ciphers(cipher)
            puppet = peers.Puppet(far, made, False, pki.HOST)
            handshake = Background(puppet.handshake)
            session = self.accept(context, near)
            handshake.result()
            self.assertEqual(puppet.tls.getpeercert(True), pki.server(kind).der)
            self.assertEqual(session.negotiated.cipher.name, cipher)
            far.close()

    def test_describe_tells_what_the_handshake_told(self):
        session, _ = self.established(alpn=[b"x"])
        described = session.describe()
        self.assertEqual(described.negotiated, session.negotiated)
        self.assertEqual(described.peer.der, session.peer.der)
        self.assertEqual(described.state, common_pb2.STATE_DONE)
        self.assertEqual(described.role, common_pb2.ROLE_CLIENT)
        self.assertEqual(described.transport, self.PATH)
        self.assertEqual(described.negotiated.group.lower(), "x25519")
        self.assertEqual(described.negotiated.cipher.protocol, "TLSv1.3")

    @each(version=VERSIONS)
    def test_both_chains_of_the_peer_are_told(self, version):
        session, _ = self.established(version)
        response = self.rpc.session.PeerCertificate(session=session.handle, decode=True)
        own, ca, root = pki.server("ecdsa").der, pki.intermediate().der, pki.root().der
        self.assertEqual(response.peer.der, own)
        self.assertEqual(list(response.unverified_chain), [own, ca])
        self.assertEqual(list(response.verified_chain), [own, ca, root])
        self.assertEqual([c.der for c in response.verified_certificates], [own, ca, root])


class Streams(PathTests):
    """Do the bytes arrive, and is the end told as it was?"""

    @each(version=VERSIONS, role=("client", "server"))
    def test_bytes_go_both_ways(self, version, role):
        session, puppet = self.established(version, role)
        session.write(b"from the daemon")
        self.assertEqual(puppet.recv(), b"from the daemon")
        puppet.send(b"to the daemon")
        self.assertEqual(session.read(), b"to the daemon")
        described = session.describe()
        self.assertEqual((described.bytes_read, described.bytes_written), (13, 15))

    def test_a_read_gives_no_more_than_asked_for(self):
        session, puppet = self.established()
        puppet.send(b"abcdef")
        response = session.call("Read", max_bytes=2)
        self.assertEqual(response.data, b"ab")
        self.assertEqual(response.pending, 4)
        self.assertEqual(session.read(4), b"cdef")

    def test_an_empty_write_sends_nothing(self):
        session, puppet = self.established()
        session.write(b"")
        session.write(b"x")
        self.assertEqual(puppet.recv(), b"x")

    @each(size=(1, 16383, 16384, 16385, 100000, 1000000))
    def test_sizes_around_a_record(self, size):
        session, puppet = self.established()
        data = random.Random(size).randbytes(size)
        echo = Background(lambda: puppet.send(puppet.recv_exactly(size)))
        session.write(data)
        self.assertEqual(session.read_exactly(size), data)
        echo.result()

    @each(version=VERSIONS, role=("client", "server"))
    def test_close_notify_is_a_clean_end(self, version, role):
        session, puppet = self.established(version, role)
        puppet.send(b"last words")
        end = Background(puppet.unwrap)
        self.assertEqual(session.read_all(), b"last words")
        self.assertEqual(session.read(), b"", "and stays the end")
        self.assertTrue(session.describe().shutdown_received)
        response = session.shutdown()
        self.assertTrue(response.sent and response.received)
        end.result()

    @each(version=VERSIONS, role=("client", "server"))
    def test_our_close_notify_is_a_clean_end_for_the_peer(self, version, role):
        session, puppet = self.established(version, role)
        session.write(b"last words")
        response = session.shutdown(await_peer=False)
        self.assertTrue(response.sent)
        self.assertFalse(response.received)
        self.assertEqual(puppet.recv(), b"last words")
        self.assertEqual(puppet.recv(), b"")

    def test_shutdown_that_awaits_the_peer_counts_what_it_throws_away(self):
        session, puppet = self.established()
        puppet.send(b"12345")
        end = Background(puppet.unwrap)
        response = session.shutdown(await_peer=True)
        self.assertTrue(response.sent and response.received)
        self.assertEqual(response.discarded, 5)
        end.result()

    @each(version=VERSIONS, role=("client", "server"))
    def test_a_stream_without_close_notify_is_truncated(self, version, role):
        session, puppet = self.established(version, role)
        puppet.send(b"half a sent")
        puppet.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(session.read(), b"half a sent")
        failure = self.assertFails(session.read, kind=common_pb2.ERROR_KIND_TRUNCATED)
        self.assertEqual(failure.error.reason, "UNEXPECTED_EOF_WHILE_READING")
        self.assertEqual(session.describe().state, common_pb2.STATE_FAILED)

    @each(version=VERSIONS)
    def test_a_record_cut_in_the_middle_is_truncated(self, version):
        session, puppet = self.established(version)
        puppet.tls.write(b"a record that will never be whole")
        puppet.sock.sendall(puppet.take_output()[:-7])
        puppet.sock.shutdown(socket.SHUT_WR)
        self.assertFails(session.read, kind=common_pb2.ERROR_KIND_TRUNCATED)

    @each(role=("client", "server"))
    def test_a_handshake_cut_in_the_middle_is_truncated(self, role):
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        far.shutdown(socket.SHUT_WR)
        start = {"client": lambda: self.connect(self.trusting(), near),
                 "server": lambda: self.accept(self.context("server", pki.server("ecdsa")), near)}[role]
        self.assertFails(start, kind=common_pb2.ERROR_KIND_TRUNCATED)

    @each(role=("client", "server"))
    def test_a_close_notify_in_the_handshake_is_a_failure(self, role):
        """Anybody can send it then: nobody has been verified yet."""
        near, far = sessions.tcp_pair()
        self.addCleanup(far.close)
        far.sendall(b"\x15\x03\x03\x00\x02\x01\x00")
        start = {"client": lambda: self.connect(self.trusting(), near),
                 "server": lambda: self.accept(self.context("server", pki.server("ecdsa")), near)}[role]
        self.assertFails(start)

    def test_a_write_after_the_end_leaves_the_rest_of_the_session_alone(self):
        session, puppet = self.established()
        session.shutdown(await_peer=False)
        failure = self.assertFails(session.write, b"too late")
        self.assertEqual(failure.error.reason, "PROTOCOL_IS_SHUTDOWN")
        puppet.send(b"still heard")
        self.assertEqual(session.read(), b"still heard")
        described = session.describe()
        self.assertEqual(described.state, common_pb2.STATE_DONE)
        self.assertFalse(described.HasField("error"))

    @each(version=VERSIONS)
    def test_an_alert_in_the_middle_is_told_by_number_and_name(self, version):
        """A record of ours is spoilt on its way; the peer answers with bad_record_mac."""
        session, puppet = self.established(version)
        session.write(b"to be spoilt")
        spoilt = bytearray(puppet.sock.recv(1 << 16))
        spoilt[-1] ^= 1
        puppet.incoming.write(bytes(spoilt))
        self.assertRaises(ssl.SSLError, puppet.recv)
        failure = self.assertFails(session.read)
        self.assertEqual(failure.error.alert.value, ALERT_BAD_RECORD_MAC)
        self.assertEqual(failure.error.reason, "SSLV3_ALERT_BAD_RECORD_MAC")

    @each(version=VERSIONS)
    def test_a_spoilt_record_is_refused_and_the_peer_is_told(self, version):
        session, puppet = self.established(version)
        puppet.tls.write(b"to be spoilt")
        spoilt = bytearray(puppet.take_output())
        spoilt[-1] ^= 1
        puppet.sock.sendall(spoilt)
        failure = self.assertFails(session.read)
        self.assertEqual(failure.error.reason, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC")
        self.assertEqual(failure.error.alert.value, ALERT_BAD_RECORD_MAC)
        with self.assertRaises(ssl.SSLError) as caught:
            puppet.recv()
        self.assertIn("ALERT_BAD_RECORD_MAC", caught.exception.reason)

    @each(version=VERSIONS, role=("client", "server"))
    def test_bytes_that_arrive_one_at_a_time(self, version, role):
        near, far = sessions.tcp_pair()
        options = {"chunk": 1} if self.PATH == "memory" else {}
        puppet = self.puppet(far, role == "client", None if role == "client" else pki.HOST, version=version,
                             pair=pki.server("ecdsa"))
        puppet.step_bytes = 1
        handshake = Background(puppet.handshake)
        if role == "client":
            session = self.connect(self.trusting(version), near, **options)
        else:
            session = self.accept(self.context("server", pki.server("ecdsa")), near, **options)
        handshake.result()
        puppet.send(b"drop by drop")
        self.assertEqual(session.read_exactly(12), b"drop by drop")
        session.write(b"all at once")
        self.assertEqual(puppet.recv(), b"all at once")

    @each(version=VERSIONS)
    def test_clear_text_after_tls_is_not_lost(self, version):
        session, puppet = self.established(version)
        end = Background(lambda: (puppet.unwrap(), puppet.sock.sendall(b"clear again\n")))
        response = session.shutdown(await_peer=True)
        self.assertTrue(response.sent and response.received)
        end.result()
        if self.PATH == "memory":
            clear, session.inbox = session.inbox, b""
        else:
            clear = response.trailing
        session.close()
        while not clear.endswith(b"\n"):
            clear += session.sock.recv(100)
        self.assertEqual(clear, b"clear again\n")
        session.sock.sendall(b"clear as well")
        self.assertEqual(puppet.rest() or puppet.sock.recv(100), b"clear as well")

    def test_clear_text_in_the_same_segment_as_close_notify_is_not_lost(self):
        session, puppet = self.established()
        session.shutdown(await_peer=False)
        self.assertEqual(puppet.recv(), b"")
        puppet.outgoing.read()
        self.assertIsNotNone(puppet.tls.unwrap)
        try:
            puppet.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        puppet.sock.sendall(puppet.take_output() + b"clear in the same breath")
        response = session.shutdown(await_peer=True)
        clear = session.inbox if self.PATH == "memory" else response.trailing
        self.assertEqual(clear, b"clear in the same breath")

    def test_a_session_outlives_its_context(self):
        near, far = sessions.tcp_pair()
        puppet = self.puppet(far, pair=pki.server("ecdsa"))
        handshake = Background(puppet.handshake)
        context = self.trusting()
        session = self.connect(context, near)
        handshake.result()
        self.rpc.context.Release(context=context)
        session.write(b"still here")
        self.assertEqual(puppet.recv(), b"still here")
        self.assertCode(Code.NOT_FOUND, self.rpc.context.Describe, context=context)

    def test_a_failed_session_stays_failed_and_closes(self):
        session, puppet = self.established()
        puppet.sock.shutdown(socket.SHUT_WR)
        first = self.assertFails(session.read, kind=common_pb2.ERROR_KIND_TRUNCATED)
        again = self.assertFails(session.read, kind=common_pb2.ERROR_KIND_TRUNCATED)
        self.assertEqual(first.error, again.error)
        self.assertFails(session.write, b"x", kind=common_pb2.ERROR_KIND_TRUNCATED)
        session.close()
        self.assertCode(Code.NOT_FOUND, self.rpc.session.Read, session=session.handle)

    def test_many_sessions_at_a_time_do_not_mix(self):
        sessions_and_puppets = [self.established() for _ in range(20)]
        for number, (session, _) in enumerate(sessions_and_puppets):
            session.write(b"number %d" % number)
        for number, (session, puppet) in reversed(list(enumerate(sessions_and_puppets))):
            self.assertEqual(puppet.recv(), b"number %d" % number)
            puppet.send(b"back %d" % number)
        for number, (session, _) in enumerate(sessions_and_puppets):
            self.assertEqual(session.read(), b"back %d" % number)


class BulkPeer:
    """Sends and receives size bytes at once, with Python's TLS on a non-blocking socket."""

    def __init__(self, puppet, data):
        self.tls_sock = puppet.sock
        self.puppet = puppet
        self.data = data
        self.received = bytearray()

    def run(self):
        sock, puppet, unsent, out = self.tls_sock, self.puppet, memoryview(self.data), b""
        sock.setblocking(False)
        while len(self.received) < len(self.data) or unsent or out:
            if not out and unsent:
                puppet.tls.write(unsent[:1 << 18])
                unsent, out = unsent[1 << 18:], memoryview(puppet.take_output())
            readable, writable, _ = select.select([sock], [sock] if out else [], [], timing.PATIENCE)
            assert readable or writable, "nothing moves"
            if writable:
                out = out[sock.send(out):]
            if readable:
                self.take(sock.recv(1 << 18))
        return bytes(self.received)

    def take(self, part):
        assert part, "the stream ended early"
        self.puppet.incoming.write(part)
        try:
            while True:
                self.received += self.puppet.tls.read(1 << 18)
        except ssl.SSLWantReadError:
            pass


def bulk(seed):
    return random.Random(seed).randbytes(BULK_BYTES)


def run_threads(*functions):
    """Runs them at once; the first error is raised."""
    for running in [Background(function) for function in functions]:
        running.result(600)


__all__ = ["BAD_SERVERS", "BulkPeer", "HandshakesWithPeers", "Names", "PathTests", "Refusals", "Streams", "bulk",
           "run_threads"]
