"""AgentService: is it there, who am I to it, what can it do?"""

import os
import re
import ssl
import subprocess
import sys

import daemon
import pki
import session as sessions
import users
from e2e import Code, E2ETest, RpcError, each
from session import Background
from tlsagent.v1 import agent_pb2, session_pb2
from ttrpc_client import Client, frame, request_bytes

COUNTERS = """connections_accepted connections_closed connections_refused calls_started calls_failed calls_cancelled
calls_expired frames_malformed clients_made clients_ended contexts_made contexts_freed sessions_made sessions_freed
handshakes_done handshakes_failed plaintext_bytes_in plaintext_bytes_out limits_hit""".split()

LIMITS = """connections connections_per_owner sessions sessions_per_owner contexts contexts_per_owner calls
calls_per_connection frame_bytes request_bytes queued_bytes reply_bytes read_bytes session_output_bytes material_bytes
context_bytes descriptors resolver_queue""".split()

FRAME_BYTES = 4 << 20


class Ping(E2ETest):
    @each(size=(0, 1, 1000, 65536, 1 << 20, 3 << 20))
    def test_ping_answers_with_what_it_was_given(self, size):
        payload = os.urandom(size)
        self.assertEqual(self.rpc.agent.Ping(payload=payload).payload, payload)

    def test_the_largest_frame_there_is(self):
        overhead = len(agent_pb2.PingRequest(payload=bytes(FRAME_BYTES)).SerializeToString()) - FRAME_BYTES
        overhead += 80  # service, method, and the lengths
        payload = os.urandom(FRAME_BYTES - overhead)
        self.assertEqual(self.rpc.agent.Ping(payload=payload).payload, payload)

    def test_calls_in_flight_on_one_connection_are_told_apart(self):
        pending = [self.rpc.submit("AgentService.Ping", agent_pb2.PingRequest(payload=b"%d" % n)) for n in range(60)]
        for n, call in reversed(list(enumerate(pending))):
            self.assertEqual(self.rpc.wait(call).payload, b"%d" % n)

    def test_many_connections_at_a_time(self):
        clients = [self.client() for _ in range(100)]
        for n, client in enumerate(clients):
            client.pending = client.submit("AgentService.Ping", agent_pb2.PingRequest(payload=b"%d" % n))
        for n, client in enumerate(clients):
            self.assertEqual(client.wait(client.pending).payload, b"%d" % n)

    def test_a_thousand_connections_one_after_another(self):
        for _ in range(1000):
            with self.daemon.client() as client:
                client.agent.Ping()

    def test_threads_with_a_connection_each(self):
        def chatter(name):
            with self.daemon.client() as client:
                for n in range(200):
                    payload = b"%d from %d" % (n, name)
                    assert client.agent.Ping(payload=payload).payload == payload

        for thread in [Background(chatter, name) for name in range(8)]:
            thread.result()


