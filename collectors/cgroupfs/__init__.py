"""Reads cgroupfs: where the hierarchies are, and the files of version 1 and version 2."""
