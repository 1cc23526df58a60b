#!/bin/sh
# The first process of a QEMU guest: loads what it takes to see the host's root, and goes there.
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do
  insmod "/modules/$module" || echo "cannot load $module"
done < /modules/order
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root /root || poweroff -f
waited=0
while [ ! -e /dev/vda ] && [ $waited -lt 100 ]; do
  sleep 0.05
  waited=$((waited + 1))
done
mount --move /dev /root/dev
mount --move /proc /root/proc
for word in $(cat /root/proc/cmdline); do
  case $word in
    machine.init=*) exec switch_root /root "${word#*=}" ;;
  esac
done
