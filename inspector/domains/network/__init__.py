"""Interfaces of every network namespace, with their counters."""
