"""ContextService: is everything settable, readable back, refused whole when any part is bad, and nobody else's?"""

import base64
import os
import re
import sys
import tempfile

import daemon
import peers
import pki
import session as sessions
import timing
import users
from e2e import Code, E2ETest, RpcError, each
from session import Background
from tlsagent.v1 import common_pb2, context_pb2
from ttrpc_client import Client

KINDS = ("client", "server", "both")


class ContextTest(E2ETest):
    def create(self, request):
        """The answer to Create, given plain settings by sessions.context_request."""
        return self.rpc.context.Create(request)

    def describe(self, context):
        return self.rpc.context.Describe(context=context)

    def assertInvalid(self, response, item, words=""):
        """Refused for this item (a regular expression), in words; nothing was made."""
        self.assertTrue(response.HasField("error"), "it was accepted")
        self.assertEqual(response.error.kind, common_pb2.ERROR_KIND_INVALID, response.error)
        self.assertRegex(response.error.item, f"^(?:{item})$")
        self.assertTrue(response.error.text)
        self.assertRegex(response.error.detail + " " + response.error.reason, f"(?i){words}")
        self.assertEqual(getattr(response, "context", 0), 0)

    def assertUsable(self, context, kind="client"):
        """It shakes hands."""
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        server_side = kind == "client"
        made = peers.python_context(server_side, pki.server("ecdsa") if server_side else None)
        handshake = Background(peers.Puppet(far, made, server_side, None if server_side else pki.HOST).handshake)
        if kind == "client":
            session = sessions.connect(self.rpc, "memory", context, near)
        else:
            session = sessions.accept(self.rpc, "memory", context, near)
        handshake.result()
        session.close()


