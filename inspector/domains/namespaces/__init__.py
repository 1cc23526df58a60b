"""Namespaces: all eight types, who is in them, who owns them, what pins them."""
