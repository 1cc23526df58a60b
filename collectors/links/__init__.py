"""Asks network namespaces for their links in detail: rtnetlink(7)."""
