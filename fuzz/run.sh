#!/usr/bin/env bash
# Fuzzes: `bash fuzz/run.sh [SECONDS] [TARGET...]`, by default 300 seconds of every target.
#
# Stable Rust suffices: the instrumentation is flags of rustc's and LLVM's, no sanitizer is needed for a
# crate without `unsafe`. Every target has 512 MB of memory. What fails is kept in `fuzz/artifacts/`, and
# what is new in `fuzz/corpus/`; `JOBS` targets run at a time (default: one for each core). With `SEED`, the
# inputs are the same each time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-300}
[ $# -eq 0 ] || shift
if [ $# -eq 0 ]; then
  mapfile -t names < <(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' Cargo.toml) # not the package's: it has a dash
else
  names=("$@")
fi
jobs=${JOBS:-$(nproc)}
memory=512

export CARGO_PROFILE_RELEASE_LTO=off # without it, the build is faster and the program slower
flags="--cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=4 -Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=" -Cllvm-args=-sanitizer-coverage-$option"
done
[ -f Cargo.lock ] || cp ../Cargo.lock . # the same versions as the project's
host=$(rustc -vV | sed -n 's/^host: //p')
# With a target named, build scripts and macros are not instrumented.
RUSTFLAGS="${RUSTFLAGS:-} $flags" cargo build -q --release --target "$host" --bins
programs=${CARGO_TARGET_DIR:-target}/$host/release

python3 seeds.py
mkdir -p artifacts logs
TMPDIR=$(mktemp -d "$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)/prebuild-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

fuzz() { # NAME
  local log=logs/$1.log
  if ( ulimit -v $((memory * 1024 * 2)); exec "$programs/$1" "corpus/$1" -max_total_time="$seconds" \
    -seed="${SEED:-0}" -rss_limit_mb=$memory -timeout=60 -artifact_prefix="artifacts/$1-" -print_final_stats=1 -verbosity=1 ) >"$log" 2>&1
  then
    printf 'ok      %-14s %s\n' "$1" "$(grep -h '^Done ' "$log")"
  else
    printf 'FAILED  %-14s see fuzz/%s\n' "$1" "$log"
    tail -n 40 "$log"
    return 1
  fi
}

failed=0 running=0
for name in "${names[@]}"; do
  if [ "$running" -ge "$jobs" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$name" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit $failed