class Creating(ContextTest):
    @each(kind=KINDS)
    def test_a_context_of_each_kind(self, kind):
        described = self.describe(sessions.context(self.rpc, kind))
        self.assertEqual(context_pb2.ContextKind.Name(described.kind), "CONTEXT_KIND_" + kind.upper())

    def test_an_unspecified_kind_is_both(self):
        context = self.create(context_pb2.CreateContextRequest()).context
        self.assertEqual(self.describe(context).kind, context_pb2.CONTEXT_KIND_BOTH)

    def test_a_client_verifies_unless_told_otherwise(self):
        settings = self.describe(sessions.context(self.rpc, "client")).settings
        self.assertEqual(settings.verify_mode.value, context_pb2.VERIFY_MODE_REQUIRED)
        self.assertTrue(settings.check_hostname.value)

    @each(kind=("server", "both"))
    def test_others_ask_for_no_certificate_unless_told_to(self, kind):
        settings = self.describe(sessions.context(self.rpc, kind)).settings
        self.assertEqual(settings.verify_mode.value, context_pb2.VERIFY_MODE_NONE)

    @each(kind=KINDS)
    def test_nothing_below_tls_1_2_by_default(self, kind):
        described = self.describe(sessions.context(self.rpc, kind))
        self.assertEqual(described.settings.min_version.version, common_pb2.PROTOCOL_VERSION_TLS_1_2)
        self.assertEqual(described.settings.max_version.version, common_pb2.PROTOCOL_VERSION_UNSPECIFIED)
        self.assertTrue(described.ciphers)
        self.assertEqual(described.ciphers[0].protocol, "TLSv1.3")
        self.assertEqual(described.settings.num_tickets.value, 2)

    @each(form=("pem", "der", "key_in_the_chain", "traditional_key", "text_between"), kind=pki.KINDS)
    def test_a_certificate_and_key_as(self, form, kind):
        request = sessions.context_request("server")
        pair, of = request.pairs.add(), pki.server(kind)
        if form == "der":
            pair.chain.data, pair.key.data = of.der + pki.intermediate().der, of.key_der
        elif form == "key_in_the_chain":
            pair.chain.data = of.chain + of.key
        elif form == "traditional_key":
            pair.chain.data = of.chain
            pair.key.data = pki.openssl("pkey", "-in", of.key_path, "-traditional")
        elif form == "text_between":
            pair.chain.data = b"Here it is:\r\n" + of.chain.replace(b"-----BEGIN", b"and one\n-----BEGIN") + b"\nthat's all"
            pair.key.data = b"psst\n" + of.key.replace(b"\n", b"\r\n")
        else:
            pair.chain.data, pair.key.data = of.chain, of.key
        response = self.create(request)
        self.assertFalse(response.HasField("error"), response.error)
        self.assertEqual([c.der for c in self.describe(response.context).certificates], [of.der])
        self.assertUsable(response.context, "server")

    @each(form=("pkcs8", "traditional"), kind=pki.KINDS)
    def test_an_encrypted_key_with_its_password(self, form, kind):
        request = sessions.context_request("server")
        pair = request.pairs.add()
        pair.chain.data = pki.server(kind).chain
        pair.key.data = pki.encrypted_key(kind, "open sesame", form)
        pair.password.value = b"open sesame"
        response = self.create(request)
        self.assertFalse(response.HasField("error"), response.error)
        self.assertUsable(response.context, "server")

    def test_a_password_that_is_not_needed_is_ignored(self):
        request = sessions.context_request("server", pki.server("ecdsa"))
        request.pairs[0].password.value = b"not needed"
        self.assertFalse(self.create(request).HasField("error"))

    def test_pairs_of_several_key_types(self):
        context = sessions.context(self.rpc, "server", [pki.server("rsa"), pki.server("ecdsa")])
        self.assertEqual({c.key_type for c in self.describe(context).certificates}, {"RSA", "EC"})

    def test_trust_is_counted_and_listed(self):
        context = sessions.context(self.rpc, "client", trust=[pki.root(), pki.other_root(), pki.server("rsa")])
        counts = self.describe(context).trust
        self.assertEqual((counts.certificates, counts.ca_certificates, counts.crls), (3, 2, 0))
        listed = self.rpc.context.ListTrust(context=context, decode=True)
        self.assertEqual(set(listed.der), {pki.root().der, pki.other_root().der})
        self.assertEqual([c.der for c in listed.certificates], list(listed.der))
        self.assertFalse(self.rpc.context.ListTrust(context=context).certificates)

    def test_trust_twice_is_trust_once(self):
        context = sessions.context(self.rpc, "client", trust=[pki.root(), pki.root()])
        self.assertEqual(len(self.rpc.context.ListTrust(context=context).der), 1)

    def test_trust_in_der_and_in_one_file(self):
        request = sessions.context_request("client")
        request.trust.certificates.add(data=pki.root().der + pki.other_root().der)
        request.trust.certificates.add(data=b"# a bundle\n" + pki.intermediate().pem + b"# more\n" + pki.server("rsa").pem)
        context = self.create(request).context
        self.assertEqual(self.describe(context).trust.certificates, 4)

    def test_the_system_store_can_be_trusted(self):
        if not os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
            self.skipTest("this machine trusts nobody")
        request = sessions.context_request("client")
        request.trust.system = True
        response = self.create(request)
        self.assertFalse(response.HasField("error"), response.error)

    def test_many_contexts_share_a_trust_file(self):
        """A bundle of a hundred certificates is parsed once."""
        for _ in range(50):
            context = sessions.context(self.rpc, "client", trust=[pki.root(), pki.other_root(), pki.intermediate()])
        self.assertEqual(self.describe(context).trust.certificates, 3)


