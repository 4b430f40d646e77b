#!/usr/bin/env bash
# How cost grows with the number of distributions: 10, 100, 1 000 and 5 000 generated wheels (wheels.py), each
# packed with an empty cache and with a warm one. Time a wheel should not grow; at 10 it holds what every build
# costs.
#
#   benches/scale.sh [COUNT]...
#
# Settings (environment): RUNS=3 counted runs, after one that is not; PYTHON=python3, PREBUILD=PATH and
# WORK=FOLDER as peers.sh has them (/tmp/prebuild-scale).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=timing.sh
. "$(dirname "${BASH_SOURCE[0]}")/timing.sh"

WORK=${WORK:-/tmp/prebuild-scale}
RUNS=${RUNS:-3}

pack() { # CACHE: prints microseconds and KiB
  timed env -i PATH="$PATH" HOME="$WORK" "$PREBUILD" requirements.txt --quiet --builder local --python "$PYTHON" \
    --no-index --no-deps --cache-dir "$1" -o out.tar.gz
}

counts=("$@")
[ $# -gt 0 ] || counts=(10 100 1000 5000)
packages time:time
PYTHON=$(interpreter "${PYTHON:-python3}")
PREBUILD=$(binary)
mkdir -p "$WORK"
WORK=$(realpath "$WORK")

for count in "${counts[@]}"; do
  folder=$WORK/$count
  if ! [ -e "$folder/requirements.txt" ]; then
    say "writes $count wheels"
    "$PYTHON" "$ROOT/benches/wheels.py" "$count" "$folder/wheels"
    printf '%s\n' "$folder"/wheels/*.whl >"$folder/requirements.txt"
  fi
  cd "$folder"
  rm -f empty warm
  for ((round = 0; round <= RUNS; round++)); do
    say "$count wheels, run $round"
    rm -rf cache; pack cache >>empty
    pack cache >>warm
    [ "$round" -gt 0 ] || rm empty warm
  done
done

machine
echo
echo "| wheels | cache empty, s | ms a wheel | memory, MB | cache warm, s | ms a wheel | memory, MB |"
echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for count in "${counts[@]}"; do
  echo "$count $(median "$WORK/$count/empty") $(median "$WORK/$count/warm")"
done | awk '{ printf "| %d | %.3f | %.3f | %.1f | %.3f | %.3f | %.1f |\n", $1,
  $2 / 1e6, $2 / 1e3 / $1, $3 * 1024 / 1e6, $4 / 1e6, $4 / 1e3 / $1, $5 * 1024 / 1e6 }'
