"""A stock gRPC client, grpcio, with the face of ttrpc_client.Client: what is tested by one can be tested by the other."""

import functools

import grpc

import timing
from ttrpc_client import Code, RpcError, Stub, message_class, method_descriptor

OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own: grpcio shares those that look the same
    ("grpc.enable_http_proxy", 0),
]


def path(method):
    service, _, name = method.partition(".")
    return f"/tlsagent.v1.{service}/{name}"


class Client:
    """One connection, to a path or to what grpcio calls a target. Any thread. With a token it joins that client."""

    def __init__(self, address, token=None, credentials=None, **options):
        target = "unix:" + address if address.startswith("/") else address
        options = [*OPTIONS, *options.items()]
        self.channel = (grpc.secure_channel(target, credentials, options) if credentials
                        else grpc.insecure_channel(target, options))
        self.metadata = [("tlsagent-token", token.hex())] if token else []
        self.agent = Stub(self, "AgentService")
        self.context = Stub(self, "ContextService")
        self.session = Stub(self, "SessionService")
        self.relay = Stub(self, "RelayService")
        self.certificate = Stub(self, "CertificateService")

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    @functools.lru_cache(maxsize=None)
    def callable(self, method):
        descriptor = method_descriptor(method)
        return self.channel.unary_unary(path(method),
                                        request_serializer=message_class(descriptor.input_type).SerializeToString,
                                        response_deserializer=message_class(descriptor.output_type).FromString)

    def call(self, method, request, fds=(), timeout_nano=0, metadata=(), **kwargs):
        """The answer, or an RpcError whose cause is grpcio's own."""
        assert not fds, "descriptors don't travel by gRPC"
        seconds = timeout_nano / 1e9 if timeout_nano else timing.PATIENCE
        try:
            return self.callable(method)(request, timeout=seconds, metadata=[*self.metadata, *metadata], **kwargs)
        except grpc.RpcError as error:
            raise RpcError(Code(error.code().value[0]), error.details()) from error
