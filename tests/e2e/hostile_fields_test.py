"""Requests gone wrong: does every method answer clearly whatever its fields hold, and every handle only its owner?"""

import os
import socket
import sys

import mutations
import pki
import session as sessions
import timing
from e2e import Code, E2ETest, RpcError, each
from google.protobuf import message as messages
from streams import TtrpcCalls
from tlsagent.v1 import certificate_pb2, common_pb2, context_pb2, session_pb2
from ttrpc import ttrpc_pb2
from ttrpc_client import frame, is_streaming, message_class, method_descriptor, methods, request_bytes

PATIENCE_NANOS = timing.PATIENCE * 1_000_000_000

# What a request that makes no sense may be answered with.
CLEAR = {Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.PERMISSION_DENIED,
         Code.RESOURCE_EXHAUSTED, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE, Code.UNIMPLEMENTED}

# These end what they are given: they get an object of their own.
FINAL = {"SessionService.Close", "ContextService.Release", "RelayService.Close"}


class World:
    """A client with a context and a session that requests can name."""

    def __init__(self, rpc):
        self.rpc = rpc
        self.token = rpc.agent.Hello().token
        self.context = sessions.context(rpc, "both", pki.server("ecdsa"), [pki.root()])
        self.session = self.new_session()
        self.listener = self.new_listener()

    def new_listener(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            return self.rpc.relay.Listen(self.sample("RelayService.Listen"), fds=[listening.fileno()]).listener

    def new_context(self):
        return sessions.context(self.rpc, "both", pki.server("ecdsa"))

    def new_session(self):
        transport = session_pb2.Transport(memory=session_pb2.MemoryTransport())
        return self.rpc.session.Connect(context=self.context, transport=transport, server_name="localhost").session

    def sample(self, method):
        """A good request."""
        request = message_class(method_descriptor(method).input_type)()
        maker = getattr(self, "sample_" + method.replace(".", "_"), None)
        if maker is not None:
            maker(request)
        if "session" in request.DESCRIPTOR.fields_by_name:
            request.session = self.new_session() if method in FINAL else self.session
        if "context" in request.DESCRIPTOR.fields_by_name:
            request.context = self.new_context() if method in FINAL else self.context
        if "listener" in request.DESCRIPTOR.fields_by_name and method != "RelayService.Next":  # which would wait
            request.listener = self.new_listener() if method in FINAL else self.listener
        return request

    def sample_RelayService_Listen(self, request):
        request.role = common_pb2.ROLE_CLIENT
        request.to.tcp.host, request.to.tcp.port = "127.0.0.1", 9
        request.server_name = "localhost"

    def settings(self, settings):
        sessions.fill_settings(
            settings, min_version=771, max_version=772, ciphers="DEFAULT", ciphersuites="TLS_AES_128_GCM_SHA256",
            groups="X25519", signature_algorithms="ECDSA+SHA256", client_signature_algorithms="ECDSA+SHA256", options=0,
            verify_mode=1, verify_flags=0, host_flags=0, verify_depth=5, check_hostname=False, alpn=[b"h2"],
            num_tickets=1, session_id_context=b"x", session_timeout_seconds=10, session_cache_size=1, security_level=1,
            post_handshake_auth=False, psk_identity_hint="x", decisions=["server_name"], events=["messages"])

    def sample_ContextService_Create(self, request):
        request.kind = context_pb2.CONTEXT_KIND_BOTH
        self.sample_ContextService_Configure(request)

    def sample_ContextService_Configure(self, request):
        self.settings(request.settings)
        pair = request.pairs.add()
        pair.chain.data, pair.key.data = pki.server("ecdsa").chain, pki.server("ecdsa").key
        request.trust.certificates.add(data=pki.root().pem)
        request.trust.crls.add(data=pki.crl())

    def sample_ContextService_Open(self, request):
        request.name = "nobody made it"

    sample_ContextService_Forget = sample_ContextService_Open

    def sample_CertificateService_Decode(self, request):
        request.certificates.data = pki.server("ecdsa").pem

    def sample_CertificateService_Verify(self, request):
        request.chain.data = pki.server("ecdsa").chain
        request.trust.add(data=pki.root().pem)
        request.crls.add(data=pki.crl())
        request.host, request.purpose = "localhost", certificate_pb2.VERIFY_PURPOSE_TLS_SERVER

    def sample_SessionService_Connect(self, request):
        request.transport.memory.feed.data = b""
        request.server_name = "localhost"

    def sample_SessionService_Accept(self, request):
        request.transport.memory.feed.data = b""

    def sample_SessionService_Write(self, request):
        request.data = b"x"

    def sample_SessionService_Stream(self, request):
        request.begin.session, request.credit = self.session, 1

    def sample_SessionService_Decisions(self, request):
        request.begin.contexts.append(self.context)

    def sample_SessionService_ExportKeyingMaterial(self, request):
        request.label, request.length = "EXPORTER-x", 32

    def sample_SessionService_ChannelBinding(self, request):
        request.kind = session_pb2.CHANNEL_BINDING_KIND_TLS_EXPORTER

    def sample_AgentService_Ping(self, request):
        request.payload = b"x"

    def sample_AgentService_LookupObject(self, request):
        request.text = "CN"


class WorldTest(E2ETest):
    """Tests that share a world, until one of them breaks it."""

    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:9", "--limit", "listeners=4096", "--limit", "listeners_per_owner=4096")

    world = None

    def setUp(self):
        super().setUp()
        if self.world is None:
            type(self).world = World(self.daemon.client())
        self.rpc = self.world.rpc
        self.addCleanup(self.renew)

    def renew(self):
        """A world that did not come through its test whole is replaced."""
        try:
            self.assertWorldIntact()
        except (RpcError, OSError, AssertionError):
            self.end_world()

    @classmethod
    def end_world(cls):
        if cls.world is not None:
            cls.world.rpc.close()
        cls.world = None

    @classmethod
    def tearDownClass(cls):
        cls.end_world()
        super().tearDownClass()

    def assertWorldIntact(self):
        self.assertUndisturbed(self.rpc)
        self.rpc.context.Describe(context=self.world.context)
        self.rpc.session.Describe(session=self.world.session)


class Fields(WorldTest):
    unimplemented = {}

    def answer_stream(self, method, payload):
        """The same of a stream that has this for its only message."""
        with self.daemon.client(self.world.token) as rpc:
            call = TtrpcCalls(rpc).open(method, PATIENCE_NANOS)
            call.send_bytes(payload.SerializeToString() if isinstance(payload, messages.Message) else payload)
            call.half_close()
            try:
                while call.next() is not None:
                    pass
            except RpcError as error:
                return error.code, error.message
            return Code.OK, ""

    def answer(self, method, payload):
        """(code, message) of a call with this payload."""
        if is_streaming(method):
            return self.answer_stream(method, payload)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            fds = [listening.fileno()] if method == "RelayService.Listen" else []
            call = self.rpc.submit(method, payload, fds, timeout_nano=PATIENCE_NANOS)
            try:
                self.drop(method, self.rpc.wait(call))
            except RpcError as error:
                return error.code, error.message
            return Code.OK, ""

    def drop(self, method, response):
        """What a call has made is not kept."""
        if method == "ContextService.Create" and response.context:
            self.rpc.context.Release(context=response.context)
        if method in ("SessionService.Connect", "SessionService.Accept") and response.session:
            self.rpc.session.Close(session=response.session)
        if method == "RelayService.Listen":
            self.rpc.relay.Close(listener=response.listener)

    def assertClear(self, method, payload, allowed=CLEAR):
        code, message = self.answer(method, payload)
        self.assertIn(code, allowed, message)
        if code != Code.OK:
            self.assertTrue(message.strip(), "a status without a word for people")
            self.assertLess(len(message), 1000)
            self.assertNotIn("\n", message)

    def refusals(self, method):
        """What a request that can't be read may be answered with."""
        if method not in self.unimplemented:
            self.unimplemented[method] = self.answer(method, self.world.sample(method))[0] == Code.UNIMPLEMENTED
        return {Code.UNIMPLEMENTED} if self.unimplemented[method] else {Code.INVALID_ARGUMENT}

    @each(method=methods())
    def test_a_good_request_is_understood(self, method):
        code, message = self.answer(method, self.world.sample(method))
        self.assertIn(code, (Code.OK, Code.UNIMPLEMENTED, Code.NOT_FOUND, Code.FAILED_PRECONDITION), message)
        self.assertNotIn("payload", message)

    @each(method=methods())
    def test_a_request_without_any_field_is_answered(self, method):
        self.assertClear(method, b"")

    @each(case=mutations.cases(methods()))
    def test_it_is_clear_when(self, case):
        method, path, kind = case
        unreadable = kind in (mutations.torn, mutations.no_text)
        allowed = self.refusals(method) if unreadable else CLEAR
        for payload in kind(self.world.sample(method), path):
            self.assertClear(method, payload, allowed)
        self.assertWorldIntact()

    @each(method=methods())
    def test_a_request_of_nonsense_is_refused(self, method):
        for nonsense in (b"\xff", b"\x00", b"\x07", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1000):
            self.assertClear(method, nonsense, self.refusals(method))

    @each(method=methods())
    def test_fields_of_the_future_are_ignored(self, method):
        future = mutations.field(1000, mutations.BYTES, b"new") + mutations.field(1001, mutations.VARINT, 1)
        future += mutations.field(536870911, mutations.FIXED64, bytes(8))
        now, _ = self.answer(method, self.world.sample(method))
        then, message = self.answer(method, self.world.sample(method).SerializeToString() + future)
        self.assertEqual(then, now, message)

    @each(method=methods())
    def test_every_truncation_of_a_good_request_is_answered(self, method):
        whole = self.world.sample(method).SerializeToString()
        for length in range(0, len(whole), max(1, len(whole) // 50)):
            self.assertClear(method, whole[:length])
        self.assertWorldIntact()


def handle_methods(field):
    return [m for m in methods() if field in method_descriptor(m).input_type.fields_by_name and not is_streaming(m)]


class Handles(WorldTest):
    """A forged, a stale and another's handle all get the same NOT_FOUND."""

    def not_found(self, method, field, handle, rpc=None):
        """What a call with this handle is told, less the handle itself."""
        request = self.world.sample(method)
        setattr(request, field, handle)
        client = rpc or self.rpc
        with self.assertRaises(RpcError) as caught:
            client.wait(client.submit(method, request))
        if caught.exception.code == Code.UNIMPLEMENTED:
            self.skipTest("not implemented yet")
        self.assertEqual(caught.exception.code, Code.NOT_FOUND, caught.exception)
        return caught.exception.message.replace(str(handle), "HANDLE")

    def handles(self, field):
        """Handles that this client has no right to, by what is wrong with them."""
        other = World(self.client())
        stale = getattr(self.world, "new_" + field)()
        ended = World(self.client())
        {"session": self.rpc.session.Close, "context": self.rpc.context.Release,
         "listener": self.rpc.relay.Close}[field](**{field: stale})
        ended.rpc.close()
        mine, theirs = getattr(self.world, field), getattr(other, field)
        made = {"zero": 0, "one": 1, "all ones": 2**64 - 1, "stale": stale, "foreign": theirs, "ended": getattr(ended, field),
                "of the other kind": self.world.context if field == "session" else self.world.session,
                "random": int.from_bytes(os.urandom(8), "little")}
        made.update({f"bit {bit} off": mine ^ 1 << bit for bit in range(64)})
        return {why: handle for why, handle in made.items()
                if handle not in (self.world.session, self.world.context, self.world.listener) or why == "of the other kind"}

    def check(self, method, field):
        told = {self.not_found(method, field, handle): why for why, handle in self.handles(field).items()}
        self.assertEqual(len(told), 1, f"told apart: {told}")
        self.rpc.session.Describe(session=self.world.session)
        self.rpc.context.Describe(context=self.world.context)

    @each(method=handle_methods("session"))
    def test_no_session_of_others_can_be_named_in(self, method):
        self.check(method, "session")

    @each(method=handle_methods("context"))
    def test_no_context_of_others_can_be_named_in(self, method):
        self.check(method, "context")

    @each(method=handle_methods("listener"))
    def test_no_listener_of_others_can_be_named_in(self, method):
        self.check(method, "listener")

    def test_handles_are_not_used_twice(self):
        """A handle of a closed session names nothing ever after."""
        seen = set()
        for _ in range(300):
            handle = self.world.new_session()
            self.assertNotIn(handle, seen)
            seen.add(handle)
            self.rpc.session.Close(session=handle)
        for handle in seen:
            self.assertCode(Code.NOT_FOUND, self.rpc.session.Describe, session=handle)

    def test_a_name_of_a_method_may_be_anything(self):
        for service, method in (("tlsagent.v1.AgentService", "Ping\0"), ("tlsagent.v1.AgentService", "P" * 100000),
                                ("x" * 100000, "Ping"), ("", ""), ("tlsagent.v1.AgentService/Ping", "")):
            stream_id = self.rpc.take_id()
            self.rpc.send(frame(ttrpc_pb2.Request(service=service, method=method).SerializeToString(), stream_id))
            answered, response, _ = self.rpc.read_response()
            self.assertEqual(answered, stream_id)
            self.assertIn(response.status.code, (Code.UNIMPLEMENTED, Code.INVALID_ARGUMENT))
            self.assertLess(len(response.status.message), 1000)
        self.assertUndisturbed(self.rpc)


class Envelope(E2ETest):
    """The same for the Request message around every call, which is not described by any service."""

    def call(self, envelope):
        """The status code of a Request frame with these bytes."""
        stream_id = self.rpc.take_id()
        self.rpc.send(frame(envelope, stream_id))
        answered, response, _ = self.rpc.read_response()
        self.assertEqual(answered, stream_id)
        return response.status.code

    @each(number={"service": 1, "method": 2, "payload": 3, "timeout": 4, "metadata": 5}, kind=("wrong_type", "torn"))
    def test_a_field_gone_wrong_is_refused(self, number, kind):
        path = [ttrpc_pb2.Request.DESCRIPTOR.fields_by_number[number]]
        sample = ttrpc_pb2.Request.FromString(request_bytes("AgentService.Ping"))
        for envelope in mutations.KINDS[kind](sample, path):
            code = self.call(envelope)
            allowed = {Code.INVALID_ARGUMENT} if kind == "torn" else {Code.OK, Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED}
            self.assertIn(code, allowed)
        self.assertUndisturbed(self.rpc)

    def test_an_empty_request_is_unimplemented_or_refused(self):
        self.assertIn(self.call(b""), (Code.UNIMPLEMENTED, Code.INVALID_ARGUMENT))

    def test_far_too_much_metadata(self):
        pairs = [("key", "value")] * 100_000
        code = self.call(request_bytes("AgentService.Ping", metadata=pairs))
        self.assertIn(code, (Code.OK, Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED))
        self.assertUndisturbed(self.client())

    def test_every_truncation_of_a_request_is_answered(self):
        whole = request_bytes("AgentService.Ping", common_pb2.BytesValue(value=b"payload"), 5_000_000_000, [("a", "b")])
        for length in range(len(whole)):
            self.assertIn(self.call(whole[:length]), (Code.OK, Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED))

    def test_every_flipped_bit_of_a_request_is_answered(self):
        whole = request_bytes("AgentService.Ping", common_pb2.BytesValue(value=b"payload"), 5_000_000_000, [("a", "b")])
        for bit in range(len(whole) * 8):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            self.assertIn(self.call(bytes(flipped)), CLEAR | {Code.DEADLINE_EXCEEDED})


if __name__ == "__main__":
    sys.exit("run me with runner.py")
