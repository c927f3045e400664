"""gRPC: can a stock client do what ttrpc's clients do, and does the daemon bear what other peers of HTTP/2 do?"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import unittest

import grpc
import grpc_client
import peers
import pki
import session as sessions
import timing
from e2e import Cases, Code, Daemon, E2ETest, RpcError, each
from google.protobuf import descriptor_pb2, descriptor_pool
from tlsagent.v1 import agent_pb2, common_pb2, session_pb2
from ttrpc import ttrpc_pb2


def module_of(path):
    """A module that protoc has made. Not by its name: "grpc" is grpcio's."""
    for directory in sys.path:
        file = os.path.join(directory, path)
        if os.path.exists(file):
            spec = importlib.util.spec_from_file_location(path.replace("/", "_")[:-len(".py")], file)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ImportError(path)


health_pb2 = module_of("grpc/health/v1/health_pb2.py")
REFLECTION = {version: module_of(f"grpc/reflection/{version}/reflection_pb2.py") for version in ("v1", "v1alpha")}


class GrpcTest(E2ETest):
    """self.grpc is the connection under test; self.rpc is one of ttrpc's, beside it."""

    def setUp(self):
        super().setUp()
        self.grpc = self.dial()

    def dial(self, token=None, **options):
        client = grpc_client.Client(self.daemon.path, token, **options)
        self.addCleanup(client.close)
        return client

    def assertGoesOn(self):
        self.assertEqual(self.grpc.agent.Ping(payload=b"on").payload, b"on")
        self.assertUndisturbed(self.rpc)


