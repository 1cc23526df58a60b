"""Finds containers from what the kernel shows alone, with the reasons in plain words."""
