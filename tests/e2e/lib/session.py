"""A TLS session through the daemon over a socket of the test's, on the memory or the socket path alike.

    session = connect(rpc, "memory", context, sock, server_name="localhost")
    session.write(b"hello")
    session.read()           # b"" at the clean end
"""

import socket
import threading

from tlsagent.v1 import common_pb2, context_pb2, session_pb2

import timing

PATHS = ("memory", "fd")


class TlsFailure(Exception):
    """An operation ended in STATE_FAILED; error is the TlsError, response the whole answer."""

    def __init__(self, response):
        self.response = response
        self.error = response.progress.error
        text = " ".join(str(self.error).split())
        super().__init__(f"STATE_FAILED: {text}")


def context(rpc, kind, pair=None, trust=(), **settings):
    """A context handle. kind is "client", "server" or "both"; pair a pki.Pair, trust pki.Pairs, settings those of
    ContextSettings as plain values."""
    request = context_request(kind, pair, trust, **settings)
    response = rpc.context.Create(request)
    assert not response.HasField("error"), response.error
    return response.context


def context_request(kind, pair=None, trust=(), **settings):
    request = context_pb2.CreateContextRequest(kind=context_pb2.ContextKind.Value("CONTEXT_KIND_" + kind.upper()))
    for one in pair if isinstance(pair, (list, tuple)) else [pair] if pair else []:
        added = request.pairs.add()
        added.chain.data, added.key.data = one.chain, one.key
    for one in trust:
        request.trust.certificates.add(data=one.pem)
    fill_settings(request.settings, **settings)
    return request


def fill_settings(message, **settings):
    """ContextSettings from plain values: min_version=772, ciphers="...", alpn=[b"h2"], events=["messages"]."""
    for name, value in settings.items():
        if name == "alpn_require_overlap":
            message.alpn.require_overlap = value
            continue
        field = getattr(message, name)
        if name == "alpn":
            field.protocols.extend(value)
        elif name in ("min_version", "max_version"):
            field.version = value
            field.SetInParent()
        elif name == "dh_params":
            field.data = value
        elif name in ("decisions", "events"):
            for flag in value:
                setattr(field, flag, True)
            field.SetInParent()
        else:
            field.value = value
            field.SetInParent()
    return message


VERSIONS = {"tls12": common_pb2.PROTOCOL_VERSION_TLS_1_2, "tls13": common_pb2.PROTOCOL_VERSION_TLS_1_3}


def only(version):
    """Settings that allow one version ("tls12", "tls13")."""
    return {"min_version": VERSIONS[version], "max_version": VERSIONS[version]}


class Session:
    """What both paths share. handle, negotiated and peer are those of the handshake's answer."""

    def __init__(self, rpc, sock):
        self.rpc = rpc
        self.sock = sock
        self.handle = 0
        self.negotiated = None
        self.peer = None
        self.has_peer = False

    def start(self, method, **fields):
        response = self.call(method, first=True, **fields)
        if response.progress.state != common_pb2.STATE_DONE:
            response = self.call("Handshake", decode_peer=fields.get("decode_peer", False))
        self.negotiated, self.peer = response.negotiated, response.peer
        self.has_peer = response.HasField("peer")
        return self

    def read(self, max_bytes=0):
        """Some plaintext; b"" once the peer has closed."""
        return self.call("Read", max_bytes=max_bytes).data

    def read_exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.read(min(count - len(data), 1 << 20))
            assert part, f"the stream ended after {len(data)} of {count} bytes"
            data += part
        return bytes(data)

    def read_until(self, mark):
        data = b""
        while mark not in data:
            part = self.read()
            assert part, f"the stream ended after {data!r}"
            data += part
        return data

    def read_all(self):
        return b"".join(iter(self.read, b""))

    def write(self, data):
        """All of it, in as many calls as it takes."""
        data = memoryview(data)
        while True:
            response = self.call("Write", data=bytes(data[:1 << 20]))
            assert response.accepted or not data, "nothing was taken"
            data = data[response.accepted:]
            if not data:
                return

    def shutdown(self, await_peer=True):
        return self.call("Shutdown", await_peer=await_peer)

    def describe(self):
        return self.rpc.session.Describe(session=self.handle)

    def close(self):
        self.rpc.session.Close(session=self.handle)