class Calls(GrpcTest):
    @each(size=(0, 1, 1000, 65536, 1 << 20, 4_000_000))
    def test_ping_answers_with_what_it_was_given(self, size):
        payload = os.urandom(size)
        self.assertEqual(self.grpc.agent.Ping(payload=payload).payload, payload)

    def test_a_failure_has_its_code_its_words_and_its_details(self):
        with self.assertRaises(RpcError) as caught:
            self.grpc.session.Describe(session=77)
        cause = caught.exception.__cause__
        self.assertEqual(caught.exception.code, Code.NOT_FOUND)
        details = dict(cause.trailing_metadata())["grpc-status-details-bin"]
        self.assertEqual(details, b"\x08\x05\x12" + bytes([len(cause.details())]) + cause.details().encode())

    def assertReason(self, reason, caught):
        """The google.rpc.Status has one detail, a google.rpc.ErrorInfo with that reason."""
        details = dict(caught.exception.__cause__.trailing_metadata())["grpc-status-details-bin"]
        any, = ttrpc_pb2.Status.FromString(details).details
        self.assertEqual(any.type_url, "type.googleapis.com/google.rpc.ErrorInfo")
        self.assertEqual(any.value, b"\x0a" + bytes([len(reason)]) + reason + b"\x12\x08tlsagent")

    def test_a_limit_or_a_precondition_has_a_reason_for_programs(self):
        with self.assertRaises(RpcError) as caught:
            self.grpc.agent.Ping(payload=bytes(5 << 20))
        self.assertReason(b"FRAME_BYTES", caught)
        with self.assertRaises(RpcError) as caught:
            self.grpc.session.Relay(session=1)
        self.assertReason(b"FAILED_PRECONDITION", caught)

    def test_it_fails_in_the_same_words_as_ttrpc(self):
        for ask in (lambda rpc: rpc.session.Describe(session=77),
                    lambda rpc: rpc.context.Describe(context=1),
                    lambda rpc: rpc.agent.RandomBytes(length=100_000),
                    lambda rpc: rpc.certificate.Decode(max_certificates=1)):
            words = []
            for rpc in (self.grpc, self.rpc):
                with self.assertRaises(RpcError) as caught:
                    ask(rpc)
                words.append(str(caught.exception))
            self.assertEqual(*words)

    def test_what_is_not_there_is_unimplemented(self):
        for path in ("/tlsagent.v1.AgentService/Nope", "/nope.Nope/Nope"):
            with self.assertRaises(grpc.RpcError) as caught:
                self.grpc.channel.unary_unary(path)(b"", timeout=timing.PATIENCE)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_compression_is_unimplemented(self):
        self.assertCode(Code.UNIMPLEMENTED, self.grpc.call, "AgentService.Ping",
                        agent_pb2.PingRequest(payload=bytes(100_000)), compression=grpc.Compression.Gzip)
        self.assertGoesOn()

    def test_too_large_a_message_names_the_limit(self):
        self.assertIn('"frame_bytes"', self.assertCode(Code.RESOURCE_EXHAUSTED, self.grpc.agent.Ping, payload=bytes(5 << 20)))
        self.assertGoesOn()

    def test_too_much_metadata_is_refused(self):
        many = [(f"key-{n}", "x" * 500) for n in range(40)]
        self.assertCode(Code.RESOURCE_EXHAUSTED, self.grpc.call, "AgentService.Ping", agent_pb2.PingRequest(), metadata=many)
        self.assertGoesOn()

    def test_many_at_once(self):
        ping = self.grpc.callable("AgentService.Ping")
        payloads = [os.urandom(n * 37 % 5000) for n in range(1000)]
        answers = [ping.future(agent_pb2.PingRequest(payload=payload)) for payload in payloads]
        self.assertEqual([answer.result(timing.PATIENCE).payload for answer in answers], payloads)

    def test_many_large_ones_at_once(self):
        ping = self.grpc.callable("AgentService.Ping")
        payloads = [os.urandom(500_000) for _ in range(32)]
        for _ in range(3):
            answers = [ping.future(agent_pb2.PingRequest(payload=payload)) for payload in payloads[:6]]
            self.assertEqual([answer.result(timing.PATIENCE).payload for answer in answers], payloads[:6])

    def test_many_channels(self):
        wrong = []

        def work():
            with grpc_client.Client(self.daemon.path) as client:
                for n in range(50):
                    if client.agent.Ping(payload=b"%d" % n).payload != b"%d" % n:
                        wrong.append(n)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_keepalives_are_answered(self):
        client = self.dial(**{"grpc.keepalive_time_ms": 50, "grpc.keepalive_timeout_ms": 1000 * timing.PATIENCE,
                              "grpc.http2.max_pings_without_data": 0, "grpc.keepalive_permit_without_calls": 1})
        self.assertCode(Code.DEADLINE_EXCEEDED, self.wait_for_nothing, client, 500_000_000)
        self.assertEqual(client.agent.Ping(payload=b"on").payload, b"on")

    def wait_for_nothing(self, client, nanos):
        """A call that only its deadline ends: a read of a session whose peer says nothing."""
        listener = peers.socket.create_server((peers.LOOPBACK, 0))
        self.addCleanup(listener.close)
        dial = session_pb2.DialTransport(host=peers.LOOPBACK, port=listener.getsockname()[1])
        client.session.Connect(context=sessions.context(client, "client"), transport=session_pb2.Transport(dial=dial),
                               server_name="localhost", timeout_nano=nanos)

    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:*")

    def test_a_client_that_goes_away_takes_its_calls_along(self):
        client = self.dial()
        future = client.callable("SessionService.Connect").future(session_pb2.ConnectRequest())
        with self.assertRaises(grpc.RpcError):
            future.result(timing.PATIENCE)
        self.assertCode(Code.DEADLINE_EXCEEDED, self.wait_for_nothing, client, 50_000_000)
        client.close()
        self.rpc.close()
        self.grpc.close()
        self.daemon.wait_idle()

    def test_info_tells_the_protocols(self):
        have = {c.name for c in self.grpc.agent.Info().capabilities if c.available}
        self.assertLessEqual({"ttrpc", "grpc"}, have)

    def test_connections_are_counted(self):
        self.grpc.agent.Ping()
        self.assertGreater(self.daemon.counters()["connections_grpc"], 0)


class Tokens(GrpcTest):
    def test_a_token_joins_connections_of_both_protocols(self):
        token = self.grpc.agent.Hello().token
        context = sessions.context(self.grpc, "client")
        self.client(token=token).context.Describe(context=context)
        other = self.dial(token=token)
        other.context.Describe(context=context)
        self.assertEqual(other.agent.Hello().token, token)
        mine = self.rpc.agent.Hello().token
        self.assertEqual(self.dial(token=mine).agent.Hello().token, mine)

    def test_without_it_a_handle_is_nobodys(self):
        context = sessions.context(self.grpc, "client")
        self.assertCode(Code.NOT_FOUND, self.dial().context.Describe, context=context)

    def test_a_wrong_token_is_refused(self):
        self.assertCode(Code.UNAUTHENTICATED, self.dial(token=bytes(16)).agent.Ping)
        self.assertGoesOn()


