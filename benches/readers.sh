#!/usr/bin/env bash
# What it costs to read an archive: an archive of prebuild's beside one that GNU tar made of the same files.
#
#   benches/readers.sh ARCHIVE...          .tar.gz files of prebuild's
#
# Each is unpacked and packed again with `tar czf`; then the readers read both in turn, once uncounted. Printed
# is a Markdown table of medians and their ratio: readers should take no notice of how an archive was made.
# Readers that are missing are left out; Docker's `ADD` too, unless an engine answers. It adds to an empty image,
# which is not exported, and what the engine keeps of it is the engine's to remove.
#
# Needs Linux and GNU tar, gzip and time. Settings (environment): RUNS=5, WORK=FOLDER (/tmp/prebuild-readers).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=timing.sh
. "$(dirname "${BASH_SOURCE[0]}")/timing.sh"

WORK=${WORK:-/tmp/prebuild-readers}
RUNS=${RUNS:-5}

# Name, its command, what is run. It starts in an empty folder with a copy of the archive, `context/a.tar.gz`.
rows() {
  cat <<'EOF'
`gzip -dc` | gzip | gzip -dc context/a.tar.gz >/dev/null
`pigz -dc` | pigz | pigz -dc context/a.tar.gz >/dev/null
`igzip -dc` | igzip | igzip -dc context/a.tar.gz >/dev/null
Python's `gzip` | python3 | python3 -c 'import gzip, shutil; shutil.copyfileobj(gzip.open("context/a.tar.gz"), open("/dev/null", "wb"), 1 << 20)'
Python's `tarfile`, names | python3 | python3 -c 'import tarfile; tarfile.open("context/a.tar.gz").getnames()'
`tar xzf` | tar | mkdir out; tar xzf context/a.tar.gz -C out
`bsdtar xf` | bsdtar | mkdir out; bsdtar xf context/a.tar.gz -C out
`busybox tar xzf` | busybox | mkdir out; busybox tar xzf context/a.tar.gz -C out
Docker's `ADD` | docker | docker build -q --no-cache --output type=cacheonly context
EOF
}

run() { # ARCHIVE COMMAND: prints microseconds and KiB
  rm -rf "$WORK/run"; mkdir -p "$WORK/run/context"; cd "$WORK/run"
  cp "$1" context/a.tar.gz
  printf 'FROM scratch\nADD a.tar.gz /\n' >context/Dockerfile
  timed bash -euo pipefail -c "$2"
}

readers() { # OURS THEIRS: prints the table's rows
  local name needs command round
  while IFS='|' read -r name needs command <&3; do
    [ -n "$(type -P "${needs// }")" ] || { say "there is no $needs here"; continue; }
    [ "$needs" != ' docker ' ] || docker version >/dev/null 2>&1 || { say "no engine answers"; continue; }
    rm -f "$WORK/ours" "$WORK/theirs"
    for ((round = 0; round <= RUNS; round++)); do
      run "$1" "$command" >>"$WORK/ours"
      run "$2" "$command" >>"$WORK/theirs"
      [ "$round" -gt 0 ] || rm "$WORK/ours" "$WORK/theirs"
    done
    echo "$(median "$WORK/ours") $(median "$WORK/theirs")" | awk -v name="$name" '{
      printf "| %s| %.3f | %.3f | %.2f |\n", name, $1 / 1e6, $3 / 1e6, $1 / $3 }'
  done 3< <(rows)
}

[ $# -gt 0 ] || die "usage: benches/readers.sh ARCHIVE..."
packages tar:tar gzip:gzip time:time
mkdir -p "$WORK"
WORK=$(realpath "$WORK")
PATH=$(dirname "$(interpreter python3)"):$PATH # no shim
archives=()
for archive; do archives+=("$(realpath -e "$archive")"); done

machine
for archive in "${archives[@]}"; do
  say "packs ${archive##*/} as tar does"
  rm -rf "$WORK/tree"; mkdir "$WORK/tree"
  tar xzf "$archive" -C "$WORK/tree"
  tar czf "$WORK/theirs.tar.gz" -C "$WORK/tree" .
  rm -rf "$WORK/tree"
  printf '\n| %s | its %.1f MB, s | %.1f MB of tar czf, s | ratio |\n| --- | ---: | ---: | ---: |\n' "${archive##*/}" \
    "$(stat -c %s "$archive")e-6" "$(stat -c %s "$WORK/theirs.tar.gz")e-6"
  readers "$archive" "$WORK/theirs.tar.gz"
done
