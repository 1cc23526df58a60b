"""One container in full."""
