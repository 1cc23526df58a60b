#!/bin/bash
# packages.sh PACKAGE...: installs those Debian packages that are missing; quick when none is.
set -eu

missing=()
for package in "$@"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] \
    || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get > /dev/null; then
  echo "This is not Debian: install what these packages of Debian hold, where it is missing:" >&2
  echo "  ${missing[*]}" >&2
  exit 0
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo > /dev/null; then
    echo "Missing, and without root they cannot be installed from here: ${missing[*]}" >&2
    echo "Run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# RUNLEVEL=1 keeps a package that brings a daemon from starting it where there is no systemd.
{
  "${as_root[@]}" apt-get -q update \
    && "${as_root[@]}" env RUNLEVEL=1 apt-get -q install -y --no-install-recommends "${missing[@]}"
} > "$log" 2>&1 < /dev/null || {
  cat "$log" >&2
  exit 1
}
