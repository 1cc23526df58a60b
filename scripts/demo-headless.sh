#!/bin/bash
# demo-headless.sh CINSPECT: runs a container, prints what is seen of it as JSON, removes it.
set -eu
cinspect=$1
name=demo-$$

# Its processes, limits and changed files are there to be seen in what is printed.
container=$("$cinspect" run --detach --name "$name" --hostname demo \
  --memory 128m --cpus 0.5 --pids-limit 64 @host \
  sh -c 'echo changed > /etc/motd; echo new > /srv/demo; while :; do date; sleep 1; done')
trap '"$cinspect" rm --force "$name" > /dev/null' EXIT
"$cinspect" dump --pretty --interval 1 --container "$container"
