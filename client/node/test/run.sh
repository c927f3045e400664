#!/bin/bash
# client/node's tests: all, or only those of some FILEs. Bazel runs it; by hand, TLSAGENTD names the daemon.
set -euo pipefail

TLSAGENTD=${TLSAGENTD:-$PWD/server/tlsagentd}  # where Bazel's runfiles have it
export TLSAGENTD

# The tree itself, for the packages that npm has put there, and Node finds nowhere else.
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

if [[ ! -d node_modules/@grpc/grpc-js || ! -d node_modules/typescript ]]; then
  echo "client/node has no node_modules: run npm ci there, as tools/test does; it needs npm's registry, once" >&2
  exit 1
fi
npm run --silent prepare

files=("$@")
if [[ ${#files[@]} -eq 0 ]]; then files=(test/*.test.js); fi
reporters=(--test-reporter=spec --test-reporter-destination=stdout)
if [[ -n ${XML_OUTPUT_FILE:-} ]]; then
  reporters+=(--test-reporter=./test/support/xml_reporter.js "--test-reporter-destination=$XML_OUTPUT_FILE")
fi
exec node --test "${reporters[@]}" "${files[@]}"
