#!/bin/bash
# demo-headless.sh CINSPECT: starts the demo container, prints what is seen of it as JSON, and
# removes it, unless it was there before.
set -eu
cinspect=$1

if ! "$cinspect" inspect demo > /dev/null 2>&1; then
  trap '"$cinspect" demo stop > /dev/null' EXIT
fi
"$cinspect" demo start > /dev/null
# Two samples a second apart, so that rates are there.
"$cinspect" dump --pretty --interval 1 --container demo
