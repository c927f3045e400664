"""How everything here is compiled. The warnings are stated once, below."""

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wformat=2",  # a format that isn't a literal is a hole
    "-Wpointer-arith",
    "-Wshadow",
    "-Wundef",
    "-Wvla",  # a length from the wire must never become a stack size
    "-Wwrite-strings",
]

_C_WARNINGS = _WARNINGS + [
    "-Wimplicit-fallthrough",
    "-Wmissing-prototypes",  # a function is static, or a header speaks of it
    "-Wold-style-definition",
    "-Wstrict-prototypes",
]

_COPTS = [
    "-D_GNU_SOURCE",  # accept4, SO_PEERCRED, memfd_create: this is a Linux daemon
    "-fvisibility=hidden",  # libtlsagent.so exports what tlsagent.h marks, and nothing else
]

_C_COPTS = ["-std=gnu11"] + _C_WARNINGS + _COPTS
_CXX_COPTS = ["-std=c++17"] + _WARNINGS + _COPTS + [
    "-Wno-missing-field-initializers",  # C headers' structs are filled in by name in C, by position in C++
]

# With clang, a file may include only what its target names in deps.
_FEATURES = ["layering_check"]

# All of the server, for the tests that stand on top of it.
SERVER = [
    "//proto:grpc_c",
    "//proto:tlsagent_c",
    "//proto:ttrpc",
    "//proto:ttrpc_c",
    "//server/base",
    "//server/daemon",
    "//server/ring",
    "//server/rpc",
    "//server/service",
    "//server/session",
    "//server/tenant",
    "//server/tls",
]

def tlsagent_cc_library(name, copts = [], **kwargs):
    """A library of C."""
    native.cc_library(
        name = name,
        copts = _C_COPTS + copts,
        features = _FEATURES,
        linkstatic = True,
        **kwargs
    )

def tlsagent_cc_binary(name, srcs, copts = [], **kwargs):
    """A program in C. With no sources yet it is an empty target, so that what names it still loads."""
    if not srcs and not kwargs.get("linkshared"):
        native.filegroup(name = name, visibility = kwargs.get("visibility"))
        return
    native.cc_binary(
        name = name,
        srcs = srcs,
        copts = _C_COPTS + copts,
        features = _FEATURES,
        **kwargs
    )

def tlsagent_cc_test(name, srcs, deps = [], copts = [], **kwargs):
    """A GoogleTest, in C++, of code in C."""
    native.cc_test(
        name = name,
        size = kwargs.pop("size", "small"),
        srcs = srcs,
        copts = _CXX_COPTS + copts,
        features = _FEATURES,
        linkstatic = True,
        deps = deps + ["@system//:gtest"],
        **kwargs
    )

def tlsagent_cc_test_library(name, **kwargs):
    """What tests in C++ share across folders."""
    native.cc_library(
        name = name,
        testonly = True,
        copts = _CXX_COPTS,
        features = _FEATURES,
        linkstatic = True,
        visibility = ["//tests:__subpackages__"],
        **kwargs
    )

def tlsagent_unit_tests(deps, threads = None, **kwargs):
    """One test for each *_test.cc of this folder; other sources in it are shared by all of them.

    Args:
      deps: the folder under test, and what its tests need beside it
      threads: the tests that have more than one thread; all, if nothing is said. For ThreadSanitizer, which has nothing
        to see in the others
      **kwargs: passed to every test
    """
    helpers = native.glob(["*.c", "*.cc"], exclude = ["*_test.cc"])
    native.cc_library(
        name = "helpers",
        testonly = True,
        srcs = helpers,
        hdrs = native.glob(["*.h"]),
        copts = [o for o in _CXX_COPTS if not o.startswith("-std=")],  # helpers are C or C++
        features = _FEATURES,
        linkstatic = True,
        deps = deps + ["@system//:gtest"],
    )
    for src in native.glob(["*_test.cc"]):
        tlsagent_cc_test(
            name = src[:-len(".cc")],
            srcs = [src],
            data = native.glob(["testdata/**"]),
            deps = [":helpers"] + deps,
            tags = [] if threads == None or src[:-len(".cc")] in threads else ["one-thread"],
            **kwargs
        )

def tlsagent_fuzz_tests(deps):
    """For each *_fuzz.cc a libFuzzer program, and a test that replays its corpus and then searches for a short while.

    `bazel run --config=fuzz //tests/fuzz:frame_fuzz -- -max_total_time=3600` searches in earnest.

    Args:
      deps: what the programs call
    """
    for src in native.glob(["*_fuzz.cc"]):
        name = src[:-len(".cc")]
        clang_only = select({
            "//tools/bazel:clang": [],
            "//conditions:default": ["@platforms//:incompatible"],  # libFuzzer is clang's
        })
        native.cc_binary(
            name = name,
            testonly = True,
            srcs = [src] + native.glob(["*.h"]),
            # libFuzzer refuses to run without any coverage; --config=fuzz adds it everywhere, not only here.
            copts = _CXX_COPTS + ["-fsanitize=fuzzer-no-link"],
            features = _FEATURES,
            linkopts = ["-fsanitize=fuzzer", "-lstdc++", "-lm"],
            linkstatic = True,
            target_compatible_with = clang_only,
            deps = deps,
        )
        native.sh_test(
            name = name + "_test",
            size = "small",
            srcs = ["run.sh"],
            args = ["$(rootpath :%s)" % name, "tests/fuzz/corpus/" + name],
            data = [":" + name] + native.glob(["corpus/%s/**" % name]),
            tags = ["fuzz"],
            target_compatible_with = clang_only,
        )

def tlsagent_bench_programs(deps, data):
    """One program for each *.c of this folder.

    Args:
      deps: what the programs call
      data: what they start
    """
    for src in native.glob(["*.c"]):
        tlsagent_cc_binary(
            name = src[:-len(".c")],
            testonly = True,
            srcs = [src] + native.glob(["*.h"]),
            data = data,
            deps = deps,
        )

def tlsagent_python_tests(srcs, lib, data, runner = "//tests/e2e:runner.py", **kwargs):
    """One target for each file of Python unittests; its XML counts every test method.

    Args:
      srcs: the *_test.py files
      lib: modules and files that they share
      data: programs that they start
      runner: what runs them and writes the XML
      **kwargs: passed to every test
    """
    for src in srcs:
        native.sh_test(
            name = src[:-len(".py")],
            size = "medium",
            srcs = [runner],
            args = ["$(rootpath %s)" % src],
            data = [src] + lib + data,
            **kwargs
        )

def go_program(name, src, **kwargs):
    """A Go program of one file, compiled against Debian's golang-*-dev packages: no module proxy is asked.

    Args:
      name: the program's name, and its path in this package
      src: its main.go
      **kwargs: passed to the genrule
    """
    native.genrule(
        name = name.replace("/", "_"),
        srcs = [src],
        outs = [name],
        cmd = " ".join([
            "GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS=-trimpath GOCACHE=$$PWD/bazel-out/_go_cache",
            "$(execpath @host_tools//:go) build -o $@ $(SRCS)",
        ]),
        executable = True,
        local = True,  # outside the sandbox, so that Go's own cache outlives the action: 15 s become 1
        message = "Building a Go program:",
        tools = ["@host_tools//:go"],
        **kwargs
    )
