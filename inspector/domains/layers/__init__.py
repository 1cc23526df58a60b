"""Layered filesystems: lower, upper, work and merged, and what the upper one changed."""
