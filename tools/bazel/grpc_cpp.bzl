"""gRPC's own C++: stubs of our .proto files, and programs that use them. Debian's libgrpc++-dev and
protobuf-compiler-grpc, which nothing that is installed needs."""

_COPTS = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
_LINKOPTS = ["-lgrpc++", "-lgrpc", "-lgpr", "-labsl_synchronization", "-lprotobuf", "-lstdc++", "-lm", "-lpthread"]

def grpc_cc_stubs(name, srcs, protos, **kwargs):
    """Messages and stubs in C++.

    Args:
      name: of the library
      srcs: the .proto files, all that are named and imported
      protos: those to generate for, without ".proto", as they are imported
      **kwargs: passed to the library
    """
    headers = [proto + suffix for proto in protos for suffix in [".pb.h", ".grpc.pb.h"]]
    sources = [proto + suffix for proto in protos for suffix in [".pb.cc", ".grpc.pb.cc"]]
    native.genrule(
        name = name + "_generated",
        srcs = srcs,
        outs = headers + sources,
        cmd = " ".join([
            "plugin=$$(command -v grpc_cpp_plugin) ||",
            "{ echo >&2 'grpc_cpp_plugin is missing. Install it: apt-get install protobuf-compiler-grpc libgrpc++-dev'; exit 1; };",
            "protoc -I proto --plugin=protoc-gen-grpc=$$plugin --cpp_out=$(RULEDIR) --grpc_out=$(RULEDIR)",
        ] + ["%s.proto" % proto for proto in protos]),
        message = "Generating gRPC C++:",
    )
    native.cc_library(
        name = name,
        testonly = True,
        srcs = sources,
        hdrs = headers,
        copts = _COPTS + ["-w"],  # not ours to mend
        includes = ["."],
        linkopts = _LINKOPTS,
        **kwargs
    )

def grpc_cc_binary(name, **kwargs):
    """A program in C++ that uses gRPC."""
    native.cc_binary(
        name = name,
        testonly = True,
        copts = _COPTS,
        **kwargs
    )
