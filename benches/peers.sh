#!/usr/bin/env bash
# End to end, beside other tools: how long they take, how much memory, and how large what they write is.
#
#   benches/peers.sh [SET]...      sets: small (5 wheels), web (65), sci (117); all three if none is named
#
# The work is the same for all. In the tables of archives and folders, the wheels of benches/locks/SET.txt lie in
# a folder and are named by path in a requirements file, so nothing is resolved and nothing downloaded; in the
# tables of locks, each tool is given the lock with its hashes and the package index. No bytecode is written; each
# tool has a warm cache of its own, but where a row says that it is cold: then everything comes from the index. Every command runs once uncounted, and what it wrote must hold every distribution;
# then they take turns (a, b, c, a, b, c), so that a machine whose speed drifts treats them alike. Printed is
# a Markdown table of medians: wall clock, its ratio to the table's first row, the most memory that any one
# process of the command held (GNU time's `%M`), and the size of what was written.
#
# Needs Linux on x86_64, CPython 3.11, and GNU tar, time, pigz and zstd; the last three are installed if this
# is Debian and root asks. uv, venv-pack and pex are installed from the package index, in a folder of their own.
#
# Settings (environment):
#   RUNS=5 RUNS_SLOW=1   counted runs; the slow ones are pip's, venv-pack's and pex's
#   PYTHON=python3.11    the interpreter
#   TABLES=PATTERN       only the tables whose name matches: Archives, Folders, Locks
#   PREBUILD=PATH        a binary, instead of one built from this repository
#   WORK=FOLDER          where wheels, peers and caches are kept for the next time (/tmp/prebuild-peers)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=timing.sh
. "$(dirname "${BASH_SOURCE[0]}")/timing.sh"

WORK=${WORK:-/tmp/prebuild-peers}
RUNS=${RUNS:-5} RUNS_SLOW=${RUNS_SLOW:-1}

