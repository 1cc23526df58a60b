"""Speaks to containerd: gRPC over its unix socket, with messages built from `descriptors.binpb`."""
