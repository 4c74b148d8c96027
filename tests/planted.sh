#!/usr/bin/env bash
# Plants known bugs one by one and shows which tests catch them: tests/planted.sh [PATCH..]
#
# Each tests/planted/*.patch names a bug and the tests that must fail with it. The script applies it to a copy of the last
# commit, builds, and runs these tests with real services. It prints a table row per bug, and fails if a bug is not
# caught. A patch that no longer applies is an error: rewrite it. Crates that are built often are built without
# optimisation; a bug takes a minute or two on 2 cores.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/tapedeck-planted.XXXXXX")
finish() {
  "$root/tests/services.sh" down "$work/services" >/dev/null 2>&1 || true
  rm -rf "$work"
}
chmod a+x "$work" # PostgreSQL may run as another user
trap finish EXIT
trap 'exit 130' INT TERM

git clone -q "$root" "$work/tree"
# One bug is caught by real responses alone, where they are present.
[ ! -d "$root/../shared" ] || ln -s "$(realpath "$root/../shared")" "$work/shared"
[ ! -d "$root/target" ] || cp -a "$root/target" "$work/target"
export CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=1
cargo=(cargo)
for crate in contract kafka store consumers tests; do
  cargo+=(--config "profile.release.package.$crate.opt-level=0")
done
cd "$work/tree"
# If a service were missing, its tests would be skipped and catch nothing.
CI=true "$root/tests/services.sh" up "$work/services" >"$work/exports" 2>"$work/messages" || {
  cat "$work/messages" >&2
  exit 1
}
# shellcheck source=/dev/null
source "$work/exports"

[ $# -gt 0 ] || set -- "$root"/tests/planted/*.patch
failed=0
echo '| bug | caught by |'
echo '|---|---|'
for patch in "$@"; do
  patch=$(cd "$root" && realpath "$patch")
  bug=$(sed -n 's/^Bug: //p' "$patch")
  read -ra tests <<<"$(sed -n 's/^Tests: //p' "$patch")"
  git apply "$patch"
  "${cargo[@]}" build -q --release --locked
  if "${cargo[@]}" test --release --locked --test it -- "${tests[@]}" >"$work/log" 2>&1; then
    echo "| $bug | **nothing** (${tests[*]}) |"
    failed=1
  else
    caught=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/`\1`/p' "$work/log" | paste -sd' ')
    [ -n "$caught" ] || { tail -20 "$work/log" >&2; exit 1; }
    echo "| $bug | $caught |"
  fi
  git checkout -q .
done
exit $failed
