"""How Go is compiled: against Debian's golang-*-dev packages, in a GOPATH of the action's own. No module proxy is asked.

The package "tlsagent" is client/go with the messages that protoc makes of proto/**; GO_PACKAGE is both.
"""

GO_PACKAGE = [
    "//client/go:package",
    "//proto:go",
]

# Lays out GOPATH/src/tlsagent; what else is among the sources stays where it is.
_STAGE = """
  go=$$PWD/$(execpath @host_tools//:go)
  out=$$PWD/$@
  gopath=$$(mktemp -d)
  trap 'rm -rf "$$gopath"' EXIT
  package=$$gopath/src/tlsagent
  mkdir -p "$$package/internal/tlsagentv1"
  for file in $(SRCS); do
    case $$file in
      *.pb.go) cp "$$file" "$$package/internal/tlsagentv1/" ;;
      client/go/*) cp "$$file" "$$package/" ;;
    esac
  done
  export GO111MODULE=off GOPATH="$$gopath:/usr/share/gocode" GOFLAGS=-trimpath GOCACHE="$$PWD/bazel-out/_go_cache"
"""

def _go(name, srcs, out, cmd, **kwargs):
    native.genrule(
        name = name,
        srcs = srcs,
        outs = [out],
        cmd = _STAGE + cmd,
        executable = True,
        local = True,  # outside the sandbox, so that Go's own cache outlives the action
        message = "Building a Go program:",
        tools = ["@host_tools//:go"],
        **kwargs
    )

def go_package_program(name, src, **kwargs):
    """A Go program of one file that imports "tlsagent".

    Args:
      name: the program's name, and its path in this package
      src: its main.go
      **kwargs: passed to the genrule
    """
    _go(
        name = name.replace("/", "_"),
        srcs = [src] + GO_PACKAGE,
        out = name,
        cmd = "\"$$go\" vet $(execpath %s) && \"$$go\" build -o \"$$out\" $(execpath %s)" % (src, src),
        **kwargs
    )

def go_package_test(name, srcs, data, **kwargs):
    """The tests of the package "tlsagent", with `go vet` before and the race detector on.

    Args:
      name: the test's name
      srcs: its *_test.go
      data: programs that it starts
      **kwargs: passed to the test
    """
    _go(
        name = name + "_build",
        testonly = True,
        srcs = srcs + GO_PACKAGE,
        out = name + ".bin",
        cmd = "cd \"$$package\" && \"$$go\" vet . && CGO_ENABLED=1 \"$$go\" test -race -c -o \"$$out\" .",
    )
    native.sh_test(
        name = name,
        srcs = ["//tools/bazel:go_test.py"],
        args = ["$(rootpath %s.bin)" % name],
        data = [name + ".bin"] + data,
        **kwargs
    )
