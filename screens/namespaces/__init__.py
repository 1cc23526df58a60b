"""Namespaces by owner, and who shares which."""
