"""Mounts: every mount of every mount namespace."""
