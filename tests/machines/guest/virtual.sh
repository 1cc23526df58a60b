#!/bin/bash
# The first process of a guest with a kernel of its own: makes a root for itself, then becomes systemd.
#
# The guest's root is the host's, read-only through hostfs (User-Mode Linux) or 9p (QEMU); here it
# goes under an overlay of tmpfs. On the kernel's command line: machine.kind (uml, qemu),
# machine.results (seen as /machine), machine.binds (with colons), machine.modules.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
GUEST=$(dirname "$(realpath "$0")")
. "$GUEST/systemd.sh"

mountpoint -q /proc || mount -t proc proc /proc
kind= results= binds= modules=
read -r line < /proc/cmdline
for word in $line; do
  case $word in
    machine.kind=*) kind=${word#*=} ;;
    machine.results=*) results=${word#*=} ;;
    machine.binds=*) binds=${word#*=} ;;
    machine.modules=*) modules=${word#*=} ;;
  esac
done
[ "$kind" = qemu ] || modules=/usr/lib/uml/modules/$(uname -r)

space=/mnt
mount -t tmpfs -o mode=755 machine $space
mkdir $space/upper $space/work $space/root
[ "$kind" = qemu ] || insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mount -t overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" machine $space/root
cd $space/root
prepare_systemd .
mkdir -p old lib/modules etc/modules-load.d
ln -sfn "$modules" "lib/modules/$(uname -r)"

# A disk: neither hostfs nor 9p has all that upper layers want.
mkdir -p data
if [ "$kind" = qemu ]; then
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 results machine
  mount -t ext4 -o noatime,noinit_itable /dev/vda data
else
  mount -t hostfs -o "$results" machine machine
  mount -t ext4 -o noatime,noinit_itable /dev/ubda data
fi
for directory in $DATA_DIRECTORIES; do
  mkdir -p "$directory" "data/$directory"
  mount --bind "data/$directory" "$directory"
done
chmod 1777 var/tmp tmp
IFS=:
for directory in $binds; do
  mkdir -p "./$directory"
  if [ "$kind" = qemu ]; then
    mount --bind "$directory" "./$directory"
  else
    mount -t hostfs -o "ro,$directory" machine "./$directory"
  fi
done
unset IFS

printf '%s\n' overlay tun fuse bridge veth loop > etc/modules-load.d/machine.conf
printf 'c! /dev/%s\n' 'net/tun 0666 root root - 10:200' 'fuse 0666 root root - 10:229' \
  'loop-control 0600 root root - 10:237' > etc/tmpfiles.d/machine.conf
# User-Mode Linux has no nftables.
if [ "$kind" = uml ] && [ -e usr/sbin/iptables-legacy ]; then
  ln -sfn /usr/sbin/iptables-legacy etc/alternatives/iptables
  ln -sfn /usr/sbin/ip6tables-legacy etc/alternatives/ip6tables
fi
umount /proc
pivot_root . old
cd /
exec /lib/systemd/systemd
