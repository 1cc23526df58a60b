#!/bin/sh
# What the demo container runs: plain sh and coreutils, so that any host's own root has it.
# It ends at once on SIGTERM: the shell waits, and never for a foreground command.

# Only as a container's first process, over an overlay, is what it changes and deletes its own.
if [ $$ -ne 1 ] || [ "$(stat -f -c %T /)" != overlayfs ]; then
    echo "demo: this is no container of its own, nothing done" >&2
    exit 1
fi
trap 'exit 0' TERM INT
say() { echo "$(date +%T) $*"; }
home=/var/lib/cinspect-demo
mkdir -p "$home"

processor() {  # two at once want more than the limit: the kernel throttles them
    while :; do
        say "processor: busy"
        timeout 7 sha256sum /dev/zero &
        timeout 5 sha256sum /dev/zero &
        wait
        say "processor: idle"
        sleep 6
    done
}

memory() {  # tail keeps the end of what it reads, and frees it all when it ends
    while :; do
        for size in 12 24 40 56 40 20; do
            say "memory: ${size}M"
            { head -c "${size}M" /dev/zero; sleep 4; } | tail -c "${size}M" > /dev/null
        done
        sleep 3
    done
}

layers() {  # the first changes show each kind of entry that an upper layer has
    for file in /etc/motd /etc/issue /etc/profile /etc/services; do
        [ -f "$file" ] && echo "# changed by the demo" >> "$file" && say "layers: copied up $file"
    done
    for file in /etc/issue.net /etc/networks /etc/debian_version /etc/shells; do
        [ -f "$file" ] && rm -f "$file" && say "layers: deleted $file"
    done
    for directory in /etc/skel /usr/share/common-licenses /etc/init.d; do
        [ -d "$directory" ] || continue
        rm -rf "$directory" && mkdir "$directory" && echo new > "$directory/README"
        say "layers: replaced $directory"
        break
    done
    round=0
    while :; do
        round=$((round + 1))
        head -c "$((round % 5 + 1))M" /dev/urandom > "$home/data.$((round % 8))"
        echo "round $round" >> "$home/journal"
        [ $((round % 8)) -eq 7 ] && rm -f "$home"/data.[0-5] && say "layers: deleted what was added"
        sleep 2
    done
}

family() {  # children come and go
    while :; do
        for child in 1 2 3 4 5 6 7 8; do
            sleep "$((child % 4 + 2))" &
            sleep 0.7
        done
        say "family: all forked"
        wait
        echo "$(date +%T) family: all gone" >&2
    done
}

processor & memory & layers & family &
say "demo: running"
wait
