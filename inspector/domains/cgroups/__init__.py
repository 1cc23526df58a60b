"""Cgroups: the tree with its numbers, rates and binding limits."""
