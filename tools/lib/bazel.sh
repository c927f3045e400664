# shellcheck shell=bash
# How the tools call Bazel. Sourced after common.sh.
#
# TLSAGENT_BAZEL_STARTUP holds startup options, such as --output_base=DIR, for those who keep several.

read -r -a BAZEL_STARTUP <<<"${TLSAGENT_BAZEL_STARTUP:-}"

# Bazel keeps its files under HOME; a CI user's HOME may be unset, or not his to write.
if [[ ${#BAZEL_STARTUP[@]} -eq 0 && ! (-n ${HOME:-} && -w $HOME) ]]; then
  BAZEL_STARTUP=("--output_user_root=/var/tmp/tlsagent-bazel-$(id -u)")
fi
export HOME=${HOME:-/nonexistent}
export USER=${USER:-$(id -un)}

bazel_() {
  local program
  program=$(command -v bazel || command -v bazelisk) || die "bazel is missing: apt-get install bazel-bootstrap"
  "$program" "${BAZEL_STARTUP[@]}" "$@" </dev/null
}

# For the trap of a tool that a person or a CI runs: nothing of ours is left running.
bazel_shutdown() {
  bazel_ shutdown >/dev/null 2>&1 || true
}

# bazel_bin CONFIG: where the outputs of a configuration are; "" is the everyday one.
bazel_bin() {
  bazel_ info ${1:+"--config=$1"} bazel-bin 2>/dev/null
}
