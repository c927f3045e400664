"""The libraries we link come from the system, found by pkg-config, as @system//:openssl and so on.

TLSAGENT_OPENSSL=PREFIX takes OpenSSL from PREFIX instead: any version from 3.0 on.
"""

_LIBRARIES = [
    # (target, pkg-config names, oldest version that will do, Debian package, headers in /usr/include that are linked
    # into this repository too: Bazel keeps a list of that folder from when it was first configured, and a library that
    # was installed since isn't in it)
    ("openssl", ["libssl", "libcrypto"], "3.0", "libssl-dev"),
    ("liburing", ["liburing"], "2.3", "liburing-dev"),
    ("jansson", ["jansson"], "2.14", "libjansson-dev", ["jansson.h", "jansson_config.h"]),
    ("nghttp2", ["libnghttp2"], "1.52", "libnghttp2-dev", ["nghttp2"]),
    ("protobuf_c", ["libprotobuf-c"], "1.4", "libprotobuf-c-dev"),
    ("gtest", ["gmock_main"], "1.12", "libgmock-dev"),
    ("python", ["python3"], "3.11", "python3-dev"),  # headers only: an extension links no libpython
]

_BUILD_HEADER = """# Written by system_libraries in tools/bazel/system.bzl.
package(default_visibility = ["//visibility:public"])
"""

_BUILD_LIBRARY = """
cc_library(
    name = "{name}",
    hdrs = glob({globs}),
    includes = {includes},
    defines = {defines},
    linkopts = {linkopts},
)
"""

def _pkg_config(ctx, search, args):
    """Returns what pkg-config prints, as words, or None when it fails."""
    program = ctx.which("pkg-config")
    if not program:
        fail("pkg-config is missing. Install it: apt-get install pkg-config")
    env = {"PKG_CONFIG_PATH": search} if search else {}
    result = ctx.execute([program] + args, environment = env)
    return None if result.return_code else [word for word in result.stdout.strip().split(" ") if word]

def _openssl_search_path(ctx):
    """Where TLSAGENT_OPENSSL keeps its .pc files; "" when the system's OpenSSL is meant."""
    prefix = ctx.os.environ.get("TLSAGENT_OPENSSL", "")
    if not prefix:
        return ""
    found = [d for d in (prefix + "/lib64/pkgconfig", prefix + "/lib/pkgconfig") if ctx.path(d + "/libssl.pc").exists]
    if not found:
        fail("TLSAGENT_OPENSSL=%s has no lib/pkgconfig/libssl.pc: name the prefix of an installed OpenSSL." % prefix)
    return found[0]

def _check_version(ctx, name, modules, oldest, package, search):
    if _pkg_config(ctx, search, ["--exists"] + modules) == None:
        fail("%s is missing. Install it: apt-get install %s" % (name, package))
    if _pkg_config(ctx, search, ["--atleast-version=" + oldest] + modules) == None:
        version = _pkg_config(ctx, search, ["--modversion", modules[0]])[0]
        fail("%s is %s, and %s or newer is needed (Debian package %s)." % (name, version, oldest, package))

def _library(ctx, name, modules, oldest, package, headers = []):
    search = _openssl_search_path(ctx) if name == "openssl" else ""
    _check_version(ctx, name, modules, oldest, package, search)

    # Headers outside /usr/include are linked into this repository: Bazel wants to see every header it compiles with.
    includes = []
    for flag in _pkg_config(ctx, search, ["--cflags-only-I"] + modules):
        includes.append("%s/include%d" % (name, len(includes)))
        ctx.symlink(flag[len("-I"):], includes[-1])

    if headers and not includes:
        includes.append(name + "/include")
        directory = _pkg_config(ctx, search, ["--variable=includedir"] + modules)[0]
        for header in headers:
            ctx.symlink(directory + "/" + header, includes[0] + "/" + header)

    libs = _pkg_config(ctx, search, ["--libs"] + modules)

    # pkg-config prints -L only for a library outside the linker's search path, which the loader won't search either.
    rpaths = ["-Wl,-rpath," + flag[len("-L"):] for flag in libs if flag.startswith("-L")]
    return _BUILD_LIBRARY.format(
        name = name,
        globs = repr([i + "/**/*.h" for i in includes]),
        includes = repr(includes),
        defines = repr([f[len("-D"):] for f in _pkg_config(ctx, search, ["--cflags-only-other"] + modules) if f.startswith("-D")]),
        # The only C++ here is GoogleTest, and the linker is run as for C (see BAZEL_LINKLIBS in .bazelrc).
        linkopts = repr(libs + rpaths + (["-lstdc++", "-lm"] if name == "gtest" else [])),
    )

def _system_libraries_impl(ctx):
    ctx.file("BUILD.bazel", _BUILD_HEADER + "".join([_library(ctx, *row) for row in _LIBRARIES]))

system_libraries = repository_rule(
    implementation = _system_libraries_impl,
    doc = "Makes one cc_library for each of _LIBRARIES.",
    environ = ["PATH", "PKG_CONFIG_PATH", "TLSAGENT_OPENSSL"],
    local = True,  # asked anew by each server: an upgraded library must be seen
)