# Settings that must come back as they went in: {name: (kind, field, value)}.
ROUND_TRIPS = {
    "min_version": ("both", "min_version", 772), "max_version": ("both", "max_version", 771),
    "old_versions": ("both", "min_version", 769),
    "ciphersuites": ("both", "ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"),
    "options": ("both", "options", 1 << 14), "verify_flags": ("both", "verify_flags", 4 | 8),
    "host_flags": ("both", "host_flags", 4), "verify_depth": ("both", "verify_depth", 3),
    "verify_optional": ("server", "verify_mode", 2), "verify_required": ("server", "verify_mode", 3),
    "check_hostname": ("client", "check_hostname", False), "num_tickets": ("server", "num_tickets", 0),
    "many_tickets": ("server", "num_tickets", 5),
    "session_id_context": ("server", "session_id_context", b"an application"),
    "session_timeout": ("server", "session_timeout_seconds", 1234), "cache": ("server", "session_cache_size", 17),
    "no_cache": ("server", "session_cache_size", 0), "security_level": ("both", "security_level", 3),
    "post_handshake_auth": ("client", "post_handshake_auth", True),
}


class Settings(ContextTest):
    @each(case=ROUND_TRIPS, how=("create", "configure"))
    def test_it_comes_back(self, case, how):
        kind, name, value = case
        if how == "create":
            context = sessions.context(self.rpc, kind, **{name: value})
        else:
            context = sessions.context(self.rpc, kind)
            change = sessions.fill_settings(context_pb2.ContextSettings(), **{name: value})
            self.assertFalse(self.rpc.context.Configure(context=context, settings=change).HasField("error"))
        field = getattr(self.describe(context).settings, name)
        got = field.version if hasattr(field, "version") else field.value
        if name == "options":
            self.assertEqual(got & value, value)
        else:
            self.assertEqual(got, value)

    def test_ciphers_are_selected(self):
        context = sessions.context(self.rpc, "both", ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384",
                                   ciphersuites="TLS_AES_256_GCM_SHA384")
        ciphers = self.describe(context).ciphers
        self.assertEqual([c.name for c in ciphers], ["TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES128-GCM-SHA256",
                                                     "ECDHE-RSA-AES256-GCM-SHA384"])
        first = ciphers[1]
        self.assertEqual((first.id & 0xFFFF, first.standard_name, first.strength_bits, first.aead),
                         (0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 128, True))

    def test_ciphers_are_those_of_openssl(self):
        """The whole list, against openssl-ciphers(1)."""
        context = sessions.context(self.rpc, "both", ciphers="HIGH:!aNULL:!PSK:!SRP")
        expected = pki.openssl("ciphers", "-s", "-tls1_2", "HIGH:!aNULL:!PSK:!SRP").decode().strip().split(":")
        expected = [name for name in expected if not name.startswith("TLS_")]
        got = [c.name for c in self.describe(context).ciphers if not c.name.startswith("TLS_")]
        self.assertEqual(got, expected, set(got) ^ set(expected))

    def test_groups_are_used(self):
        context = sessions.context(self.rpc, "client", groups="P-384", trust=[pki.root()])
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        handshake = Background(peers.Puppet(far, peers.python_context(True, pki.server("rsa")), True).handshake)
        session = sessions.connect(self.rpc, "fd", context, near)
        handshake.result()
        self.assertIn(session.negotiated.group.lower(), ("secp384r1", "p-384"))

    def test_alpn_comes_back(self):
        context = sessions.context(self.rpc, "both", alpn=[b"h2", b"\0\xff odd"], alpn_require_overlap=True)
        alpn = self.describe(context).settings.alpn
        self.assertEqual((list(alpn.protocols), alpn.require_overlap), ([b"h2", b"\0\xff odd"], True))

    def test_dh_parameters_are_taken(self):
        parameters = pki.openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048")
        sessions.context(self.rpc, "server", pki.server("rsa"), dh_params=parameters)

    def test_absent_settings_keep_their_values(self):
        context = sessions.context(self.rpc, "server", num_tickets=4, verify_depth=2, alpn=[b"x"])
        before = self.describe(context)
        self.assertFalse(self.rpc.context.Configure(context=context).HasField("error"))
        self.assertEqual(self.describe(context), before)

    def test_a_version_bound_can_be_lifted(self):
        context = sessions.context(self.rpc, "both", max_version=771)
        change = sessions.fill_settings(context_pb2.ContextSettings(), max_version=0)
        self.rpc.context.Configure(context=context, settings=change)
        self.assertEqual(self.describe(context).settings.max_version.version, 0)

    def test_no_answer_ever_has_a_key(self):
        """Neither in PEM nor in DER, nor its password, whatever is asked."""
        secret = b"a password to be forgotten"
        request = sessions.context_request("server", trust=[pki.root()])
        pair = request.pairs.add()
        pair.chain.data, pair.password.value = pki.server("rsa").chain + pki.server("rsa").key, secret
        pair.key.data = pki.encrypted_key("rsa", secret.decode())
        context = self.create(request).context
        answers = self.describe(context).SerializeToString() + self.rpc.context.ListTrust(
            context=context, decode=True).SerializeToString()
        der = pki.server("rsa").key_der
        for piece in (b"PRIVATE KEY", secret, der[400:432], der[-32:], base64.b64encode(der[402:432])):
            self.assertNotIn(piece, answers)


