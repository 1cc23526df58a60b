#!/bin/bash
# namespaces.sh v1|v2 RESULTS NAMESPACE_IDS BIND...: becomes systemd, as pid 1 of namespaces of its own.
#
# It is started in fresh mount, uts, ipc, net, pid and cgroup namespaces, below cgroups made for it.
# Its root is the host's under a throwaway overlay. RESULTS is seen as /machine.
set -eu
mode=$1 results=$2 host_namespaces=$3
shift 3
GUEST=$(dirname "$(realpath "$0")")
. "$GUEST/systemd.sh"

refuse() {
  echo "namespaces.sh: refused: $1" >&2
  exit 1
}

# A systemd in the host's namespaces would take every process of the host into its own cgroups.
[ $$ = 1 ] || refuse "not pid 1 of a pid namespace of its own"
for kind in mnt pid cgroup net ipc uts; do
  case ",$host_namespaces," in
    *",$(readlink /proc/self/ns/$kind),"*) refuse "still in the host's $kind namespace" ;;
  esac
done

space=/mnt
mount -t tmpfs -o mode=755 machine $space
mkdir $space/upper $space/work $space/root
mount -t overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" machine $space/root
cd $space/root
prepare_systemd .

# Where the host lacks CAP_SYS_RESOURCE, a unit that asks for more than the hard limits cannot start.
hard=$(ulimit -Hn)
printf '[Service]\nLimitNOFILE=%s\nLimitNPROC=\nLimitCORE=\nLimitMEMLOCK=\nOOMScoreAdjust=0\n' "$hard" \
  > etc/systemd/system/service.d/10-limits.conf
echo "DefaultLimitNOFILE=$hard" >> etc/systemd/system.conf

for directory in $DATA_DIRECTORIES; do
  mkdir -p "$directory"
  mount -t tmpfs data "$directory"
done
chmod 1777 var/tmp tmp
for directory in "$@"; do
  mkdir -p "./$directory"
  mount --rbind -o ro "$directory" "./$directory"
done
mkdir -p machine
mount --bind "$results" machine

# The kernel's settings are the host's: all but the network's own stay read-only.
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount --bind /proc/sys/net proc/sys/net
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
ln -sfn /dev/null etc/systemd/system/systemd-sysctl.service
ln -sfn /dev/null etc/systemd/system/systemd-modules-load.service

mount -t tmpfs -o mode=755 dev dev
mount -t tmpfs -o mode=755 run run
# Without one whole proc in sight the kernel refuses a fresh one in a user namespace.
mkdir -p -m 700 run/full
mkdir run/full/proc
mount -t proc proc run/full/proc
for node in null zero full random urandom tty fuse net/tun; do
  [ -e "/dev/$node" ] || continue
  mkdir -p "dev/$(dirname $node)"
  touch "dev/$node"
  mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s /proc/self/fd dev/fd
touch dev/console
ip link set lo up

arguments=
if [ "$mode" = v1 ]; then
  mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
  for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
    grep -q "[:,]$controller[:,]" /proc/self/cgroup || continue
    mkdir "sys/fs/cgroup/$controller"
    mount -t cgroup -o $controller cgroup "sys/fs/cgroup/$controller"
  done
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
  tree=sys/fs/cgroup/systemd
  arguments="systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"
else
  mount -t cgroup2 cgroup sys/fs/cgroup
  tree=sys/fs/cgroup
fi
# Only the root of a hierarchy has release_agent (v1), and only it lacks cgroup.type (v2).
if [ "$mode" = v1 ]; then
  [ ! -e $tree/release_agent ] || refuse "this is the root of the host's cgroups"
else
  [ -e $tree/cgroup.type ] || refuse "this is the root of the host's cgroups"
fi

mkdir -p old
pivot_root . old
cd /
umount -l /old
rmdir /old
# shellcheck disable=SC2086  # several words
exec env -i container=cinspect-machine PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd $arguments --log-target=console --log-level=warning
