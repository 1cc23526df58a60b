# Sourced by the lanes: turns a throwaway root directory into a quiet systemd system
# whose only job is one command. The host's own services, mounts and timers do not start.

# prepare_systemd ROOT: ROOT is an overlay (or an image) that nobody else uses.
prepare_systemd() {
  root=$1
  units=$root/etc/systemd/system

  rm -rf "$units" "$root/etc/systemd/system.conf.d" "$root/etc/systemd/user.conf.d"
  rm -rf "$root/.dockerenv" "$root/run/systemd/container"
  mkdir -p "$units/multi-user.target.wants" "$units/service.d" "$root/machine"
  for unit in $UNWANTED_UNITS; do
    ln -sfn /dev/null "$units/$unit"
  done
  ln -sfn /lib/systemd/system/multi-user.target "$units/default.target"
  cp "$GUEST/cinspect-machine.service" "$units/"
  ln -sfn ../cinspect-machine.service "$units/multi-user.target.wants/"

  : > "$root/etc/fstab"
  : > "$root/etc/resolv.conf"
  echo 0123456789abcdef0123456789abcdef > "$root/etc/machine-id"
  echo cinspect-machine > "$root/etc/hostname"
  printf '[Journal]\nStorage=volatile\n' > "$root/etc/systemd/journald.conf"
  printf '[Manager]\nShowStatus=no\nDefaultTimeoutStartSec=60s\nDefaultTimeoutStopSec=10s\n' \
    > "$root/etc/systemd/system.conf"

  # systemd-tmpfiles would empty /tmp and walk all of /var: only the run-time directories stay.
  mkdir -p "$root/etc/tmpfiles.d"
  for file in "$root"/usr/lib/tmpfiles.d/*.conf; do
    case ${file##*/} in
      dbus.conf | legacy.conf | static-nodes-permissions.conf | systemd.conf) ;;
      *) ln -sfn /dev/null "$root/etc/tmpfiles.d/${file##*/}" ;;
    esac
  done
}

# What a machine that lives for a minute has no use for, or no device for.
UNWANTED_UNITS="
getty.target serial-getty@.service console-getty.service
systemd-timesyncd.service systemd-networkd.service systemd-resolved.service
apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
e2scrub_reap.service fstrim.timer podman-auto-update.timer podman-restart.service
systemd-udevd.service systemd-udev-trigger.service
systemd-udevd-control.socket systemd-udevd-kernel.socket
systemd-journal-flush.service systemd-random-seed.service
systemd-update-utmp.service systemd-update-utmp-runlevel.service
systemd-firstboot.service systemd-sysusers.service systemd-hwdb-update.service
ldconfig.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
kmod-static-nodes.service modprobe@.service dev-hugepages.mount
sys-kernel-debug.mount sys-kernel-tracing.mount
systemd-tmpfiles-clean.timer systemd-pstore.service
"

# What needs a real file system below it: an overlay's upper layer cannot lie on an overlay.
DATA_DIRECTORIES="var/lib/cinspect var/lib/docker var/lib/containerd var/lib/containers var/tmp tmp"
