"""The cgroup driver that has systemd make a container's cgroups: a transient scope for each."""
