"""Processes, and the container each belongs to."""
