#!/bin/bash
# Does a program in C need nothing but -ltlsagent, and does the library need nothing but libc?
set -euo pipefail

header=$1 library=$2 cli=$3 source=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "$*" >&2
  exit 1
}

needed() {
  readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# --- The library, and what is linked with it ---
for file in "$library" "$cli"; do
  others=$(needed "$file" | grep -vE '^(libc\.so|libpthread\.so|ld-linux|libasan|libubsan|libtsan|libm\.so|libresolv|librt|libdl|libgcc_s|libstdc)' || true)
  [[ -z $others ]] || fail "$file needs $others"
done
if nm -D --defined-only "$library" | awk '{print $3}' | grep -vE '^(tlsagent_|_|__)' | grep -v '^$'; then
  [[ -n ${TLSAGENT_SANITIZER:-} ]] || fail "it exports more than tlsagent_*"
fi

# --- A program of somebody else's: C11, no GNU, every warning ---
mkdir -p "$work/include" "$work/lib"
cp "$header" "$work/include/tlsagent.h"
cp "$library" "$work/lib/libtlsagent.so.0"
ln -s libtlsagent.so.0 "$work/lib/libtlsagent.so"
flags=()
case ${TLSAGENT_SANITIZER:-} in
  asan) flags=(-fsanitize=address) ;;
  ubsan) flags=(-fsanitize=undefined) ;;
  tsan) flags=(-fsanitize=thread) ;;
esac
for standard in c11 c17; do
  clang -std=$standard -Wall -Wextra -Wpedantic -Werror "${flags[@]}" -I"$work/include" "$source" -o "$work/program" \
    -L"$work/lib" -ltlsagent -Wl,-rpath,"$work/lib"
done
cp "$source" "$work/program.cc"
clang++ -std=c++17 -Wall -Wextra -Werror -Wno-missing-field-initializers -fsyntax-only -I"$work/include" "$work/program.cc"

out=$("$work/program" /nonexistent/tlsagent.sock) && fail "it reached a daemon that isn't there"
[[ $out == *"cannot reach tlsagentd at /nonexistent/tlsagent.sock"* ]] || fail "it said: $out"
