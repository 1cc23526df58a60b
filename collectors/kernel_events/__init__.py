"""Listens to the kernel between two readings: births and ends of processes, mounts, want of memory."""
