"""Tasks: running containers, reached through their shims."""
