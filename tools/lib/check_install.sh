#!/bin/bash
# Installs into a folder of its own, and uses what is there as a stranger would. Run by tools/test.
. "$(dirname "$0")/common.sh"

prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

tools/install "$prefix" || die "tools/install failed"
cd "$prefix"

for file in bin/tlsagentd bin/tlsagent bin/tlsagent-load lib/libtlsagent.so lib/libtlsagent.a lib/pkgconfig/tlsagent.pc \
  include/tlsagent.h share/tlsagent/proto/tlsagent/v1/session.proto lib/systemd/system/tlsagentd.service \
  lib/systemd/system/tlsagentd.socket share/man/man1/tlsagent.1 share/man/man1/tlsagent-load.1 share/man/man3/libtlsagent.3 \
  share/man/man8/tlsagentd.8 lib/tlsagent/python/_ssl.abi3.so share/gocode/src/tlsagent/doc.go \
  share/tlsagent/node/index.js share/tlsagent/node/index.d.ts share/tlsagent/node/proto/tlsagent/v1/session.proto; do
  [[ -e $file ]] || die "$file isn't installed"
done

for program in bin/tlsagentd bin/tlsagent bin/tlsagent-load; do
  "$program" --version >/dev/null || die "$program --version failed"
done

# The clients are for processes without a TLS library, but for the load generator, which has the engine inside.
for file in bin/tlsagent lib/libtlsagent.so lib/tlsagent/python/_ssl.abi3.so; do
  if ldd "$file" | grep -E 'libssl|libcrypto'; then die "$file links a TLS library"; fi
done

# Only the API is exported.
if nm -D --defined-only lib/libtlsagent.so | awk '{print $3}' | grep -v '^tlsagent_[a-z]' | grep -v '^_'; then
  die "libtlsagent.so exports more than tlsagent_*"
fi

# The header compiles on its own in C and C++, and a program links both ways.
printf '#include <tlsagent.h>\nint main(void) { return 0; }\n' >a.c
cp a.c a.cc
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
read -r -a dynamic < <(pkg-config --cflags --libs tlsagent)
cc -Wall -Wextra -Werror -o a a.c "${dynamic[@]}"
c++ -Wall -Wextra -Werror -o a a.cc "${dynamic[@]}"
cc -Iinclude -o a a.c -Wl,--whole-archive lib/libtlsagent.a -Wl,--no-whole-archive

# A Go program builds on the package, and on Debian's beside it.
GO111MODULE=off GOPATH=$prefix/share/gocode:/usr/share/gocode GOCACHE=$prefix/cache go build -o fetch "$ROOT/client/examples/go/fetch/main.go"

# Python finds the module by its place beside the command, and the daemon too.
module=$(bin/tlsagent exec --private -- /usr/bin/python3 -c 'import ssl, _ssl; ssl.create_default_context(); print(_ssl.__file__)')
[[ $module == "$prefix/lib/tlsagent/python/_ssl.abi3.so" ]] || die "tlsagent exec gives Python the _ssl $module"

# Node requires its package by its place, beside what npm has put into the tree, and the package needs nothing else of it.
node=$(NODE_PATH=$ROOT/client/node/node_modules bin/tlsagent exec --private -- node -e "
  const { Agent } = require('$prefix/share/tlsagent/node');
  const agent = new Agent();
  agent.call('AgentService.Info', {}).then((info) => console.log(info.version)).finally(() => agent.close());")
[[ $node == "$(bin/tlsagentd --version | awk '{print $2}')" ]] || die "the Node package asked the daemon's version, and heard '$node'"
if grep -q '"scripts"' share/tlsagent/node/package.json; then die "npm would run scripts of the Node package"; fi