def _pair(chain=None, key=None, password=None):
    """A mutation of a request: the second of its pairs is this one, so that the item has an index to name."""
    def mutate(request):
        pair = request.pairs.add()
        for name, value in (("chain", chain), ("key", key)):
            if value is not None:
                getattr(pair, name).data = value() if callable(value) else value
        if password is not None:
            pair.password.value = password

    return mutate


def _setting(**settings):
    return lambda request: sessions.fill_settings(request.settings, **settings)


def _trust(field, data):
    return lambda request: getattr(request.trust, field).add(data=data() if callable(data) else data)


# What is refused: {name: (mutation, item, words)}. The first pair of every request is a good ECDSA one.
BAD = {
    "cipher_that_is_none": (_setting(ciphers="NONSENSE"), r"settings\.ciphers", "NONSENSE|no cipher"),
    "empty_cipher_list": (_setting(ciphers=""), r"settings\.ciphers", ""),
    "suite_that_is_none": (_setting(ciphersuites="TLS_NONSENSE"), r"settings\.ciphersuites", "TLS_NONSENSE"),
    "group_that_is_none": (_setting(groups="X25519:NONSENSE"), r"settings\.groups", "NONSENSE"),
    "sigalg_that_is_none": (_setting(signature_algorithms="NONSENSE"), r"settings\.signature_algorithms", "NONSENSE"),
    "client_sigalg_that_is_none": (_setting(client_signature_algorithms="NONSENSE"),
                                   r"settings\.client_signature_algorithms", "NONSENSE"),
    "versions_the_wrong_way_round": (_setting(min_version=772, max_version=771), r"settings\.m(in|ax)_version", "above"),
    "no_check_without_verification": (_setting(verify_mode=1, check_hostname=True), r"settings\.check_hostname", ""),
    "empty_alpn_name": (_setting(alpn=[b"h2", b""]), r"settings\.alpn\.protocols\[1\]", "1 to 255"),
    "long_alpn_name": (_setting(alpn=[b"a" * 256]), r"settings\.alpn\.protocols\[0\]", "1 to 255"),
    "far_too_much_alpn": (_setting(alpn=[b"a" * 255] * 300), r"settings\.alpn\.protocols\[\d+\]", ""),
    "long_session_id_context": (_setting(session_id_context=bytes(33)), r"settings\.session_id_context", "32"),
    "security_level_6": (_setting(security_level=6), r"settings\.security_level", ""),
    "far_too_many_tickets": (_setting(num_tickets=0xFFFFFFFF), r"settings\.num_tickets", ""),
    "far_too_deep": (_setting(verify_depth=0xFFFFFFFF), r"settings\.verify_depth", ""),
    "dh_that_is_none": (_setting(dh_params=b"no parameters"), r"settings\.dh_params", ""),
    "dh_that_is_a_key": (_setting(dh_params=pki.key_file("ecdsa") and pki.read(pki.key_file("ecdsa"))), r"settings\.dh_params", ""),
    "key_of_another": (_pair(lambda: pki.server("rsa").chain, lambda: pki.read(pki.key_file("rsa", "b"))),
                       r"pairs\[1\]\.key", "mismatch|match"),
    "key_of_another_type": (_pair(lambda: pki.server("rsa").chain, lambda: pki.server("ecdsa").key), r"pairs\[1\](\.key)?", "match|type"),
    "wrong_password": (_pair(lambda: pki.server("rsa").chain, lambda: pki.encrypted_key("rsa", "right"), b"wrong"),
                       r"pairs\[1\]\.(password|key)", "password|decrypt"),
    "wrong_password_of_a_traditional_key": (
        _pair(lambda: pki.server("rsa").chain, lambda: pki.encrypted_key("rsa", "right", "traditional"), b"wrong"),
        r"pairs\[1\]\.(password|key)", "password|decrypt"),
    "empty_password": (_pair(lambda: pki.server("rsa").chain, lambda: pki.encrypted_key("rsa", "right"), b""),
                       r"pairs\[1\]\.(password|key)", "password|decrypt"),
    "missing_password": (_pair(lambda: pki.server("rsa").chain, lambda: pki.encrypted_key("rsa", "right")),
                         r"pairs\[1\]\.(password|key)", "password"),
    "long_password": (_pair(lambda: pki.server("rsa").chain, lambda: pki.encrypted_key("rsa", "right"), bytes(1025)),
                      r"pairs\[1\]\.password", "1024"),
    "no_certificate_in_the_bytes": (_pair(b"just words", lambda: pki.server("rsa").key), r"pairs\[1\]\.chain", "no certificate"),
    "a_key_for_a_certificate": (_pair(lambda: pki.server("rsa").key, lambda: pki.server("rsa").key), r"pairs\[1\]\.chain", "no certificate"),
    "a_certificate_for_a_key": (_pair(lambda: pki.server("rsa").chain, lambda: pki.server("rsa").pem), r"pairs\[1\]\.key", "no (private )?key|key"),
    "no_key_at_all": (_pair(lambda: pki.server("rsa").chain), r"pairs\[1\]\.(key|chain)", "key"),
    "a_public_key": (_pair(lambda: pki.server("rsa").chain, lambda: pki.openssl("pkey", "-in", pki.key_file("rsa"), "-pubout")),
                     r"pairs\[1\]\.key", "key"),
    "a_torn_certificate": (_pair(lambda: pki.server("rsa").der[:-10], lambda: pki.server("rsa").key_der), r"pairs\[1\]\.chain", ""),
    "a_torn_key": (_pair(lambda: pki.server("rsa").der, lambda: pki.server("rsa").key_der[:-10]), r"pairs\[1\]\.key", ""),
    "a_broken_pem": (_pair(lambda: pki.server("rsa").chain.replace(b"A", b"!"), lambda: pki.server("rsa").key), r"pairs\[1\]\.chain", ""),
    "the_same_key_type_twice": (_pair(lambda: pki.expired("ecdsa").chain, lambda: pki.expired("ecdsa").key), r"pairs(\[1\])?", ""),
    "a_certificate_too_weak": (
        lambda request: (_pair(lambda: pki.server("rsa").chain, lambda: pki.server("rsa").key)(request),
                         _setting(security_level=3)(request)), r"pairs\[1\](\.chain)?|settings", "small"),
    "no_certificate_in_trust": (_trust("certificates", b"trust me"), r"trust\.certificates\[0\]", "no certificate"),
    "empty_trust": (_trust("certificates", b""), r"trust\.certificates\[0\]", ""),
    "a_key_in_trust": (_trust("certificates", lambda: pki.server("rsa").key), r"trust\.certificates\[0\]", "no certificate"),
    "a_torn_certificate_in_trust": (_trust("certificates", lambda: pki.root().der[:-1]), r"trust\.certificates\[0\]", ""),
    "no_list_in_crls": (_trust("crls", b"nothing is revoked"), r"trust\.crls\[0\]", ""),
    "a_certificate_in_crls": (_trust("crls", lambda: pki.root().pem), r"trust\.crls\[0\]", ""),
}