class Sessions(GrpcTest):
    DAEMON_ARGS = ("--allow-dial", "localhost:*")

    def transport(self, server):
        return session_pb2.Transport(dial=session_pb2.DialTransport(host="localhost", port=server.port))

    @each(path=("dial", "memory"))
    def test_a_session_from_hello_to_goodbye(self, path):
        trusting = sessions.context(self.grpc, "client", trust=[pki.root()])
        with peers.server("python", pki.server("ecdsa")) as server:
            if path == "dial":
                opened = self.grpc.session.Connect(context=trusting, transport=self.transport(server))
                self.assertEqual(opened.progress.state, common_pb2.STATE_DONE, opened.progress)
                session = sessions.FdSession(self.grpc, None)
                session.handle = opened.session
            else:
                session = sessions.MemorySession(self.grpc, server.connect())
                session.start("Connect", context=trusting, server_name=pki.HOST)
            server.talk(session)
            session.close()

    def test_a_relay_says_by_what_it_can_be_had(self):
        self.assertIn("ttrpc", self.assertCode(Code.FAILED_PRECONDITION, self.grpc.session.Relay, session=1))
        with peers.server("python", pki.server("ecdsa")) as server:
            context = sessions.context(self.grpc, "client", trust=[pki.root()])
            before = self.daemon.counters()["sessions_made"]
            self.assertCode(Code.FAILED_PRECONDITION, self.grpc.session.Connect, context=context,
                            transport=self.transport(server), relay=session_pb2.RelayOptions())
            self.assertEqual(self.daemon.counters()["sessions_made"], before, "it was refused before it began")


class Health(GrpcTest):
    def check(self, service):
        method = self.grpc.channel.unary_unary("/grpc.health.v1.Health/Check",
                                               request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                                               response_deserializer=health_pb2.HealthCheckResponse.FromString)
        return method(health_pb2.HealthCheckRequest(service=service), timeout=timing.PATIENCE).status

    def test_each_service_serves(self):
        for service in ("", "tlsagent.v1.AgentService", "tlsagent.v1.SessionService", "grpc.health.v1.Health"):
            self.assertEqual(self.check(service), health_pb2.HealthCheckResponse.SERVING, service)

    def test_one_that_is_not_there_is_not_found(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.check("no.Service")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_grpcio_watches_by_itself(self):
        """With a service config that asks for it a channel is ready only when Watch says that the service serves."""
        config = '{"healthCheckConfig": {"serviceName": "tlsagent.v1.AgentService"}, "loadBalancingConfig": [{"round_robin": {}}]}'
        client = self.dial(**{"grpc.service_config": config})
        grpc.channel_ready_future(client.channel).result(timing.PATIENCE)
        self.assertEqual(client.agent.Ping(payload=b"ready").payload, b"ready")


class Reflection(GrpcTest):
    def ask(self, version, *questions):
        pb2 = REFLECTION[version]
        method = self.grpc.channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                                 request_serializer=pb2.ServerReflectionRequest.SerializeToString,
                                                 response_deserializer=pb2.ServerReflectionResponse.FromString)
        asked = (pb2.ServerReflectionRequest(**question) for question in questions)
        return list(method(asked, timeout=timing.PATIENCE))

    @each(version=("v1", "v1alpha"))
    def test_a_client_without_protos_learns_all_of_them(self, version):
        listed, = self.ask(version, {"list_services": ""})
        names = [service.name for service in listed.list_services_response.service]
        self.assertIn("tlsagent.v1.SessionService", names)
        pool = descriptor_pool.DescriptorPool()
        known = set()
        for answer in self.ask(version, *({"file_containing_symbol": name} for name in names)):
            files = [descriptor_pb2.FileDescriptorProto.FromString(file)
                     for file in answer.file_descriptor_response.file_descriptor_proto]
            while files:  # what a file imports comes first
                ready = [file for file in files if known.issuperset(file.dependency)]
                self.assertTrue(ready, "an import is missing")
                for file in ready:
                    if file.name not in known:
                        pool.Add(file)
                        known.add(file.name)
                files = [file for file in files if file not in ready]
        for name in names:
            pool.FindServiceByName(name)
        ping = pool.FindMethodByName("tlsagent.v1.AgentService.Ping")
        self.assertEqual(ping.input_type.fields_by_name["payload"].number, 1)

    def test_a_thousand_questions_at_once(self):
        answers = self.ask("v1", *({"file_by_filename": "tlsagent/v1/session.proto", "host": str(n)} for n in range(1000)))
        self.assertEqual([answer.valid_host for answer in answers], [str(n) for n in range(1000)])


