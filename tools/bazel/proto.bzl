"""What protoc makes of proto/**: C for both sides of the wire, Go and Python for clients, descriptors for checks.

Imports in a .proto are relative to the folder of the BUILD file that calls these: `import "tlsagent/v1/error.proto"`.
"""

def _outputs(srcs, suffixes):
    return [src[:-len(".proto")] + suffix for src in srcs for suffix in suffixes]

def _protoc(name, srcs, outs, tool, flags, plugins = [], **kwargs):
    native.genrule(
        name = name,
        # Every .proto of the package is an input, for any may be imported.
        srcs = native.glob(["**/*.proto"]),
        outs = outs,
        cmd = "$(execpath {tool}) -I{root} {flags} {files}".format(
            tool = tool,
            root = native.package_name(),
            flags = flags,
            files = " ".join([native.package_name() + "/" + src for src in srcs]),
        ),
        message = "Generating from protos:",
        tools = [tool] + plugins,
        **kwargs
    )

def proto_c_library(name, srcs, deps = [], **kwargs):
    """The messages of srcs for protobuf-c, included as "<package>/<file>.pb-c.h"."""
    if srcs:
        _protoc(
            name = name + "_sources",
            srcs = srcs,
            outs = _outputs(srcs, [".pb-c.c", ".pb-c.h"]),
            tool = "@host_tools//:protoc-c",
            flags = "--c_out=$(RULEDIR)",
        )
    native.cc_library(
        name = name,
        srcs = _outputs(srcs, [".pb-c.c"]),
        hdrs = _outputs(srcs, [".pb-c.h"]),
        # Not our code, so not our warnings; but nobody's symbols leak out of libtlsagent.so.
        copts = ["-w", "-fvisibility=hidden"],
        includes = ["."],  # the generated files include each other as protoc names them
        linkstatic = True,
        deps = deps + ["@system//:protobuf_c"],
        **kwargs
    )

def proto_python(name, srcs, **kwargs):
    """The messages of srcs as Python modules."""
    if srcs:
        _protoc(
            name = name + "_sources",
            srcs = srcs,
            outs = _outputs(srcs, ["_pb2.py"]),
            tool = "@host_tools//:protoc",
            flags = "--python_out=$(RULEDIR)",
        )
    native.filegroup(name = name, srcs = _outputs(srcs, ["_pb2.py"]), **kwargs)

def proto_go(name, srcs, package, **kwargs):
    """The messages of srcs as one Go package for google.golang.org/protobuf.

    Args:
      name: the files it is made of
      srcs: the .proto files
      package: its import path
      **kwargs: passed to the filegroup
    """
    if srcs:
        plugin = "@host_tools//:protoc-gen-go"
        _protoc(
            name = name + "_sources",
            srcs = srcs,
            outs = _outputs(srcs, [".pb.go"]),
            tool = "@host_tools//:protoc",
            flags = " ".join(
                ["--plugin=protoc-gen-go=$(execpath %s)" % plugin, "--go_opt=paths=source_relative", "--go_out=$(RULEDIR)"] +
                ["--go_opt=M%s=%s" % (src, package) for src in srcs],
            ),
            plugins = [plugin],
        )
    native.filegroup(name = name, srcs = _outputs(srcs, [".pb.go"]), **kwargs)

def descriptor_set(name, srcs, comments = True, **kwargs):
    """One FileDescriptorSet of all of srcs, with or without their comments."""
    if not srcs:
        native.filegroup(name = name, **kwargs)
        return
    _protoc(
        name = name,
        srcs = srcs,
        outs = [name + ".pb"],
        tool = "@host_tools//:protoc",
        flags = "--include_imports %s --descriptor_set_out=$@" % ("--include_source_info" if comments else ""),
        **kwargs
    )