# What makes no sense to begin with, and is refused by status: {name: mutation}.
SENSELESS = {
    "version_that_is_none": _setting(min_version=42), "old_version_that_is_none": _setting(max_version=2),
    "verify_mode_unspecified": _setting(verify_mode=0), "verify_mode_that_is_none": _setting(verify_mode=77),
    "material_without_source": lambda request: request.trust.certificates.add(),
    "an_empty_pair": _pair(), "kind_that_is_none": lambda request: setattr(request, "kind", 99),
}


class Refusing(ContextTest):
    """Every bad input is named, and leaves nothing behind."""

    def good(self):
        return sessions.context_request("both", pki.server("ecdsa"))

    @each(case=BAD)
    def test_create_refuses(self, case):
        mutate, item, words = case
        request = self.good()
        mutate(request)
        self.assertInvalid(self.create(request), item, words)

    @each(case=BAD)
    def test_configure_refuses_and_changes_nothing(self, case):
        mutate, item, words = case
        context = sessions.context(self.rpc, "both", pki.server("ecdsa"), [pki.root()], num_tickets=3, alpn=[b"before"])
        before = self.describe(context)
        change = self.good()  # the good first pair, a good setting, and the bad part
        sessions.fill_settings(change.settings, num_tickets=7)
        change.trust.certificates.add(data=pki.other_root().pem)
        mutate(change)
        shift = lambda m: f"trust\\.certificates\\[{int(m[1]) + 1}"
        response = self.rpc.context.Configure(context=context, settings=change.settings, pairs=change.pairs, trust=change.trust)
        self.assertInvalid(response, re.sub(r"trust\\.certificates\\\[(\d)", shift, item), words)
        self.assertEqual(self.describe(context), before)
        self.assertEqual(list(self.rpc.context.ListTrust(context=context).der), [pki.root().der])
        self.assertUsable(context, "server")

    @each(case=SENSELESS)
    def test_senseless_requests_are_refused_by_status(self, case):
        request = self.good()
        case(request)
        try:
            self.assertInvalid(self.create(request), ".*")
        except RpcError as error:
            self.assertEqual(error.code, Code.INVALID_ARGUMENT)

    @each(part=("pair", "trust"))
    def test_a_file_that_is_too_long_is_refused(self, part):
        """The limit material_bytes, which the daemon here has set low."""
        long = pki.server("rsa").chain + b"\n" * (2 << 20)
        request = self.good()
        if part == "pair":
            request.pairs.add().chain.data = long
        else:
            request.trust.certificates.add(data=long)
        self.assertIn("material_bytes", self.assertCode(Code.RESOURCE_EXHAUSTED, self.create, request))

    @each(kind=("client", "server"))
    def test_a_setting_of_the_other_role_does_no_harm(self, kind):
        sessions.context(self.rpc, kind, num_tickets=1, check_hostname=False, verify_mode=1)

    def by_file(self, content):
        """The answer to a request whose trust is a file."""
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            request = sessions.context_request("client")
            request.trust.certificates.add().fd = 0
            return self.rpc.context.Create(request, fds=[file.fileno()])

    def test_descriptors_as_material_are_read_and_closed(self):
        self.rpc.agent.Ping()  # so that its connection is among them
        before = daemon.settled(self.daemon.num_fds)
        for _ in range(20):
            response = self.by_file(pki.root().pem)
            self.assertFalse(response.HasField("error"), response.error)
            self.assertEqual(list(self.rpc.context.ListTrust(context=response.context).der), [pki.root().der])
            self.rpc.context.Release(context=response.context)
            self.assertInvalid(self.by_file(b"trust me"), r"trust\.certificates\[0\]", "no certificate")
        timing.eventually(lambda: before is None or self.daemon.num_fds() <= before, "they are closed")

    def test_what_is_no_file_is_no_material(self):
        reading, writing = os.pipe()
        request = sessions.context_request("client")
        request.trust.certificates.add().fd = 0
        for fd in (reading, writing, self.rpc.sock.fileno()):
            self.assertCode(Code.INVALID_ARGUMENT, self.rpc.context.Create, request, fds=[fd])
        os.close(reading)
        os.close(writing)


