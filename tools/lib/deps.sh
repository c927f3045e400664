# shellcheck shell=bash
# The Debian packages that building and testing take. Sourced after common.sh.

DEPS_BUILD=(
  bazel-bootstrap       # builds
  bazel-platforms       # Bazel's own
  bazel-rules-java      # Bazel's own
  bazel-rules-proto     # Bazel's own
  bazel-skylib          # Bazel's own
  clang                 # compiles
  g++                   # libstdc++, for GoogleTest
  git                   # lists
  golang-go             # Go
  golang-github-containerd-ttrpc-dev # ttrpc, in Go
  golang-google-protobuf-dev # messages, in Go
  libjansson-dev        # JSON
  libnghttp2-dev        # HTTP/2, for gRPC
  libprotobuf-c-dev     # messages
  libssl-dev            # TLS
  liburing-dev          # ring
  pkg-config            # finds
  protobuf-c-compiler   # generates
  protobuf-compiler     # generates
  protoc-gen-go         # generates
  python3               # scripts
  python3-dev           # Python's _ssl
  python3-protobuf      # messages, in Python
  libgmock-dev          # GoogleMock
  libgtest-dev          # GoogleTest
)

DEPS_TEST=(
  clang-format                       # format
  clang-tidy                         # lint
  curl                               # peer
  gnutls-bin                         # peer
  golang-github-codahale-hdrhistogram-dev # compares
  golang-golang-x-net-dev            # tests Go's connections
  libclang-rt-dev                    # sanitizers
  libgrpc++-dev                      # peer
  lld                                # links sanitizers
  nghttp2-client                     # peer
  nginx-light                        # peer
  protobuf-compiler-grpc             # stubs for the peer
  nodejs                             # runs client/node
  npm                                # what client/node needs
  python3-grpcio                     # peer
  libpython3.11-testsuite            # Python's own tests
  openssl                            # peer
  python3-requests                   # uses _ssl
  python3-urllib3                    # uses _ssl
  ruby-grpc                          # runs client/examples/ruby
  shellcheck                         # lint
  socat                              # plumbing
  strace                             # watches
)

# What tlsagent is measured beside: tests/bench/peers installs them, and its smoke test does without what isn't there.
DEPS_PEERS=(
  haproxy             # peer
  hitch               # peer
  libnginx-mod-stream # peer
  nginx-light         # peer
  openssl             # certificates
  stunnel4            # peer
)

# What tests/ktls/run makes an emulated machine of.
DEPS_KTLS=(
  busybox-static  # its userland
  openssl         # peer
  qemu-system-x86 # runs it
)

# What of the named packages isn't installed. Other people's nodejs has npm in it, and bears no npm beside it.
_deps_missing() {
  local package
  for package in "$@"; do
    if [[ $package == npm ]] && command -v npm >/dev/null; then continue; fi
    if [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      printf '%s\n' "$package"
    fi
  done
}

# deps_for_building, deps_for_testing, deps_for_peers and deps_for_ktls install what is missing, or say how and stop.
deps_for_building() { _deps_install "${DEPS_BUILD[@]}"; }
deps_for_testing() { _deps_install "${DEPS_BUILD[@]}" "${DEPS_TEST[@]}"; _deps_node; }
deps_for_ktls() { _deps_install "${DEPS_BUILD[@]}" "${DEPS_KTLS[@]}"; }
deps_for_peers() { _deps_install "${DEPS_BUILD[@]}" "${DEPS_PEERS[@]}"; }

_deps_install() {
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: hoping that these are here: $*"
    return
  fi
  local missing
  mapfile -t missing < <(_deps_missing "$@")
  if [[ ${#missing[@]} -eq 0 ]]; then return; fi

  local as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    if ! sudo -n true 2>/dev/null; then
      die "these packages are missing; install them and run this again:
  sudo apt-get update && sudo apt-get install --yes --no-install-recommends ${missing[*]}"
    fi
    as_root=(sudo -n)
  fi
  say "installing ${missing[*]}"
  # A mirror that doesn't answer is no reason to stop: the lists that are here may do.
  "${as_root[@]}" apt-get -qq update </dev/null || say "apt-get update failed; going on with the lists we have"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends "${missing[@]}" </dev/null >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
}

# What client/node needs and Debian hasn't: npm brings it, as package-lock.json has it, checked by its hashes. Without a
# registry the tests of client/node alone fail, and say why.
_deps_node() {
  local modules=client/node/node_modules/.package-lock.json lock=client/node/package-lock.json
  if [[ -e $modules && ! $lock -nt $modules ]]; then return; fi
  local cache=()
  if [[ ! (-n ${HOME:-} && -w $HOME) ]]; then cache=("--cache=/var/tmp/tlsagent-npm-$(id -u)"); fi
  say "installing what client/node needs: npm ci"
  (cd client/node && npm ci --ignore-scripts --fetch-retries=1 --loglevel=error "${cache[@]}" </dev/null >/dev/null) ||
    say "npm could not install it: is its registry reachable ("npm config get registry" names it)? client/node's tests will fail"
}
