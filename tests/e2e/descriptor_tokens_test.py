"""Descriptors by token: can a stock gRPC client do with descriptors what ttrpc's do, and can nobody else do it for him?"""

import os
import socket
import sys

import grpc_client
import peers
import pki
import session as sessions
import timing
import users
from e2e import Code, E2ETest, each
from session import Background
from tlsagent.v1 import common_pb2, relay_pb2, session_pb2

MUCH = os.urandom(1 << 20)


def by_token(token):
    return session_pb2.Transport(fd=session_pb2.FdTransport(token=token))


def say(path, data, fds=()):
    """(answer, descriptors) of one connection that says no more than this."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timing.PATIENCE)
        sock.connect(path)
        if fds:
            socket.send_fds(sock, [data], list(fds))
        else:
            sock.sendall(data)
        answer, came = b"", []
        while not answer.endswith(b"\n"):
            part, more, _, _ = socket.recv_fds(sock, 1000, 4)
            if not part:
                break
            answer += part
            came += more
        return answer, came


def put(path, token, fd):
    return say(path, b"TOKEN put %s\n" % token.hex().encode(), [fd])[0]


def get(path, token):
    return say(path, b"TOKEN get %s\n" % token.hex().encode())


class TokenTest(E2ETest):
    """self.grpc is the client that passes and gets descriptors."""

    def setUp(self):
        super().setUp()
        os.chmod(self.daemon.path, 0o666)
        self.grpc = self.dial()

    def dial(self, token=None):
        client = grpc_client.Client(self.daemon.path, token)
        self.addCleanup(client.close)
        return client

    def token(self, client=None):
        return (client or self.grpc).session.DescriptorToken().token

    def put(self, fd, client=None):
        token = self.token(client)
        self.assertEqual(put(self.daemon.path, token, fd), b"OK\n")
        return token

    def get(self, token):
        """The descriptor that waits there, as a socket."""
        answer, fds = get(self.daemon.path, token)
        self.assertEqual((answer, len(fds)), (b"OK\n", 1))
        sock = socket.socket(fileno=fds[0])
        self.addCleanup(sock.close)
        self.assertTrue(sock.getblocking())
        sock.settimeout(timing.PATIENCE)
        return sock

    def assertRefused(self, answer, word="no such token"):
        self.assertRegex(answer, b"^ERR .*%s.*\n$" % word.encode())

    def handle(self, response):
        self.assertEqual(response.progress.state, common_pb2.STATE_DONE, response)
        session = sessions.FdSession(self.grpc, None)
        session.handle = response.session
        return session

    def connect_to(self, server, **fields):
        """What Connect says on a connection of ours, whose own end is closed."""
        context = sessions.context(self.grpc, "client", trust=[pki.root()])
        with server.connect() as sock:
            token = self.put(sock.fileno())
        return self.grpc.session.Connect(context=context, server_name=pki.HOST, transport=by_token(token), **fields)


class Sessions(TokenTest):
    @each(name=("python", "openssl", "nginx"))
    def test_connect_on_a_socket_of_ones_own(self, name):
        with peers.server(name, pki.server("ecdsa")) as server:
            session = self.handle(self.connect_to(server))
            server.talk(session)
            session.close()

    def test_accept_on_one(self):
        near, far = sessions.tcp_pair()
        peer = Background(peers.Puppet(far, peers.python_context(False, ca=pki.root()), False, pki.HOST).handshake)
        self.addCleanup(far.close)
        with near:
            token = self.put(near.fileno())
        context = sessions.context(self.grpc, "server", pki.server("ecdsa"))
        session = self.handle(self.grpc.session.Accept(context=context, transport=by_token(token)))
        peer.result()
        session.close()

    def test_ttrpc_may_use_them_too(self):
        with peers.server("python", pki.server("ecdsa")) as server:
            context = sessions.context(self.rpc, "client", trust=[pki.root()])
            with server.connect() as sock:
                token = self.put(sock.fileno(), self.rpc)
            opened = self.rpc.session.Connect(context=context, server_name=pki.HOST, transport=by_token(token))
            self.assertEqual(opened.progress.state, common_pb2.STATE_DONE, opened)
            self.rpc.session.Close(session=opened.session)

    def test_what_is_no_socket_is_refused_and_the_token_is_used_up(self):
        context = sessions.context(self.grpc, "client", trust=[pki.root()])
        with open("/dev/null", "rb") as null:
            token = self.put(null.fileno())
        connect = self.grpc.session.Connect
        fields = {"context": context, "server_name": pki.HOST, "transport": by_token(token)}
        self.assertCode(Code.INVALID_ARGUMENT, connect, **fields)
        self.assertCode(Code.NOT_FOUND, connect, **fields)

    def test_an_index_says_what_would_help(self):
        context = sessions.context(self.grpc, "client", trust=[pki.root()])
        for call, fields in ((self.grpc.session.Connect, {"server_name": pki.HOST}), (self.grpc.session.Accept, {})):
            if fields == {}:
                context = sessions.context(self.grpc, "server", pki.server("ecdsa"))
            transport = session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))
            message = self.assertCode(Code.FAILED_PRECONDITION, call, context=context, transport=transport, **fields)
            self.assertIn("SessionService.DescriptorToken", message)

    def test_info_tells_of_them(self):
        have = {c.name for c in self.grpc.agent.Info().capabilities if c.available}
        self.assertIn("descriptor_tokens", have)


class Relays(TokenTest):
    def talk(self, near):
        near.sendall(MUCH)
        got = bytearray()
        while len(got) < len(MUCH):
            got += near.recv(1 << 16)
        self.assertEqual(bytes(got), MUCH)

    def test_a_relays_end(self):
        with peers.server("python", pki.server("ecdsa")) as server:
            opened = self.connect_to(server, relay=session_pb2.RelayOptions(by_token=True))
            self.assertEqual(opened.progress.state, common_pb2.STATE_DONE, opened)
            near = self.get(opened.relay.token)
            talking = Background(self.talk, near)
            talking.result()
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(near.recv(1), b"")
            end = self.grpc.session.WaitEnd(session=opened.session)
            self.assertEqual((end.state, end.bytes_read), (common_pb2.STATE_CLOSED, len(MUCH)))
            self.grpc.session.Close(session=opened.session)

    def test_one_that_was_begun_later(self):
        with peers.server("python", pki.server("ecdsa")) as server:
            session = self.handle(self.connect_to(server))
            self.assertIn("by_token", self.assertCode(Code.FAILED_PRECONDITION, self.grpc.session.Relay, session=session.handle))
            near = self.get(self.grpc.session.Relay(session=session.handle, by_token=True).token)
            self.talk(near)
            session.close()

    def test_a_listener(self):
        """Its socket by token; its connections need nobody."""
        context = sessions.context(self.grpc, "server", pki.server("ecdsa"))
        with socket.create_server((peers.LOOPBACK, 0)) as target, socket.create_server((peers.LOOPBACK, 0)) as front:
            to = relay_pb2.RelayTarget(tcp=session_pb2.DialTransport(host=peers.LOOPBACK, port=target.getsockname()[1]))
            fields = {"context": context, "role": common_pb2.ROLE_SERVER, "to": to}
            self.assertIn("DescriptorToken", self.assertCode(Code.FAILED_PRECONDITION, self.grpc.relay.Listen, **fields))
            listener = self.grpc.relay.Listen(fd_token=self.put(front.fileno()), **fields).listener
            with socket.create_connection(front.getsockname(), timing.PATIENCE) as sock:
                tls = peers.python_context(False, ca=pki.root()).wrap_socket(sock, server_hostname=pki.HOST)
                target.settimeout(timing.PATIENCE)
                behind, _ = target.accept()
                with tls, behind:
                    behind.settimeout(timing.PATIENCE)
                    tls.sendall(b"through")
                    self.assertEqual(behind.recv(100), b"through")
            self.grpc.relay.Close(listener=listener)

    DAEMON_ARGS = ("--allow-dial", "127.0.0.1:*")

    def test_who_goes_away_leaves_nothing(self):
        with peers.server("python", pki.server("ecdsa")) as server:
            opened = self.connect_to(server, relay=session_pb2.RelayOptions(by_token=True))
            self.token()
            near, _ = sessions.tcp_pair()
            with near:
                self.put(near.fileno())
            self.grpc.close()
            timing.eventually(lambda: get(self.daemon.path, opened.relay.token)[0].startswith(b"ERR "), "the token is gone")
        now = self.daemon.counters()
        self.rpc.close()
        self.daemon.wait_idle()
        self.assertEqual(now["tokens_made"], now["tokens_freed"])


class Strangers(TokenTest):
    def test_a_token_is_good_once(self):
        with open("/dev/null", "rb") as null:
            token = self.put(null.fileno())
            self.assertRefused(put(self.daemon.path, token, null.fileno()))
        self.assertRefused(get(self.daemon.path, token)[0])

    def test_another_clients_token_is_none(self):
        """A process of the same user may bring the descriptor; only the client may use it."""
        other = self.dial()
        context = sessions.context(other, "client", trust=[pki.root()])
        near, far = sessions.tcp_pair()
        with near, far:
            token = self.put(near.fileno())
            self.assertCode(Code.NOT_FOUND, other.session.Connect, context=context, server_name=pki.HOST, transport=by_token(token))
        mine = sessions.context(self.grpc, "client", trust=[pki.root()])
        opened = self.grpc.session.Connect(context=mine, server_name=pki.HOST, transport=by_token(token))
        self.assertEqual(opened.progress.state, common_pb2.STATE_FAILED, "its own, whose peer has gone")

    def test_who_joins_the_client_may_use_it(self):
        joined = self.dial(token=self.grpc.agent.Hello().token)
        with open("/dev/null", "rb") as null:
            token = self.put(null.fileno())
        context = sessions.context(joined, "client", trust=[pki.root()])
        self.assertCode(Code.INVALID_ARGUMENT, joined.session.Connect, context=context, server_name=pki.HOST, transport=by_token(token))

    @users.needs_root
    def test_another_user_can_neither_bring_nor_fetch(self):
        path = self.daemon.path
        with peers.server("python", pki.server("ecdsa")) as server:
            opened = self.connect_to(server, relay=session_pb2.RelayOptions(by_token=True))
            token = self.token()
            unknown = get(path, bytes(16))[0]
            self.assertEqual(users.as_nobody(lambda: get(path, opened.relay.token)), (unknown, []))
            self.assertEqual(users.as_nobody(lambda: put(path, token, 0)), unknown)
            self.get(opened.relay.token)
            with open("/dev/null", "rb") as null:
                self.assertEqual(put(path, token, null.fileno()), b"OK\n")

    @each(line={"verb": b"TOKEN pot " + b"0" * 32 + b"\n", "long": b"TOKEN get " + b"0" * 40 + b"\n", "http": b"TRACE / HTTP/1.1\r\n\r\n",
                "endless": b"T" * 100000})
    def test_garbage_is_told_so(self, line):
        self.assertRefused(say(self.daemon.path, line)[0], "32 hexadecimal digits")
        self.assertUndisturbed(self.rpc)


class Times(TokenTest):
    DAEMON_ARGS = ("--limit", "descriptor_token_millis=300", "--limit", "request_millis=300")

    def test_a_token_expires_and_takes_the_descriptor_along(self):
        made = self.grpc.session.DescriptorToken()
        self.assertEqual(made.milliseconds, 300)
        near, far = sessions.tcp_pair()
        with far:
            far.settimeout(timing.PATIENCE)
            with near:
                put(self.daemon.path, made.token, near.fileno())
            self.assertEqual(far.recv(1), b"", "all copies of its other end are closed")
        with open("/dev/null", "rb") as null:
            self.assertRefused(put(self.daemon.path, made.token, null.fileno()))

    def test_a_relay_that_nobody_fetches_ends(self):
        near, far = sessions.tcp_pair()
        peer = Background(peers.Puppet(far, peers.python_context(False, ca=pki.root()), False, pki.HOST).handshake)
        self.addCleanup(far.close)
        context = sessions.context(self.rpc, "server", pki.server("ecdsa"))
        pending = self.rpc.submit("SessionService.Accept", session_pb2.AcceptRequest(
            context=context, transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0)),
            relay=session_pb2.RelayOptions(by_token=True)), [near.fileno()])
        opened = self.rpc.wait(pending)
        near.close()
        peer.result()
        self.assertEqual(pending.fds, [])
        far.settimeout(timing.PATIENCE)
        while far.recv(4096):
            pass
        self.assertRefused(get(self.daemon.path, opened.relay.token)[0])
        self.rpc.session.Close(session=opened.session)

    def test_a_line_that_does_not_end_is_given_up(self):
        self.assertRefused(say(self.daemon.path, b"TOKEN put 0123")[0], "request_millis")


if __name__ == "__main__":
    sys.exit("run me with runner.py")