class Changing(ContextTest):
    def test_a_pair_is_replaced_by_one_of_the_same_type(self):
        context = sessions.context(self.rpc, "server", pki.server("ecdsa"))
        change = sessions.context_request("server", pki.expired("ecdsa"))
        self.assertFalse(self.rpc.context.Configure(context=context, pairs=change.pairs).HasField("error"))
        self.assertEqual([c.der for c in self.describe(context).certificates], [pki.expired("ecdsa").der])

    def test_a_pair_is_added_beside_one_of_another_type(self):
        context = sessions.context(self.rpc, "server", pki.server("ecdsa"))
        change = sessions.context_request("server", pki.server("rsa"))
        self.assertFalse(self.rpc.context.Configure(context=context, pairs=change.pairs).HasField("error"))
        self.assertEqual(len(self.describe(context).certificates), 2)

    def test_trust_is_added(self):
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        change = sessions.context_request("client", trust=[pki.other_root()])
        self.assertFalse(self.rpc.context.Configure(context=context, trust=change.trust).HasField("error"))
        self.assertEqual(self.describe(context).trust.certificates, 2)

    def test_settings_act_on_sessions_made_later(self):
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        puppet = peers.Puppet(far, peers.python_context(True, pki.server("ecdsa")), True)
        handshake = Background(puppet.handshake)
        session = sessions.connect(self.rpc, "memory", context, near)
        handshake.result()
        change = sessions.fill_settings(context_pb2.ContextSettings(), max_version=771)
        self.rpc.context.Configure(context=context, settings=change)
        session.write(b"as before")
        self.assertEqual(puppet.recv(), b"as before")
        self.assertEqual(session.describe().negotiated.version, common_pb2.PROTOCOL_VERSION_TLS_1_3)

    def test_handshakes_are_counted(self):
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        self.assertUsable(context)
        self.assertUsable(context)
        stats = self.describe(context).sessions
        self.assertEqual((stats.connect, stats.connect_good, stats.accept), (2, 2, 0))

    def test_a_released_context_is_gone(self):
        context = sessions.context(self.rpc, "client")
        self.rpc.context.Release(context=context)
        self.assertCode(Code.NOT_FOUND, self.rpc.context.Describe, context=context)
        self.assertCode(Code.NOT_FOUND, self.rpc.context.Release, context=context)


