"""A client of tlsagentd on stock protobuf: ttrpc framing, descriptors, pipelining, and raw frames to be rude with.

    rpc = Client("/run/tlsagent.sock")
    rpc.agent.Ping(payload=b"x").payload
    pending = rpc.submit("SessionService.Read", session_pb2.ReadRequest(session=1))
    rpc.wait(pending)
"""

import enum
import socket
import struct

from google.protobuf import descriptor_pb2, message
from tlsagent.v1 import agent_pb2, certificate_pb2, context_pb2, relay_pb2, session_pb2
from ttrpc import ttrpc_pb2

import timing

HEADER = struct.Struct(">IIBB")
REQUEST, RESPONSE, DATA = 1, 2, 3
FDS_PER_FRAME = 253  # the kernel's SCM_MAX_FD

SERVICES = {
    service.name: service
    for module in (agent_pb2, certificate_pb2, context_pb2, session_pb2, relay_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}


class Code(enum.IntEnum):
    """google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """The RPC failed; its status."""

    def __init__(self, code, text):
        super().__init__(f"{Code(code).name}: {text}")
        self.code = Code(code)
        self.message = text


class ConnectionLost(Exception):
    """The daemon closed the connection."""


def message_class(descriptor):
    return descriptor._concrete_class  # the one name that all versions of protobuf have for it


def methods():
    """Every method of every service, as "SessionService.Read"."""
    return [f"{s.name}.{m.name}" for s in SERVICES.values() for m in s.methods]


def method_descriptor(name):
    service, _, method = name.partition(".")
    return SERVICES[service].methods_by_name[method]


def is_streaming(name):
    """Whether the method takes a stream of messages."""
    described = descriptor_pb2.MethodDescriptorProto()
    method_descriptor(name).CopyToProto(described)
    return described.client_streaming


def frame(payload, stream_id=1, kind=REQUEST, flags=0, length=None):
    """One frame; length may lie."""
    return HEADER.pack(len(payload) if length is None else length, stream_id, kind, flags) + payload


def request_bytes(method, payload=b"", timeout_nano=0, metadata=()):
    """What a Request frame carries. payload is a message or bytes."""
    service, _, name = method.partition(".")
    request = ttrpc_pb2.Request(service="tlsagent.v1." + service, method=name, timeout_nano=timeout_nano)
    request.payload = payload.SerializeToString() if isinstance(payload, message.Message) else payload
    for key, value in metadata:
        request.metadata.add(key=key, value=value)
    return request.SerializeToString()


class Pending:
    """A call in flight."""

    def __init__(self, stream_id, response_class):
        self.stream_id = stream_id
        self.response_class = response_class
        self.fds = []


class Stub:
    """The methods of one service, called with the request's fields."""

    def __init__(self, client, service):
        self.client = client
        self.service = service

    def __getattr__(self, method):
        def call(request=None, fds=(), timeout_nano=0, **fields):
            name = f"{self.service}.{method}"
            if request is None:
                request = message_class(method_descriptor(name).input_type)(**fields)
            return self.client.call(name, request, fds=fds, timeout_nano=timeout_nano)

        return call


def dial(address, seconds):
    """A connected socket. address is a path, or @NAME for an abstract one."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(seconds)
    try:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        sock.close()
        raise
    return sock


class Client:
    """One connection, to an address or on a connected socket. Not for several threads at once. With a token it joins
    that client."""

    def __init__(self, address, token=None):
        self.sock = dial(address, timing.PATIENCE) if isinstance(address, str) else address
        self.next_id = 1
        self.answers = {}  # stream id: (Response, fds)
        self.in_flight = {}
        self.metadata = [("tlsagent-token", token.hex())] if token else []
        self.agent = Stub(self, "AgentService")
        self.context = Stub(self, "ContextService")
        self.session = Stub(self, "SessionService")
        self.relay = Stub(self, "RelayService")
        self.certificate = Stub(self, "CertificateService")

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def take_id(self):
        """The next stream id: odd, increasing."""
        taken, self.next_id = self.next_id, self.next_id + 2
        return taken

    def send(self, data, fds=()):
        """Raw bytes, with descriptors beside the first of them."""
        sent = socket.send_fds(self.sock, [data], list(fds)) if fds else 0
        if data[sent:]:
            self.sock.sendall(data[sent:])

    def submit(self, method, request=b"", fds=(), timeout_nano=0, metadata=()):
        """Sends a call and does not wait."""
        pending = Pending(self.take_id(), message_class(method_descriptor(method).output_type))
        self.in_flight[pending.stream_id] = pending
        metadata, self.metadata = [*self.metadata, *metadata], []
        self.send(frame(request_bytes(method, request, timeout_nano, metadata), pending.stream_id), fds)
        return pending

    def receive_exactly(self, count):
        data, fds = bytearray(), []
        while len(data) < count:
            part, more, _, _ = socket.recv_fds(self.sock, min(count - len(data), 1 << 20), 16)
            if not part:
                raise ConnectionLost(f"after {len(data)} of {count} bytes")
            data += part
            fds += more
        return bytes(data), fds

    def read_frame(self):
        """(stream id, type, flags, payload, fds) of the next frame."""
        header, fds = self.receive_exactly(HEADER.size)
        length, stream_id, kind, flags = HEADER.unpack(header)
        payload, more = self.receive_exactly(length)
        return stream_id, kind, flags, payload, fds + more

    def read_response(self):
        """(stream id, Response, fds) of the next frame, which must be an answer."""
        stream_id, kind, flags, payload, fds = self.read_frame()
        assert (kind, flags) == (RESPONSE, 0), f"a frame of type {kind}, flags {flags}"
        return stream_id, ttrpc_pb2.Response.FromString(payload), fds

    def wait(self, pending):
        """The answer of one call; others that come before it are kept."""
        while pending.stream_id not in self.answers:
            stream_id, response, fds = self.read_response()
            assert stream_id in self.in_flight, f"an answer to stream {stream_id}, which asked nothing"
            self.answers[stream_id] = response, fds
        response, pending.fds = self.answers.pop(pending.stream_id)
        del self.in_flight[pending.stream_id]
        if response.status.code != Code.OK:
            raise RpcError(response.status.code, response.status.message)
        return pending.response_class.FromString(response.payload)

    def wait_any(self):
        """The stream id of some call that is answered; wait() for it returns at once."""
        if not self.answers:
            stream_id, response, fds = self.read_response()
            self.answers[stream_id] = response, fds
        return next(iter(self.answers))

    def call(self, method, request=b"", fds=(), timeout_nano=0):
        return self.wait(self.submit(method, request, fds, timeout_nano))