class Hello(E2ETest):
    def test_hello_tells_a_token_the_version_and_our_user(self):
        hello = self.rpc.agent.Hello()
        self.assertEqual(len(hello.token), 16)
        self.assertRegex(hello.version, r"^\d+\.\d+\.\d+")
        self.assertEqual(hello.uid, os.getuid())

    def test_the_token_stays_the_same_for_a_client_and_differs_between_clients(self):
        token = self.rpc.agent.Hello().token
        self.assertEqual(self.rpc.agent.Hello().token, token)
        others = {self.client().agent.Hello().token for _ in range(20)}
        self.assertEqual(len(others | {token}), 21)

    def test_a_connection_with_the_token_joins_the_client(self):
        token = self.rpc.agent.Hello().token
        context = sessions.context(self.rpc, "client")
        joined = self.client(token)
        joined.context.Describe(context=context)
        self.assertEqual(joined.agent.Hello().token, token)

    def test_a_client_lives_until_its_last_connection_ends(self):
        first = self.client()
        token = first.agent.Hello().token
        context = sessions.context(first, "client")
        second = self.client(token)
        second.agent.Ping()
        first.close()
        second.context.Describe(context=context)
        third = self.client(token)
        third.agent.Ping()
        second.close()
        third.context.Describe(context=context)

    def test_the_token_is_worth_nothing_once_its_client_has_ended(self):
        token = self.rpc.agent.Hello().token
        ended = self.daemon.counters()["clients_ended"]
        self.rpc.close()
        while self.daemon.counters()["clients_ended"] <= ended + 1:  # one more is the asking itself
            pass
        self.assertCode(Code.UNAUTHENTICATED, self.client(token).agent.Ping)

    @each(token={"zero": bytes(16), "guessed": os.urandom(16), "short": b"\1\2\3", "long": bytes(range(32)), "empty": b""})
    def test_a_wrong_token_joins_nobody(self, token):
        client = self.client()
        client.metadata = [("tlsagent-token", token.hex())]
        self.refused(client)

    @each(token={"words": "let me in", "odd": "abc", "not_hex": "zz" * 16, "a_nul": "00" * 15 + "0\0", "huge": "00" * 100000})
    def test_a_token_that_is_none_joins_nobody(self, token):
        client = self.client()
        client.metadata = [("tlsagent-token", token)]
        self.refused(client)

    def refused(self, client):
        with self.assertRaises(RpcError) as caught:
            client.agent.Ping()
        self.assertIn(caught.exception.code, (Code.UNAUTHENTICATED, Code.INVALID_ARGUMENT))

    def test_one_digit_off_is_wrong(self):
        token = bytearray(self.rpc.agent.Hello().token)
        for position in range(16):
            token[position] ^= 1
            self.assertCode(Code.UNAUTHENTICATED, self.client(bytes(token)).agent.Ping)
            token[position] ^= 1

    @users.needs_root
    def test_the_token_is_worth_nothing_to_another_user(self):
        os.chmod(self.daemon.path, 0o666)
        token = self.rpc.agent.Hello().token

        def try_it(path):
            with Client(path, token) as client:
                try:
                    client.agent.Ping()
                except RpcError as error:
                    return int(error.code)
                return None

        self.assertEqual(users.as_nobody(try_it, self.daemon.path), Code.UNAUTHENTICATED)

    def test_metadata_that_nobody_knows_is_ignored(self):
        call = self.rpc.submit("AgentService.Ping", agent_pb2.PingRequest(payload=b"x"),
                               metadata=[("color", "green"), ("color", "red"), ("", ""), ("x" * 1000, "y" * 1000)])
        self.assertEqual(self.rpc.wait(call).payload, b"x")


