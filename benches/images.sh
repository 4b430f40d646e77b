#!/usr/bin/env bash
# How large an image is, by how its distributions came into it: installed by pip in one stage on the full
# base, in one stage on slim, in two stages by hand, and by prebuild. Sizes are those of the flat root file
# system, as `docker export` writes it.
#
#   PREBUILD=target/release/prebuild bash benches/images.sh [small web sci]
#
# Needs Docker with BuildKit, python:3.11 and python:3.11-slim, and an index.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prebuild=${PREBUILD:-$here/../target/release/prebuild}
[ $# -gt 0 ] || set -- small web sci

context=$(mktemp -d)
tag=prebuild-size-$$
trap 'docker rmi -f "$tag" >/dev/null 2>&1 || true; rm -rf "$context"' EXIT
cp "$prebuild" "$context/prebuild"

pip='pip install --no-cache-dir --quiet --root-user-action ignore --require-hashes -r requirements.txt'

dockerfile() { # WAY
  case $1 in
    full) printf 'FROM python:3.11\nCOPY requirements.txt .\nRUN %s\n' "$pip" ;;
    slim) printf 'FROM python:3.11-slim\nCOPY requirements.txt .\nRUN %s\n' "$pip" ;;
    hand)
      printf 'FROM python:3.11 AS builder\nCOPY requirements.txt .\nRUN %s --prefix=/install\n' "$pip"
      printf 'FROM python:3.11-slim\nCOPY --from=builder /install /usr/local\n' ;;
    prebuild)
      printf 'FROM python:3.11-slim AS runtime\n'
      printf 'FROM python:3.11 AS builder\nCOPY prebuild /usr/local/bin/\nCOPY requirements.txt .\n'
      printf 'RUN --mount=type=bind,from=runtime,target=/runtime prebuild requirements.txt --runtime /runtime -o /install/\n'
      printf 'FROM runtime\nCOPY --from=builder /install /usr/local\n' ;;
  esac
}

size() { # WAY
  local id bytes
  dockerfile "$1" >"$context/Dockerfile"
  docker build --quiet --network host -t "$tag" "$context" >/dev/null
  id=$(docker create "$tag" true)
  bytes=$(docker export "$id" | wc -c)
  docker rm "$id" >/dev/null
  docker rmi -f "$tag" >/dev/null
  echo "$bytes"
}

printf '| | full base | slim | two stages by hand | prebuild | less than the first |\n'
printf '| --- | ---: | ---: | ---: | ---: | ---: |\n'
for set in "$@"; do
  cp "$here/locks/$set.txt" "$context/requirements.txt"
  row=() first=0
  for way in full slim hand prebuild; do
    bytes=$(size "$way")
    [ "$first" != 0 ] || first=$bytes
    row+=("$((bytes / 1000000)) MB")
  done
  printf '| %s | %s | %s | %s | %s | %s %% |\n' "$set" "${row[@]}" $((100 - bytes * 100 / first))
done
