# shellcheck shell=bash
# What every tool needs: the root of the tree, and words for a person. Sourced by each.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT" || exit

# Bold on a terminal only.
say() {
  if [[ -t 1 ]]; then printf '\033[1m==> %s\033[0m\n' "$*"; else printf '==> %s\n' "$*"; fi
}

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The tool's own first comment is its manual.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
}

# The files of the tree whose names match a pattern: tracked ones, and new ones that aren't ignored.
# A tree that another user owns is still ours to read, and one without git (a tarball) has no junk.
tree_files() {
  if [[ -e .git ]]; then
    git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
      if [[ -f $file ]]; then printf '%s\n' "$file"; fi  # deleted, and not yet committed
    done
  else
    local pattern  # find's * matches /, as git's does
    for pattern in "$@"; do find . -type f -path "./$pattern" -printf '%P\n'; done
  fi
}