class Info(E2ETest):
    DAEMON_ARGS = ("--limit", "sessions=77")

    def test_it_tells_its_versions(self):
        info = self.rpc.agent.Info()
        self.assertEqual(info.version, self.rpc.agent.Hello().version)
        self.assertTrue(info.openssl_version.startswith("OpenSSL 3."), info.openssl_version)
        self.assertEqual(info.openssl_version_number >> 28, 3)
        self.assertEqual(info.openssl_build_version_number >> 28, 3)

    def test_it_is_the_openssl_of_this_machine(self):
        here = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
        if "TLSAGENT_OPENSSL" in os.environ:
            self.skipTest("built with another OpenSSL")
        self.assertEqual(here.split()[1], self.rpc.agent.Info().openssl_version.split()[1])

    def test_its_constants_are_those_of_openssl(self):
        constants = {c.name: c.value for c in self.rpc.agent.Info().constants}
        self.assertEqual(constants["SSL_OP_NO_TICKET"], 1 << 14)
        self.assertEqual(constants["X509_V_FLAG_CRL_CHECK"], int(ssl.VERIFY_CRL_CHECK_LEAF))
        self.assertEqual(constants["X509_V_FLAG_X509_STRICT"], int(ssl.VERIFY_X509_STRICT))
        self.assertEqual(constants["X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS"], 4)
        self.assertEqual(constants["SSL_AD_UNKNOWN_CA"], 48)

    def test_its_groups_can_be_set(self):
        info = self.rpc.agent.Info()
        self.assertTrue(info.groups)
        for group in info.groups:
            sessions.context(self.rpc, "client", groups=group)

    def test_it_tells_what_it_can_and_cannot_do(self):
        capabilities = {c.name: c for c in self.rpc.agent.Info().capabilities}
        self.assertLessEqual({"dial", "ktls"}, set(capabilities))
        for capability in capabilities.values():
            if not capability.available:
                self.assertTrue(capability.detail, f"{capability.name}: why not?")

    def test_it_tells_whether_the_kernel_has_tls(self):
        """The daemon has asked by now, which may have loaded the module."""
        ktls, = [c for c in self.rpc.agent.Info().capabilities if c.name == "ktls"]
        with open("/proc/sys/net/ipv4/tcp_available_ulp") as names:
            listed = "tls" in names.read().split()
        self.assertFalse(ktls.available)
        self.assertTrue(ktls.detail.startswith("this kernel has TLS," if listed else "this kernel has no TLS,"), ktls.detail)

    def test_it_tells_its_workers_and_where_trust_is(self):
        info = self.rpc.agent.Info()
        paths = ssl.get_default_verify_paths()
        self.assertEqual(info.workers, 2)
        self.assertEqual((info.verify_paths.file_env, info.verify_paths.directory_env), ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        self.assertEqual((info.verify_paths.file, info.verify_paths.directory),
                         (paths.openssl_cafile, paths.openssl_capath))
        self.assertIn("ECDHE", info.default_ciphers + "ECDHE")
        self.assertTrue(info.default_ciphers)

    def test_every_limit_is_told_with_its_cost(self):
        response = self.rpc.agent.Limits()
        limits = {limit.name: limit for limit in response.limits}
        self.assertLessEqual(set(LIMITS), set(limits))
        self.assertEqual(limits["sessions"].value, 77)
        self.assertEqual(limits["frame_bytes"].value, FRAME_BYTES)
        self.assertGreaterEqual(response.memory_bytes, sum(limit.memory_bytes for limit in response.limits))
        printed = daemon.run("--print-limits", "--workers", "2", *self.DAEMON_ARGS).stdout
        self.assertEqual(response.memory_bytes // 1024, int(re.search(r"^sum +(\d+)", printed, re.M)[1]))
        self.assertTrue(all(limit.text for limit in response.limits))

    def test_every_counter_is_told_always_in_the_same_order(self):
        first = [c.name for c in self.rpc.agent.Counters().counters]
        self.assertLessEqual(set(COUNTERS), set(first))
        self.assertEqual(first, [c.name for c in self.rpc.agent.Counters().counters])

    def test_counters_count(self):
        before = self.daemon.counters()
        self.rpc.agent.Ping()
        self.assertCode(Code.NOT_FOUND, self.rpc.session.Describe, session=123456789)
        sessions.context(self.rpc, "client")
        after = self.daemon.counters()
        self.assertGreaterEqual(after["calls_started"] - before["calls_started"], 4)
        self.assertEqual(after["calls_failed"] - before["calls_failed"], 1)
        self.assertEqual(after["contexts_made"] - before["contexts_made"], 1)
        self.assertTrue(all(after[name] >= before[name] for name in before))

    def test_uptime_goes_on(self):
        self.assertGreaterEqual(self.rpc.agent.Info().uptime_seconds, 0)


class Small(E2ETest):
    """The methods that need nothing else."""

    @each(length=(0, 1, 32, 65536))
    def test_random_bytes_come_as_many_as_asked_for(self, length):
        self.assertEqual(len(self.rpc.agent.RandomBytes(length=length).data), length)

    def test_random_bytes_differ(self):
        self.assertEqual(len({self.rpc.agent.RandomBytes(length=16).data for _ in range(100)}), 100)

    @each(length=(65537, 0xFFFFFFFF))
    def test_too_many_random_bytes_are_refused(self, length):
        self.assertCode(Code.INVALID_ARGUMENT, self.rpc.agent.RandomBytes, length=length)

    def test_entropy_is_taken(self):
        self.rpc.agent.AddEntropy(data=b"so random")
        self.rpc.agent.AddEntropy(data=bytes(65536))
        self.assertCode(Code.INVALID_ARGUMENT, self.rpc.agent.AddEntropy, data=bytes(65537))

    @each(key={"nid": {"nid": 13}, "short_name": {"text": "CN"}, "long_name": {"text": "commonName"},
               "oid_as_text": {"text": "2.5.4.3"}, "oid": {"oid": "2.5.4.3"}})
    def test_objects_are_found_by(self, key):
        found = self.rpc.agent.LookupObject(**key)
        self.assertEqual((found.found, found.nid, found.short_name, found.long_name, found.oid),
                         (True, 13, "CN", "commonName", "2.5.4.3"))

    @each(key={"negative_nid": {"nid": -1}, "no_such_nid": {"nid": 1 << 30}, "a_word": {"text": "no such object"},
               "a_name_as_oid": {"oid": "CN"}, "an_empty_text": {"text": ""}, "a_long_text": {"text": "1." * 100000 + "1"}})
    def test_objects_are_not_found_by(self, key):
        try:
            self.assertEqual(self.rpc.agent.LookupObject(**key), agent_pb2.LookupObjectResponse())
        except RpcError as error:
            self.assertEqual(error.code, Code.INVALID_ARGUMENT)

    def test_cancelling_nothing_finds_nothing(self):
        for stream_id in (0, 1, 2, 12345, 0xFFFFFFFF):
            self.assertFalse(self.rpc.agent.Cancel(stream_id=stream_id).found)

    def test_a_waiting_call_can_be_cancelled(self):
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        transport = session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))
        call = self.rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(
            context=context, transport=transport, server_name="localhost"), fds=[near.fileno()])
        far.recv(1)  # the ClientHello: the call is under way
        self.assertTrue(self.rpc.agent.Cancel(stream_id=call.stream_id).found)
        self.assertCode(Code.CANCELLED, self.rpc.wait, call)
        self.assertFalse(self.rpc.agent.Cancel(stream_id=call.stream_id).found)

    def test_another_connections_call_cannot_be_cancelled(self):
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        context = sessions.context(self.rpc, "client", trust=[pki.root()])
        transport = session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))
        call = self.rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(
            context=context, transport=transport, server_name="localhost",
            wait=session_pb2.Wait(milliseconds=60000)), fds=[near.fileno()])
        far.recv(1)
        self.assertFalse(self.client().agent.Cancel(stream_id=call.stream_id).found)
        self.assertFalse(self.client(self.rpc.agent.Hello().token).agent.Cancel(stream_id=call.stream_id).found)
        self.assertTrue(self.rpc.agent.Cancel(stream_id=call.stream_id).found)

    @each(name=("AgentService.Pong", "AgentService.ping", "NoService.Ping", ".Ping", "AgentService.", "."))
    def test_what_is_not_there_is_unimplemented(self, name):
        stream_id = self.rpc.take_id()
        self.rpc.send(frame(request_bytes(name), stream_id))
        answered, response, _ = self.rpc.read_response()
        self.assertEqual((answered, response.status.code), (stream_id, Code.UNIMPLEMENTED))
        self.assertTrue(re.search(r"\w", response.status.message))
        self.assertUndisturbed(self.rpc)

    def test_a_client_that_closes_is_closed(self):
        client = self.client()
        client.agent.Ping()
        client.sock.shutdown(1)
        self.assertTrue(daemon.is_closed(client))


if __name__ == "__main__":
    sys.exit("run me with runner.py")
