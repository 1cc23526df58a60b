"""The stack of directories that a container has as its root."""
