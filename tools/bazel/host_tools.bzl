"""The programs that our rules run, taken from this machine, as @host_tools//:protoc and so on."""

_TOOLS = {
    # target: (program, Debian package)
    "go": ("go", "golang-go"),
    "protoc": ("protoc", "protobuf-compiler"),
    "protoc-c": ("protoc-c", "protobuf-c-compiler"),
    "protoc-gen-go": ("protoc-gen-go", "protoc-gen-go"),
}

# Debian's own, not the PATH's: a pyenv or a virtualenv lacks python3-protobuf.
_PYTHON = "/usr/bin/python3"

def _wrapper(ctx, name, program):
    # A script rather than a link: go and python3 find their libraries by the path they were called by.
    ctx.file(name, "#!/bin/sh\nexec %s \"$@\"\n" % program, executable = True)

def _host_tools_impl(ctx):
    for name, (program, package) in _TOOLS.items():
        path = ctx.which(program)
        if not path:
            fail("%s is missing. Install it: apt-get install %s" % (program, package))
        _wrapper(ctx, name, path)

    if ctx.execute([_PYTHON, "-c", "import google.protobuf"]).return_code:
        fail("%s can't import google.protobuf. Install it: apt-get install python3-protobuf" % _PYTHON)
    _wrapper(ctx, "python3", _PYTHON)

    ctx.file("BUILD.bazel", "exports_files(%r)\n" % (_TOOLS.keys() + ["python3"]))

host_tools = repository_rule(
    implementation = _host_tools_impl,
    doc = "Makes one executable for each of _TOOLS, and python3.",
    environ = ["PATH"],
    local = True,
)
