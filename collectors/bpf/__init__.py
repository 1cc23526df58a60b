"""Asks the running kernel by BPF iterators: thousands of tasks in one read, where /proc takes a file each."""
