#!/bin/bash
# A short run of one fuzzer, as a test: what it already knows, and then so many seconds of searching as the
# configuration says. Without coverage of the daemon's code, as in the everyday build, there is nothing to search by.
set -euo pipefail

fuzzer=$1
corpus=$2

# New inputs go to the first directory named, and must not land beside the known ones.
found=$(mktemp -d -p "${TEST_TMPDIR:-/tmp}")  # cleared by Bazel
known=()
if [[ -d $corpus ]]; then known=("$corpus"); fi

search=(-runs=0)
if [[ -n ${TLSAGENT_FUZZ_SECONDS:-} ]]; then search=("-max_total_time=$TLSAGENT_FUZZ_SECONDS"); fi

exec "$fuzzer" "${search[@]}" -rss_limit_mb=2048 -timeout=5 -print_final_stats=1 \
  -artifact_prefix="${TEST_UNDECLARED_OUTPUTS_DIR:-$found}/" "$found" "${known[@]}"