class Names(ContextTest):
    """Contexts that outlive their maker."""

    def named(self, rpc, name, kind="server", pair=None):
        request = sessions.context_request(kind, pair)
        request.name = name
        self.addCleanup(self.forget, name)
        return rpc.context.Create(request).context

    def forget(self, name):
        with self.daemon.client() as rpc:
            try:
                rpc.context.Forget(name=name)
            except RpcError as error:
                self.assertEqual(error.code, Code.NOT_FOUND)

    def test_a_named_context_outlives_its_maker(self):
        maker = self.client()
        self.named(maker, "outliving", pair=pki.server("ecdsa"))
        maker.close()
        opened = self.rpc.context.Open(name="outliving").context
        self.assertEqual(self.describe(opened).name, "outliving")
        self.assertUsable(opened, "server")

    def test_each_opener_has_a_handle_of_its_own(self):
        self.named(self.rpc, "shared")
        one, other = self.client(), self.client()
        first, second = one.context.Open(name="shared").context, other.context.Open(name="shared").context
        one.context.Release(context=first)
        other.context.Describe(context=second)
        self.rpc.context.Open(name="shared")

    def test_a_name_is_taken_once(self):
        self.named(self.rpc, "taken")
        request = sessions.context_request("client")
        request.name = "taken"
        self.assertCode(Code.ALREADY_EXISTS, self.client().context.Create, request)

    def test_a_released_name_can_be_opened_again(self):
        context = self.named(self.rpc, "kept")
        self.rpc.context.Release(context=context)
        self.rpc.context.Open(name="kept")

    def test_a_forgotten_name_is_gone_and_its_handles_are_not(self):
        context = self.named(self.rpc, "forgotten", pair=pki.server("ecdsa"))
        self.rpc.context.Forget(name="forgotten")
        self.assertCode(Code.NOT_FOUND, self.rpc.context.Open, name="forgotten")
        self.assertUsable(context, "server")
        self.named(self.rpc, "forgotten")

    def test_an_unknown_name_is_not_found(self):
        self.assertCode(Code.NOT_FOUND, self.rpc.context.Open, name="never made")
        self.assertCode(Code.NOT_FOUND, self.rpc.context.Forget, name="never made")

    @each(name={"one_byte": "x", "255_bytes": "n" * 255, "any_text": "Ünï/côde \t\"quoted\" name"})
    def test_a_name_may_be(self, name):
        context = self.named(self.rpc, name)
        self.assertEqual(self.describe(context).name, name)
        self.client().context.Open(name=name)

    @each(name={"256_bytes": "n" * 256, "a_megabyte": "n" * (1 << 20)})
    def test_a_name_that_is_too_long_is_refused(self, name):
        request = sessions.context_request("client")
        request.name = name
        self.assertCode(Code.INVALID_ARGUMENT, self.create, request)
        for method in (self.rpc.context.Open, self.rpc.context.Forget):
            with self.assertRaises(RpcError) as caught:
                method(name=name)
            self.assertIn(caught.exception.code, (Code.INVALID_ARGUMENT, Code.NOT_FOUND))

    def test_an_empty_name_opens_nothing(self):
        for method in (self.rpc.context.Open, self.rpc.context.Forget):
            with self.assertRaises(RpcError) as caught:
                method(name="")
            self.assertIn(caught.exception.code, (Code.INVALID_ARGUMENT, Code.NOT_FOUND))

    def test_a_refused_context_takes_no_name(self):
        request = sessions.context_request("client", ciphers="NONSENSE")
        request.name = "refused"
        self.assertInvalid(self.create(request), r"settings\.ciphers")
        self.named(self.rpc, "refused")

    def test_a_change_is_seen_through_every_handle(self):
        context = self.named(self.rpc, "changing")
        opened = self.client()
        other = opened.context.Open(name="changing").context
        change = sessions.fill_settings(context_pb2.ContextSettings(), num_tickets=9)
        self.rpc.context.Configure(context=context, settings=change)
        self.assertEqual(opened.context.Describe(context=other).settings.num_tickets.value, 9)

    @users.needs_root
    def test_another_user_finds_nothing(self):
        os.chmod(self.daemon.path, 0o666)
        self.named(self.rpc, "mine")

        def snoop(path):
            codes = []
            with Client(path) as client:
                for method in (client.context.Open, client.context.Forget):
                    try:
                        method(name="mine")
                        codes.append(None)
                    except RpcError as error:
                        codes.append(int(error.code))
                client.context.Create(name="mine")
                client.context.Forget(name="mine")
            return codes

        self.assertEqual(users.as_nobody(snoop, self.daemon.path), [Code.NOT_FOUND, Code.NOT_FOUND])
        self.rpc.context.Open(name="mine")


if __name__ == "__main__":
    sys.exit("run me with runner.py")
