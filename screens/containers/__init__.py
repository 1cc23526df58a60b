"""The list of all containers."""
