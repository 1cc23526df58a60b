"""Containers: who they are, what they use, what is around them."""
