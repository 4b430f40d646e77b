# shellcheck shell=bash
# What the scripts beside it need to time whole processes; they source it and set WORK, a folder.
export LC_ALL=C

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

packages() { # COMMAND:PACKAGE...: installs those whose command is missing, if this is Debian and root asks
  local each missing=()
  for each; do [ -n "$(type -P "${each%%:*}")" ] || missing+=("${each##*:}"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  { [ "$(id -u)" = 0 ] && [ -n "$(type -P apt-get)" ]; } || die "install ${missing[*]} first"
  say "installs ${missing[*]}"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >&2
}

binary() { # prints the path of PREBUILD, or of what is built from this repository
  if [ -n "${PREBUILD:-}" ]; then realpath -e "$PREBUILD" || die "there is no PREBUILD=$PREBUILD"; return; fi
  say "builds prebuild"
  cargo build --release --quiet --manifest-path "$ROOT/Cargo.toml" --bin prebuild \
    --message-format json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

interpreter() { # COMMAND: prints the real one's path, for a shim would cost time of its own
  "$1" -c 'import os, sys; print(os.path.realpath(sys.executable))' || die "PYTHON=$1 does not run"
}

timed() { # COMMAND...: prints microseconds, and KiB of the largest process in it; what it prints goes to $WORK/log
  local began took
  sync # what was written before is not to be waited for now
  began=${EPOCHREALTIME/./}
  command time -f %M -o "$WORK/memory" "$@" >"$WORK/log" 2>&1 || die "failed: $*"$'\n'"$(tail -20 "$WORK/log")"
  took=$((${EPOCHREALTIME/./} - began))
  echo "$took $(cat "$WORK/memory")"
}

median() { # FILE: prints that of each column
  local column columns
  columns=$(head -1 "$1" | wc -w)
  for ((column = 1; column <= columns; column++)); do
    cut -d' ' -f"$column" "$1" | sort -n |
      awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
  done | paste -sd' '
}

machine() {
  echo "- $(nproc) processors, $(lscpu | sed -n 's/^Model name: *//p'); $(uname -sr), $(df --output=fstype "$WORK" | tail -1)"
}
