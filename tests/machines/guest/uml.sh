#!/bin/bash
# The first process of a User-Mode Linux guest: makes a root of its own, then becomes systemd.
#
# The guest's root is the host's, read-only through hostfs; here it goes under an overlay of tmpfs.
# On the kernel's command line: machine.results (seen as /machine), machine.binds (with colons).
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
GUEST=$(dirname "$(realpath "$0")")
. "$GUEST/systemd.sh"

mount -t proc proc /proc
results= binds=
read -r line < /proc/cmdline
for word in $line; do
  case $word in
    machine.results=*) results=${word#*=} ;;
    machine.binds=*) binds=${word#*=} ;;
  esac
done

modules=/usr/lib/uml/modules/$(uname -r)
space=/mnt
mount -t tmpfs -o mode=755 machine $space
mkdir $space/upper $space/work $space/root
insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mount -t overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" machine $space/root
cd $space/root
prepare_systemd .
mkdir -p old lib/modules etc/modules-load.d
ln -sfn "$modules" "lib/modules/$(uname -r)"
mount -t hostfs -o "$results" machine machine

# A disk: hostfs has neither extended attributes nor sockets, and upper layers want both.
mkdir -p data
mount -t ext4 -o noatime,noinit_itable /dev/ubda data
for directory in $DATA_DIRECTORIES; do
  mkdir -p "$directory" "data/$directory"
  mount --bind "data/$directory" "$directory"
done
chmod 1777 var/tmp tmp
IFS=:
for directory in $binds; do
  mkdir -p "./$directory"
  mount -t hostfs -o "ro,$directory" machine "./$directory"
done
unset IFS

printf '%s\n' overlay tun fuse bridge veth loop > etc/modules-load.d/machine.conf
printf 'c! /dev/%s\n' 'net/tun 0666 root root - 10:200' 'fuse 0666 root root - 10:229' \
  'loop-control 0600 root root - 10:237' > etc/tmpfiles.d/machine.conf
# This kernel has no nftables.
if [ -e usr/sbin/iptables-legacy ]; then
  ln -sfn /usr/sbin/iptables-legacy etc/alternatives/iptables
  ln -sfn /usr/sbin/ip6tables-legacy etc/alternatives/ip6tables
fi
umount /proc
pivot_root . old
cd /
exec /lib/systemd/systemd
