"""Speaks the Kubernetes Container Runtime Interface, runtime.v1, as containerd and CRI-O serve it."""