class Endings(Cases):
    """Daemons of their own, for they end."""

    def start(self, *args):
        self.daemon = Daemon(*args).start()
        self.addCleanup(self.daemon.kill)

    def served(self):
        """A connection, when there is room for one."""
        client = self.daemon.client()
        try:
            client.agent.Ping()
            return client
        except RpcError:
            client.close()
            return None

    def test_a_daemon_that_stops_says_goodbye(self):
        self.start()
        with grpc_client.Client(self.daemon.path) as client:
            client.agent.Ping()
            self.daemon.send_signal(signal.SIGTERM)
            self.assertEqual(self.daemon.wait(), 0)
            self.assertCode(Code.UNAVAILABLE, client.agent.Ping)

    def test_a_watcher_hears_that_the_daemon_stops(self):
        self.start()
        with grpc_client.Client(self.daemon.path) as client:
            watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch",
                                                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                                                response_deserializer=health_pb2.HealthCheckResponse.FromString)
            told = watch(health_pb2.HealthCheckRequest(), timeout=timing.PATIENCE)
            self.assertEqual(next(told).status, health_pb2.HealthCheckResponse.SERVING)
            self.daemon.send_signal(signal.SIGTERM)
            self.assertEqual([one.status for one in told], [health_pb2.HealthCheckResponse.NOT_SERVING])
            self.assertEqual(self.daemon.wait(), 0)

    def test_a_connection_past_the_limit_is_told_which(self):
        self.start("--limit", "connections=1")
        with timing.eventually(self.served, "who looked whether the daemon is there has gone"):
            with grpc_client.Client(self.daemon.path) as second:
                self.assertIn('"connections"', self.assertCode(Code.RESOURCE_EXHAUSTED, second.agent.Ping))


class Strangers(E2ETest):
    """Peers of HTTP/2 that are no gRPC."""

    def setUp(self):
        super().setUp()
        self.empty = os.path.join(self.daemon.directory, "empty")  # a message of no bytes
        with open(self.empty, "wb") as file:
            file.write(bytes(5))

    def curl(self, *args, http="--http2-prior-knowledge", path="/tlsagent.v1.AgentService/Ping"):
        return subprocess.run(["curl", "--silent", "--show-error", "--max-time", str(timing.PATIENCE), http, "--include",
                               "--unix-socket", self.daemon.path, *args, "http://localhost" + path],
                              capture_output=True, check=False)

    @each(type=("application/json", "text/html", "application/grpc+json", "application/grpc-web"))
    def test_another_content_type_is_415(self, type):
        done = self.curl("--header", "content-type: " + type, "--data-binary", "x")
        self.assertIn(b"HTTP/2 415", done.stdout, done)
        self.assertUndisturbed(self.rpc)

    @each(method=("GET", "PUT", "DELETE", "OPTIONS"))
    def test_another_method_is_405(self, method):
        done = self.curl("--request", method, "--header", "content-type: application/grpc")
        self.assertIn(b"HTTP/2 405", done.stdout, done)

    def test_a_post_without_a_message_has_a_status_of_grpc(self):
        done = self.curl("--request", "POST", "--header", "content-type: application/grpc")
        self.assertIn(b"HTTP/2 200", done.stdout, done)
        self.assertIn(b"grpc-status: 12", done.stdout)

    def test_an_empty_message_is_answered(self):
        done = self.curl("--header", "content-type: application/grpc", "--data-binary", "@" + self.empty)
        self.assertIn(b"grpc-status: 0", done.stdout, done)

    def test_http_1_is_closed(self):
        self.assertNotEqual(self.curl("--request", "POST", http="--http1.1").returncode, 0)
        self.assertUndisturbed(self.rpc)

    @unittest.skipIf(shutil.which("h2load") is None, "there is no h2load")
    def test_h2load_gets_all_its_answers(self):
        done = subprocess.run(
            ["h2load", "--requests=10000", "--clients=8", "--max-concurrent-streams=32", "--data=" + self.empty,
             "--header=content-type: application/grpc", "--header=te: trailers",
             "--base-uri=unix:" + self.daemon.path, "http://localhost/tlsagent.v1.AgentService/Ping"],
            capture_output=True, text=True, check=False, timeout=3 * timing.PATIENCE)
        self.assertIn("10000 succeeded, 0 failed", done.stdout, done)
        self.assertUndisturbed(self.rpc)
