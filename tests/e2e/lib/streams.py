"""Streaming calls by both protocols, with one face; and SessionService.Stream with the words of a session.

    stream = TtrpcCalls(rpc).open("SessionService.Stream")   # or GrpcCall(client, "SessionService.Stream")
    stream.send(begin=..., credit=...)
    stream.next()         # a message, or None at the good end; RpcError at a bad one
"""

import collections
import queue

import grpc

import grpc_client
import timing
from tlsagent.v1 import agent_pb2, session_pb2
from ttrpc import ttrpc_pb2
from ttrpc_client import DATA, REQUEST, Code, RpcError, frame, message_class, method_descriptor, request_bytes

REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4
WINDOW = 131072  # what a client may send before it is told more, and the most of a message
MUCH = 1 << 18


class TtrpcCalls:
    """The streaming calls of one connection, which makes none of the others meanwhile."""

    def __init__(self, rpc):
        self.rpc = rpc
        self.frames = {}

    def begin(self, method, payload=b"", flags=0, timeout_nano=0):
        stream_id = self.rpc.take_id()
        self.frames[stream_id] = collections.deque()
        self.rpc.send(frame(request_bytes(method, payload, timeout_nano, self.rpc.metadata), stream_id, REQUEST, flags))
        self.rpc.metadata = []
        return stream_id

    def open(self, method, timeout_nano=0):
        return TtrpcCall(self, method, self.begin(method, flags=REMOTE_OPEN, timeout_nano=timeout_nano))

    def take(self, stream_id):
        """(type, flags, payload) of that call's next frame; others that come before it are kept."""
        while not self.frames[stream_id]:
            got, kind, flags, payload, _ = self.rpc.read_frame()
            self.frames[got].append((kind, flags, payload))
        return self.frames[stream_id].popleft()


class TtrpcCall:
    def __init__(self, calls, method, stream_id):
        self.calls, self.stream_id = calls, stream_id
        self.request_class, self.response_class = (message_class(kind) for kind in (
            method_descriptor(method).input_type, method_descriptor(method).output_type))

    def send_bytes(self, payload, flags=0):
        self.calls.rpc.send(frame(payload, self.stream_id, DATA, flags))

    def send(self, **fields):
        self.send_bytes(self.request_class(**fields).SerializeToString())

    def half_close(self):
        self.send_bytes(b"", REMOTE_CLOSED | NO_DATA)

    def next(self):
        kind, flags, payload = self.calls.take(self.stream_id)
        if kind == DATA and flags == 0:
            return self.response_class.FromString(payload)
        if kind == DATA:
            assert (flags, payload) == (REMOTE_CLOSED | NO_DATA, b""), (flags, payload)
            return None
        status = ttrpc_pb2.Response.FromString(payload).status
        assert status.code != Code.OK, "a stream's good end is a frame of data"
        raise RpcError(status.code, status.message)

    def cancel(self):
        asked = self.calls.begin("AgentService.Cancel", agent_pb2.CancelRequest(stream_id=self.stream_id))
        _, _, payload = self.calls.take(asked)
        response = ttrpc_pb2.Response.FromString(payload)
        assert agent_pb2.CancelResponse.FromString(response.payload).found, "there was no such call"

    def vanish(self):
        self.calls.rpc.close()


class GrpcCall:
    def __init__(self, client, method, timeout_nano=0):
        descriptor = method_descriptor(method)
        self.client = client
        self.request_class = message_class(descriptor.input_type)
        self.requests = queue.SimpleQueue()
        ask = client.channel.stream_stream(
            grpc_client.path(method), request_serializer=lambda one: one if isinstance(one, bytes) else one.SerializeToString(),
            response_deserializer=message_class(descriptor.output_type).FromString)
        self.call = ask(iter(self.requests.get, None), timeout=timeout_nano / 1e9 if timeout_nano else 3 * timing.PATIENCE,
                        metadata=client.metadata)

    def send_bytes(self, payload):
        self.requests.put(payload)

    def send(self, **fields):
        self.requests.put(self.request_class(**fields))

    def half_close(self):
        self.requests.put(None)

    def next(self):
        try:
            return next(self.call, None)
        except grpc.RpcError as error:
            raise RpcError(Code(error.code().value[0]), error.details()) from error

    def cancel(self):
        self.call.cancel()
        self.requests.put(None)

    def vanish(self):
        self.client.close()
        self.requests.put(None)


class Stream:
    """SessionService.Stream over one of these. Without credit it goes by windows."""

    def __init__(self, call, credit):
        self.call, self.credit = call, credit
        self.may_send = 0
        self.data = bytearray()
        self.taken = 0  # of what it was sent, not granted anew
        self.peer_ended = False
        self.end = None

    def begin(self, session, **fields):
        self.call.send(begin=session_pb2.StreamBegin(session=session, **fields), credit=self.credit)
        first = self.call.next()
        assert first == session_pb2.StreamResponse(credit=WINDOW if self.credit else 0), first
        self.may_send = first.credit
        return self

    def step(self, grants=True):
        """Takes one answer, and grants as much again."""
        answer = self.call.next()
        assert answer is not None and self.end is None, "it ended without a word, or after its last"
        assert not (self.peer_ended and answer.data), "data came after the peer's end"
        assert self.credit or not answer.credit, "credit came where it goes by windows"
        self.data += answer.data
        self.taken += len(answer.data)
        self.may_send += answer.credit
        self.peer_ended = self.peer_ended or answer.peer_ended
        if answer.HasField("end"):
            self.end = answer.end
            return
        if grants and self.credit and self.taken >= self.credit / 2:
            self.call.send(credit=self.taken)
            self.taken = 0

    def write(self, data):
        view = memoryview(data)
        while view:
            size = min(len(view), 65536, self.may_send if self.credit else 65536)
            if size == 0:
                self.step()
                assert self.end is None, self.end
                continue
            self.call.send(data=bytes(view[:size]))
            self.may_send -= size
            view = view[size:]

    def read_exactly(self, count):
        while len(self.data) < count:
            assert not self.peer_ended and self.end is None, f"the stream ended after {len(self.data)} of {count} bytes"
            self.step()
        data, self.data = bytes(self.data[:count]), self.data[count:]
        return data

    def read_until(self, mark):
        while mark not in self.data:
            assert not self.peer_ended and self.end is None, f"the stream ended after {bytes(self.data)!r}"
            self.step()
        return self.read_exactly(len(self.data))

    def read_all(self):
        while not self.peer_ended and self.end is None:
            self.step()
        return self.read_exactly(len(self.data))

    def shutdown(self, await_peer=True):
        self.call.half_close()
        if await_peer:
            self.finish()

    def finish(self):
        """How it ended, once it has, and nothing comes after that."""
        while self.end is None:
            self.step()
        assert self.call.next() is None, "something comes after the end"
        return self.end