# Table, fast or slow, name, command. A command starts in an empty folder and leaves its result there as `out*`.
# In `$KNOWN` is a cache that holds what the interpreter says of itself, and no wheel.
rows() {
  grep -E "^(${TABLES:-.*}).* [|] (fast|slow) [|]" <<'EOF'
Archives | fast | prebuild, tar.gz | prebuild -o out.tar.gz
Archives | fast | prebuild, tar.gz, wheels never seen | cp -r "$KNOWN" cache; prebuild --cache-dir cache -o out.tar.gz
Archives | fast | prebuild, tar.gz, nothing known | prebuild --cache-dir cache -o out.tar.gz
Archives | fast | prebuild, tar.zst | prebuild -o out.tar.zst
Archives | fast | prebuild, tar.zst, wheels never seen | cp -r "$KNOWN" cache; prebuild --cache-dir cache -o out.tar.zst
Archives | fast | prebuild, zip | prebuild -o out.zip
Archives | fast | uv, `tar czf` | uv_install --prefix prefix; tar czf out.tar.gz -C prefix .
Archives | fast | uv, tar, `pigz` | uv_install --prefix prefix; tar cf - -C prefix . | pigz >out.tar.gz
Archives | fast | uv, tar, `zstd -T0` | uv_install --prefix prefix; tar cf - -C prefix . | zstd -q -T0 >out.tar.zst
Archives | slow | pip, `tar czf` | pip_install --prefix prefix; tar czf out.tar.gz -C prefix .
Archives | slow | uv, `venv-pack` | uv venv -q venv; uv_install -p venv; venv-pack -q -p venv -o out.tar.gz
Archives | slow | `pex` | pex -r "$LIST" --python "$PYTHON" --no-pypi --intransitive --no-compile -o out.zip
Archives | fast | `cat` of the wheels | cat "$WHEELS"/*.whl >out
Folders | fast | prebuild | prebuild -o out/
Folders | fast | uv, copies | uv_install --link-mode copy --prefix out
Folders | fast | uv, hard links | uv_install --link-mode hardlink --prefix out
Folders | fast | uv, hard links, `cp -a` | uv_install --link-mode hardlink --prefix prefix; cp -a prefix out
Locks, warm | fast | prebuild, tar.gz | prebuild_lock -o out.tar.gz
Locks, warm | fast | uv, `tar czf` | uv_lock --prefix prefix; tar czf out.tar.gz -C prefix .
Locks, warm | slow | pip, `tar czf` | pip_lock --prefix prefix; tar czf out.tar.gz -C prefix .
Locks, cold | fast | prebuild, tar.gz | prebuild_lock --cache-dir cache -o out.tar.gz
Locks, cold | fast | uv, without packing | uv_lock --cache-dir cache --prefix out
Locks, cold | slow | uv, `tar czf` | uv_lock --cache-dir cache --prefix prefix; tar czf out.tar.gz -C prefix .
Locks, cold | slow | pip, `tar czf` | pip_lock --no-cache-dir --prefix prefix; tar czf out.tar.gz -C prefix .
EOF
}

# What the commands call.
functions() {
  cat <<'EOF'
prebuild() { "$PREBUILD" "$LIST" --quiet --builder local --python "$PYTHON" --no-index --no-deps "$@"; }
uv_install() { uv pip install -q --offline --no-index --no-deps -r "$LIST" "$@"; }
prebuild_lock() { "$PREBUILD" "$LOCK" --quiet --builder local --python "$PYTHON" "$@"; }
uv_lock() { uv pip install -q --no-deps --require-hashes -r "$LOCK" "$@"; }
pip_lock() { "$PYTHON" -m pip install -q --require-hashes --no-compile --ignore-installed -r "$LOCK" "$@"; }
pip_install() { "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --ignore-installed -r "$LIST" "$@"; }
EOF
}

wheels() { # SET: downloads what is not there, and lists it
  local lock=$ROOT/benches/locks/$1.txt folder=$WORK/$1
  mkdir -p "$folder/wheels"
  if ! cmp -s "$lock" "$folder/lock.txt"; then # another lock's wheels would be packed too
    [ ! -e "$folder/lock.txt" ] || rm -rf "$folder/wheels"
    say "downloads the wheels of $1"
    "$PYTHON" -m pip download -q --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
      -r "$lock" -d "$folder/wheels" >&2
    cp "$lock" "$folder/lock.txt"
  fi
  printf '%s\n' "$folder"/wheels/*.whl >"$folder/requirements.txt"
}

run() { # SET COMMAND: prints microseconds, KiB, bytes
  local figures
  rm -rf "$WORK/run"; mkdir "$WORK/run"; cd "$WORK/run"
  # an environment that holds nothing of the caller's settings
  figures=$(timed env -i PATH="$WORK/peers/bin:$PATH" HOME="$WORK/home" LC_ALL=C.UTF-8 PREBUILD="$PREBUILD" \
    PYTHON="$PYTHON" UV_PYTHON="$PYTHON" UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore PIP_NO_WARN_SCRIPT_LOCATION=1 \
    ${SSL_CERT_FILE:+SSL_CERT_FILE="$SSL_CERT_FILE"} ${PIP_CERT:+PIP_CERT="$PIP_CERT"} LOCK="$WORK/$1/lock.txt" \
    KNOWN="$WORK/known" LIST="$WORK/$1/requirements.txt" WHEELS="$WORK/$1/wheels" bash -euo pipefail -c "$(functions); $2")
  echo "$figures $(du -sb out* | cut -f1)"
}

distributions() { # how many what was just written holds
  case $(echo "$WORK"/run/out*) in
    *.tar.*) tar -tf "$WORK"/run/out.tar.* ;;
    *.zip) "$PYTHON" -m zipfile -l "$WORK/run/out.zip" | cut -d' ' -f1 ;;
    *) find "$WORK/run/out" ;;
  esac | grep -cE '(site-packages|\.deps/[^/]*)/[^/]*\.dist-info/METADATA$' # not those that a wheel brings along
}

measure() { # SET: leaves a file of figures for each row
  local set=$1 table speed name command round number count held
  local results=$WORK/$set/results
  count=$(wc -l <"$WORK/$set/requirements.txt")
  rm -rf "$results" "$WORK/known"; mkdir "$results"
  # shellcheck disable=SC2016 # what it names stands in the command's own environment
  run "$set" 'prebuild --cache-dir "$KNOWN" -o out.tar; rm -r "$KNOWN"/{wheels,seen}-v*' >/dev/null
  for ((round = 0; round <= RUNS || round <= RUNS_SLOW; round++)); do
    number=0
    while IFS='|' read -r table speed name command <&3; do
      number=$((number + 1))
      [ "$speed" = ' slow ' ] && [ "$round" -gt "$RUNS_SLOW" ] && continue
      [ "$speed" = ' fast ' ] && [ "$round" -gt "$RUNS" ] && continue
      say "$set, run $round of$name"
      if [ "$round" -gt 0 ]; then run "$set" "$command" >>"$results/$number"; continue; fi
      run "$set" "$command" >/dev/null
      [[ $name == *"of the wheels"* ]] && continue # the floor holds archives, not distributions
      held=$(distributions) || true
      [ "$held" = "$count" ] || die "$name wrote $held distributions of $count"
    done 3< <(rows)
  done
}

report() { # SET
  local set=$1 table speed name command number=0 before='' first='' time memory size
  printf '\n## %s: %d wheels, %s MB\n' "$set" "$(wc -l <"$WORK/$set/requirements.txt")" \
    "$(du -sb "$WORK/$set/wheels" | awk '{printf "%.1f", $1 / 1e6}')"
  while IFS='|' read -r table speed name command; do
    number=$((number + 1))
    read -r time memory size < <(median "$WORK/$set/results/$number")
    if [ "$table" != "$before" ]; then
      printf '\n| %s| time, s | ratio | memory, MB | size, MB |\n| --- | ---: | ---: | ---: | ---: |\n' "$table"
      before=$table first=$time
    fi
    awk -v name="$name" -v time="$time" -v first="$first" -v memory="$memory" -v size="$size" 'BEGIN {
      printf "|%s| %.3f | %.2f | %.1f | %.1f |\n", name, time / 1e6, time / first, memory * 1024 / 1e6, size / 1e6 }'
  done < <(rows)
}

facts() {
  machine
  echo "- $("$PREBUILD" --version), $("$PYTHON" --version), pip $("$PYTHON" -c 'import pip; print(pip.__version__)')"
  echo "- $("$WORK/peers/bin/python" -m pip freeze --disable-pip-version-check | grep -E '^(uv|venv-pack|pex)=' | paste -sd' ')"
  echo "- $(tar --version | head -1), $(pigz --version 2>&1), zstd $(zstd --version | grep -o 'v[0-9.]*')"
}

sets=("$@")
[ $# -gt 0 ] || sets=(small web sci)
for set in "${sets[@]}"; do
  [ -f "$ROOT/benches/locks/$set.txt" ] || die "there is no set named $set: $(cd "$ROOT/benches/locks" && echo *.txt)"
done
packages tar:tar time:time pigz:pigz zstd:zstd
PYTHON=$(interpreter "${PYTHON:-python3.11}")
[ "$("$PYTHON" --version | cut -d. -f1,2)" = "Python 3.11" ] || die "the sets are locked for CPython 3.11, and PYTHON=$PYTHON is not one"
PREBUILD=$(binary)
mkdir -p "$WORK/home"
WORK=$(realpath "$WORK")
if ! [ -x "$WORK/peers/bin/pex" ]; then
  say "installs uv, venv-pack and pex"
  "$PYTHON" -m venv "$WORK/peers"
  "$WORK/peers/bin/python" -m pip install -q --disable-pip-version-check uv venv-pack pex >&2
fi
for set in "${sets[@]}"; do
  wheels "$set"
  measure "$set"
done
facts
for set in "${sets[@]}"; do report "$set"; done
