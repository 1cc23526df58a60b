"""The tree of cgroups, with graphs."""
