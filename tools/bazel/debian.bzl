"""Which of the repositories that Bazel itself asks for does this machine already have?

Debian packages them under /usr/share/bazel, so that a build needs no network. Whatever isn't there (an upstream
Bazel, started by bazelisk) is left to Bazel's own defaults: archives it pins by hash and fetches.
"""

_PACKAGES = {
    # repository: (where Debian puts it, the package)
    "bazel_skylib": ("/usr/share/bazel/tools/skylib", "bazel-skylib"),
    "platforms": ("/usr/share/bazel/tools/platforms", "bazel-platforms"),
    "rules_java": ("/usr/share/bazel/rules/java", "bazel-rules-java"),
    "rules_proto": ("/usr/share/bazel/rules/proto", "bazel-rules-proto"),
}

_HEADER = """# Written by debian_packages in tools/bazel/debian.bzl.
def debian_repositories():
    pass
"""

_REPOSITORY = """
    # {package}
    native.local_repository(name = "{name}", path = "{path}")
"""

def _debian_packages_impl(ctx):
    text = _HEADER
    for name, (path, package) in _PACKAGES.items():
        if ctx.path(path).exists:
            text += _REPOSITORY.format(name = name, path = path, package = package)
    ctx.file("repositories.bzl", text)
    ctx.file("BUILD.bazel", "")

debian_packages = repository_rule(
    implementation = _debian_packages_impl,
    doc = "Writes repositories.bzl, whose debian_repositories() declares what Debian has installed.",
    local = True,  # looked at anew by each server: packages come and go
)