class FdSession(Session):
    """The daemon has a copy of the socket and waits by itself."""

    def call(self, method, first=False, **fields):
        if first:
            transport = session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))
            response = getattr(self.rpc.session, method)(transport=transport, fds=[self.sock.fileno()], **fields)
            self.handle = response.session
        else:
            response = getattr(self.rpc.session, method)(session=self.handle, **fields)
        if response.progress.state == common_pb2.STATE_FAILED:
            raise TlsFailure(response)
        assert response.progress.state in (common_pb2.STATE_DONE, common_pb2.STATE_CLOSED), response
        return response


class MemorySession(Session):
    """The test carries the ciphertext, at most chunk bytes at a time from the peer."""

    def __init__(self, rpc, sock, chunk=1 << 18):
        super().__init__(rpc, sock)
        sock.settimeout(timing.PATIENCE)
        self.chunk = chunk
        self.inbox = b""
        self.eof = False
        self.discarded = 0  # by the calls of a shutdown

    def shutdown(self, await_peer=True):
        """As often as it takes; what each call threw away is added up."""
        self.discarded = 0
        response = super().shutdown(await_peer)
        response.discarded = self.discarded
        return response

    def call(self, method, first=False, **fields):
        while True:
            response = self.step(method, first, **fields)
            self.discarded += getattr(response, "discarded", 0)
            state = response.progress.state
            if state == common_pb2.STATE_FAILED:
                raise TlsFailure(response)
            if state in (common_pb2.STATE_DONE, common_pb2.STATE_CLOSED) or getattr(response, "accepted", 0):
                return response
            if state == common_pb2.STATE_WANT_READ:
                self.receive()
            if first:
                return response

    def step(self, method, first, **fields):
        """One call with what has come from the peer so far."""
        feed = session_pb2.Feed(data=self.inbox, eof=self.eof)
        if first:
            transport = session_pb2.Transport(memory=session_pb2.MemoryTransport(feed=feed))
            response = getattr(self.rpc.session, method)(transport=transport, **fields)
            self.handle = response.session
        else:
            response = getattr(self.rpc.session, method)(session=self.handle, feed=feed, **fields)
        self.settle(response.progress, feed)
        return response

    def settle(self, progress, feed):
        """Sends the output and drops the input that was taken."""
        assert progress.input_consumed <= len(feed.data), "more was taken than was fed"
        self.inbox = self.inbox[progress.input_consumed:]
        if progress.output:
            try:
                self.sock.sendall(progress.output)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the peer has gone; what it sent before is still to be read

    def receive(self):
        assert not self.eof, "the daemon wants to read on after the end"
        try:
            part = self.sock.recv(self.chunk)
        except ConnectionResetError:
            part = b""
        self.inbox += part
        self.eof = not part


def _session(rpc, path, sock, **options):
    return MemorySession(rpc, sock, **options) if path == "memory" else FdSession(rpc, sock)


def connect(rpc, path, context_handle, sock, server_name="localhost", chunk=None, **fields):
    """A client session after its handshake, or TlsFailure."""
    session = _session(rpc, path, sock, **({"chunk": chunk} if chunk else {}))
    return session.start("Connect", context=context_handle, server_name=server_name, **fields)


def accept(rpc, path, context_handle, sock, chunk=None, **fields):
    """A server session after its handshake, or TlsFailure."""
    session = _session(rpc, path, sock, **({"chunk": chunk} if chunk else {}))
    return session.start("Accept", context=context_handle, **fields)


def tcp_pair():
    """Two ends of a TCP connection on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


class Background:
    """A function on a thread; result() gives what it returned or raises what it raised."""

    def __init__(self, function, *args, **kwargs):
        self.outcome = None
        self.error = None
        self.thread = threading.Thread(target=self._run, args=(function, args, kwargs), daemon=True)
        self.thread.start()

    def _run(self, function, args, kwargs):
        try:
            self.outcome = function(*args, **kwargs)
        except BaseException as error:  # handed on by result()
            self.error = error

    def result(self, seconds=60):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the other side hangs"
        if self.error is not None:
            raise self.error
        return self.outcome
