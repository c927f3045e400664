#!/bin/bash
# Does the benchmark run, and print every row and every ratio, for people and for programs?
set -euo pipefail

rpc=$1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$rpc" --smoke | tee "$out/table"
for line in "bare io_uring echo" "Ping, client by hand" "Ping, libtlsagent" "in process, both halves" \
  "OpenSSL behind a socket" "memory session, client by hand" "memory session, libtlsagent" "one at a time" "8 in flight" \
  "with a decision" "pairs in flight" "ping p50 / bare echo" "TLS echo p50" "server CPU / in process" "handshakes per second" "<= 1.60" "<= 1.15"; do
  if ! grep -qF -- "$line" "$out/table"; then
    echo "the table has no line with: $line"
    exit 1
  fi
done

"$rpc" --smoke --json >"$out/json"
/usr/bin/python3 - "$out/json" <<'END'
import json, sys
result = json.load(open(sys.argv[1]))
rows = [row["name"] for row in result["rows"]]
assert len(rows) == 16 == len(set(rows)), rows
assert all(row["per_second"]["min"] > 0 for row in result["rows"]), result
assert sorted(r["name"] for r in result["ratios"] if "aim" in r) == [
    "both", "ping-0", "ping-64"], result
END
